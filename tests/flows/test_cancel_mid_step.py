"""A person cancels a run at each of its steps: every queued job of the run is cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.states import Cancelled, Cancelling

from blocks.runs.store import RunStore
from flows.run_aiware_job import run_aiware_job
from graphql_jobs.emulator import JobFault
from graphql_jobs.transport.session import Session
from tasks.cancelling.layers import MESSAGE_PREFIX, cancel_with_the_run, clean_up_after
from tests.clocks import FakeClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from prefect.client.schemas.objects import FlowRun

    from blocks import AiwareCredentials
    from graphql_jobs.emulator import Emulator

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("one_prefect_client", "saved")]

ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
AN_INSTANT = "2026-01-01T00:00:00Z"
#: Some polls of a job that stays queued.
SHORT_WAIT = {"give_up_after_s": 2}
#: Far more steps than a run has.
TOO_MANY = 100


class Fuse:
    """Lets a run continue to one of its steps and holds it there, before or after a request or an entry."""

    def __init__(self, patch: pytest.MonkeyPatch, clock: FakeClock) -> None:
        self.at = 0
        self.clock = clock
        self.reached = asyncio.Event()
        patch.setattr(Session, "_send", self._held(Session._send))
        patch.setattr(RunStore, "append", self._held(RunStore.append))

    def set_to(self, at: int) -> None:
        """Hold the next run at step `at`, counted from 1."""
        self.at = at
        self.reached.clear()

    async def _step(self) -> None:
        self.at -= 1
        if self.at == 0:  # and never again: the clean-up is not held
            self.clock.stop()  # otherwise a held poll would be repeated, and the run would end before its cancel
            self.reached.set()
            await asyncio.Event().wait()

    def _held(self, real: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def held(*args: Any, **kwargs: Any) -> Any:
            await self._step()
            result = await real(*args, **kwargs)
            await self._step()
            return result

        return held


@pytest.mark.parametrize(
    ("kind", "unwinds"), [("engine", True), ("engine", False), ("tasks", False), ("tasks on a target", True)]
)
async def test_cancel_during_any_step_leaves_no_queued_job(
    kind: str, unwinds: bool, aiware: AiwareCredentials, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is held before and after each request and each entry in turn; then the layers run as on a worker."""
    emulator.faults.add(JobFault("stuck", times=None))
    parameters = await parameters_of(kind, aiware)
    clock = aiware.get_client().session.clock
    assert isinstance(clock, FakeClock)
    fuse = Fuse(monkeypatch, clock)
    for step in range(1, TOO_MANY):
        fuse.set_to(step)
        run = await new_run(parameters)
        going = asyncio.create_task(attempt(run, parameters))
        reached = asyncio.create_task(fuse.reached.wait())
        await asyncio.wait({going, reached}, return_when=asyncio.FIRST_COMPLETED)
        if going.done():
            reached.cancel()
            break
        left = await left_by_the_first_layer(run, going, unwinds, emulator, clock)
        assert left == [], f"cancelled at step {step}: {left} was left to the next layer"
        await end_as_a_worker_does(run)
        left = not_cancelled(emulator)
        assert left == [], f"cancelled at step {step}: {left} was left in the queue"
    else:
        pytest.fail("the run has no end")
    assert step > 10
    assert len({submission.job_id for submission in emulator.ledger.submissions}) > 2


async def parameters_of(kind: str, aiware: AiwareCredentials) -> dict[str, Any]:
    if kind == "engine":
        return {"engine_id": ENGINE_ID, "upload_url": "https://media.example.com/a", **SHORT_WAIT}
    own = {"tasks": [{"engine_id": ENGINE_ID}], **SHORT_WAIT}
    if kind == "tasks":
        return own
    async with aiware.get_client() as client:
        return own | {"target_id": await client.create_target(startDateTime=AN_INSTANT, stopDateTime=AN_INSTANT)}


async def new_run(parameters: dict[str, Any]) -> FlowRun:
    async with get_client() as api:
        return await api.create_flow_run(run_aiware_job, parameters=parameters)


async def attempt(run: FlowRun, parameters: dict[str, Any]) -> None:
    engine: Any = run_flow  # its types do not distinguish an async flow's state from its result
    await engine(run_aiware_job, flow_run=run, parameters=parameters, return_type="state")


async def left_by_the_first_layer(
    run: FlowRun, going: asyncio.Task[None], unwinds: bool, emulator: Emulator, clock: FakeClock
) -> list[str]:
    """Cancel the run, and stop the process. If it unwinds, the first layer must do the rest; if not, the hook.

    A killed process does not unwind: here it does, in a state that makes it leave its jobs running.
    """
    async with get_client() as api:
        if unwinds:
            await api.set_flow_run_state(run.id, Cancelling(), force=True)
        clock.go_on()
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        # Without a runner the engine treats this as a crash.
        await api.set_flow_run_state(run.id, Cancelling(), force=True)
    if not unwinds:
        await cancel_with_the_run(run_aiware_job, run, Cancelling())
    return not_cancelled(emulator)


async def end_as_a_worker_does(run: FlowRun) -> None:
    """The hook, the final state and the clean-up."""
    await cancel_with_the_run(run_aiware_job, run, Cancelling())
    async with get_client() as api:
        await api.set_flow_run_state(run.id, Cancelled(), force=True)
        said = await clean_up_after(run.id)
        state = (await api.read_flow_run(run.id)).state
    assert state is not None
    assert state.message == (MESSAGE_PREFIX + " ".join(said) if said else None)


def not_cancelled(emulator: Emulator) -> list[str]:
    cancelled = {cancel.job_id for cancel in emulator.ledger.cancels if cancel.accepted}
    started = {submission.job_id for submission in emulator.ledger.submissions if submission.job_id}
    return sorted(started - cancelled)
