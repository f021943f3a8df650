"""Kills the watcher at its requests to Prefect, and cancels runs at the instant at which they are resumed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.client.schemas.objects import StateType
from prefect.states import Cancelling

from blocks.api import ask
from scripts.stack import ROOT
from tests.crashes.relay import Relay
from tests.crashes.suspended.plan import Request

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Self

    from scripts.stack import Stack
    from tests.crashes.suspended.plan import CancelAt, Kill

_RUN = rb"/api/flow_runs/([0-9a-f-]{36})"
_PATTERNS = (
    (Request.RESUME, re.compile(rb"POST " + _RUN + rb"/resume ")),
    (Request.END, re.compile(rb"POST " + _RUN + rb"/set_state ")),
    (Request.CLAIM, re.compile(rb"POST " + _RUN + rb'/input .*"gqw-wait', re.DOTALL)),
    (Request.SETTLE, re.compile(rb"PATCH " + _RUN + rb" ")),
    (Request.HISTORY, re.compile(rb"GET /api/flow_run_states/\?flow_run_id=([0-9a-f-]{36})")),
)


class DisturbedWatcher:
    """A watcher that reaches Prefect through a relay. Use as `async with DisturbedWatcher(stack, cancels) as watcher:`.

    `cancels`: the runs to cancel, and when.
    """

    def __init__(self, stack: Stack, cancels: dict[UUID, CancelAt]) -> None:
        self._relay = Relay(stack.environment["PREFECT_API_URL"], self._before, self._after)
        self._environment = stack.environment
        self._log = stack.folder / "watcher-disturbed.log"
        self._cancels = cancels
        self._armed: list[Kill] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_down = False
        self.kills: list[Kill] = []
        #: The runs whose resumption or end the kills interrupted.
        self.interrupted: set[UUID] = set()
        #: The runs that had ended when they were cancelled, so that Prefect refused the cancel.
        self.refused: set[UUID] = set()

    async def __aenter__(self) -> Self:
        await self._relay.__aenter__()
        self._start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await asyncio.gather(*self._tasks)
        self._process.terminate()
        await asyncio.to_thread(self._process.wait, 60)
        await self._relay.__aexit__(*exc_info)

    def arm(self, kill: Kill) -> None:
        """Kill the watcher at its next request of this kind."""
        self._armed.append(kill)

    def _start(self) -> None:
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "flows.watch_suspended_runs"],
                cwd=ROOT,
                env=self._environment | {"PREFECT_API_URL": self._relay.url},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _before(self, request: bytes) -> bool:
        return await self._disturbed(request, "before", is_answered=False)

    async def _after(self, request: bytes) -> bool:
        return await self._disturbed(request, "after", is_answered=True)

    async def _disturbed(self, request: bytes, now: CancelAt, *, is_answered: bool) -> bool:
        """Disturb the watcher at this request. False if it was killed."""
        kind, run_id = _kind_of(request)
        if run_id and kind in (Request.RESUME, Request.END) and (at := self._cancels.get(run_id)) in (now, "with"):
            del self._cancels[run_id]
            cancelling = self._go_on(self._cancel(run_id))
            if at != "with":
                await asyncio.shield(cancelling)
        kill = next((one for one in self._armed if (one.request, one.is_answered) == (kind, is_answered)), None)
        if kill and run_id and not self._is_down:
            self.interrupted.add(run_id)
            self._armed.remove(kill)
            self.kills.append(kill)
            self._is_down = True
            os.kill(self._process.pid, signal.SIGKILL)
            self._go_on(self._start_again())
        return not self._is_down

    def _go_on(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do the work in a separate task, since this connection ends with the watcher."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        return task

    async def _start_again(self) -> None:
        await asyncio.to_thread(self._process.wait)
        self._start()
        self._is_down = False

    async def _cancel(self, run_id: UUID) -> None:
        """Cancel the run like a person in the UI."""
        answer: Any = await ask(lambda client: client.set_flow_run_state(run_id, Cancelling()))
        # Prefect sets a suspended run to Cancelled instead. For a run that has ended it returns no such state.
        if not answer.state or answer.state.type not in (StateType.CANCELLED, StateType.CANCELLING):
            self.refused.add(run_id)


def _kind_of(request: bytes) -> tuple[Request | None, UUID | None]:
    for kind, pattern in _PATTERNS:
        if found := pattern.match(request):
            return kind, UUID(found[1].decode())
    return None, None
