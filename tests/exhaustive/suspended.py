"""The life of a run that is suspended once: its process, a watcher and its second process; and what came of it.

The functions are those of a flow, a worker and a watcher, without Prefect's engine, as in `protocol`.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed, Pending, Running

from blocks.runs.root_run import TAG
from blocks.runs.store import RunStore
from graphql_jobs import Deadlines, Label, Schedule, WaitPolicy, require_success, submission_key, submit_once, wait
from graphql_jobs.errors import JobFailed
from graphql_jobs.providers.aiware import AiwareClient, AiwareJobSpec, EngineTask
from graphql_jobs.providers.aiware.reader import DIALECT
from graphql_jobs.transport.auth import BearerToken
from graphql_jobs.waiting.checkpoints import Checkpoints
from tasks.downstream import downstream_key, started
from tasks.outcome import outcome_of
from tasks.suspending import accounts, suspend, tally, watcher
from tasks.suspending.suspend import Suspending
from tasks.suspending.watcher import Watcher
from tests.clocks import DrivenClock
from tests.exhaustive.fuse import Died, Fuse, FusedSession, FusedTransport
from tests.exhaustive.protocol import HANGS_AFTER_S

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    import pytest
    from prefect.client.orchestration import PrefectClient

    from blocks.runs.suspended_wait import OnFailure
    from graphql_jobs.emulator import Emulator

SPEC = AiwareJobSpec.of(tasks=[EngineTask(engine_id="c0e55cde-340b-44d7-bb42-2e0d65e98255")])
POLICY = WaitPolicy(Schedule(first_delay_s=6, growth=1, max_delay_s=6), Deadlines(total_s=3600))
#: Two processes of the flow and two watchers are the most that two stops need; each of them may be stopped twice.
MOST_PROCESSES = 8


@dataclass
class Case:
    """One run: where its processes were stopped, its states, and the jobs that it submitted."""

    stops: list[str] = field(default_factory=list)
    #: The points that each process passed.
    points: list[list[str]] = field(default_factory=list)
    states: list[str | None] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"stopped at {self.stops}: {self.states}, jobs {self.jobs}"


class SuspendedLife:
    """Runs of one deployment, each from its start to its end."""

    def __init__(
        self, emulator: Emulator, prefect: FusedTransport, ids: tuple[UUID, str], on_failure: OnFailure
    ) -> None:
        self._emulator, self._prefect = emulator, prefect
        self._on_failure: OnFailure = on_failure
        self._deployment_id, self.deployment = ids
        clock: Any = emulator.clock
        self._clock = DrivenClock(clock)
        self._numbers = count(1)

    def patch(self, patch: pytest.MonkeyPatch) -> None:
        """Do without Prefect's engine, and give each process a connection of its own to the provider."""
        patch.setattr(suspend, "root_run_id", self._root_run_id)
        patch.setattr(suspend, "get_run_logger", lambda: logging.getLogger(__name__))
        patch.setattr(suspend, "flow_run", SimpleNamespace(run_count=1))
        patch.setattr(Suspending, "_why_not", lambda *_: "")
        patch.setattr(accounts, "load_credentials", self._load_credentials)
        patch.setattr(tally, "emit_event", lambda *_, **__: None)
        patch.setattr(watcher, "report_ends", _no_report)

    async def run(self, stops: Mapping[int, int]) -> Case:
        """A new run. The process with the number n, from 0, is stopped at the point `stops[n]`, and not otherwise.

        A process of the flow that was stopped is run again, as by a retry. A watcher is followed by a new one.
        """
        case, begun = Case(), len(self._emulator.ledger.submissions)
        async with get_client() as client, AsyncExitStack() as self._connections:
            run = await client.create_flow_run_from_deployment(self._deployment_id, tags=[TAG], state=Pending())
            await client.set_flow_run_state(run.id, Running())
            self._run_id, number = run.id, f"{next(self._numbers):06}"
            for process in range(MOST_PROCESSES):
                state = (await client.read_flow_run(run.id)).state
                assert state
                if state.is_final():
                    break
                self._fuse = Fuse(stops.get(process))
                async with asyncio.timeout(HANGS_AFTER_S):
                    await (self._watcher() if state.is_paused() else self._flow(client, state, number))
                case.points.append(self._fuse.points)
                if process in stops:
                    assert self._fuse.blown, f"{case}; process {process} ended before its stop: {self._fuse.points}"
                    case.stops.append(f"{process}: {self._fuse.points[-1]}")
            states = await client.read_flow_run_states(run.id)
        case.states = [state.name for state in sorted(states, key=lambda one: one.timestamp)]
        case.jobs = [str(made.job_id) for made in self._emulator.ledger.submissions[begun:] if made.job_id]
        return case

    async def _watcher(self) -> None:
        watching = Watcher(clock=self._clock)
        self._prefect.fuse = self._fuse
        try:
            async with watching.opened():
                await watching.tick()
                await watching.settled()
        except Died:
            pass
        finally:
            self._prefect.fuse = None

    async def _flow(self, client: PrefectClient, state: State[Any], number: str) -> None:
        if not state.is_running():  # a worker starts the process
            await client.set_flow_run_state(self._run_id, Pending())
            await client.set_flow_run_state(self._run_id, Running())
        provider, store = await self._connect(Fuse()), RunStore(self._run_id)
        label = Label(submission_key("aiware", provider.session.url, "key", number), str(self._run_id))
        handle = await submit_once(provider, SPEC, store, label)
        fused = await self._connect(self._fuse)

        async def waiting(policy: WaitPolicy) -> Any:
            return await wait(fused, handle, policy, checkpoints=Checkpoints(store))

        credentials: Any = SimpleNamespace(_block_document_name="aiware")
        self._prefect.fuse = self._fuse
        try:
            job = await Suspending(credentials, [handle], POLICY).wait(waiting, 0.0, self._on_failure)
        except Died:
            return
        finally:
            self._prefect.fuse = None
        if isinstance(job, State):
            return
        try:
            finished = outcome_of(handle, require_success(job), {})
        except JobFailed as failed:
            await client.set_flow_run_state(self._run_id, Failed(name="JobFailed", message=str(failed)))
            return
        key = downstream_key(self.deployment, "aiware", handle.endpoint, [finished])
        await started(self.deployment, {"jobs": [finished]}, key)
        await client.set_flow_run_state(self._run_id, Completed())

    async def _connect(self, fuse: Fuse) -> AiwareClient:
        """A client of a process of its own."""
        token = BearerToken(self._emulator.accounts.aiware_token)
        session = FusedSession(f"{self._emulator.url}/v3/graphql", token, DIALECT, self._clock, fuse)
        return await self._connections.enter_async_context(AiwareClient(session))

    async def _root_run_id(self) -> UUID:
        return self._run_id

    async def _load_credentials(self, *_: str) -> Any:
        client = await self._connect(self._fuse)
        return SimpleNamespace(model_dump=dict, get_client=lambda: client)


async def _no_report(*_: object) -> None:
    """An artifact after the end of a run, on which nothing depends."""
