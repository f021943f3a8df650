"""A user's own flow, as in the guide, cancels its jobs when a person cancels its run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow, tags
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.states import Cancelled, Cancelling

from blocks import AiwareCredentials, AiwareEngineJob
from graphql_jobs import require_success
from graphql_jobs.emulator import JobFault, Pace
from graphql_jobs.providers.aiware import EngineJobSpec
from graphql_jobs.transport.session import Session
from tasks import fetch_result, jobs_as_they_end, submit_job, wait_for_job, wait_for_jobs
from tasks.cancelling.layers import MESSAGE_PREFIX, clean_up_after
from tests.tasks.cancelled_runs import ENGINE_ID, TASKS, message_of
from tests.tasks.requests import counted

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun

    from graphql_jobs.emulator import Emulator
    from tests.clocks import FakeClock

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("saved")]

SPEC = EngineJobSpec(engine_id=ENGINE_ID, upload_url="https://media.example.com/a")


@flow
async def as_in_the_guide() -> dict[str, Any]:
    """Submit, wait, fetch."""
    credentials = await AiwareCredentials.aload("aiware")
    handle = await submit_job(credentials, SPEC)
    job = require_success(await wait_for_job(credentials, handle))
    return await fetch_result(credentials, handle, job)


@flow
async def for_many() -> None:
    """Submit three, and wait in one task run."""
    credentials = await AiwareCredentials.aload("aiware")
    await wait_for_jobs(credentials, [await submit_job(credentials, SPEC) for _ in range(3)])


@flow
async def as_they_end() -> None:
    """Submit three, and receive the ends in their order."""
    credentials = await AiwareCredentials.aload("aiware")
    handles = [await submit_job(credentials, SPEC) for _ in range(3)]
    async for _ in jobs_as_they_end(credentials, handles):
        pass


@flow
async def side_by_side() -> None:
    """Submit three, and wait in a task run for each."""
    credentials = await AiwareCredentials.aload("aiware")
    handles = [await submit_job(credentials, SPEC) for _ in range(3)]
    await asyncio.gather(*(wait_for_job(credentials, handle) for handle in handles))


@flow
async def by_block() -> None:
    """Trigger a job block and wait for it."""
    credentials = await AiwareCredentials.aload("aiware")
    block = AiwareEngineJob(credentials=credentials, engine_id=ENGINE_ID, upload_url=SPEC.upload_url)
    await (await block.trigger()).wait_for_completion()


async def begun(own: Flow[..., Any], emulator: Emulator, aiware: AiwareCredentials, jobs: int) -> Any:
    """The flow's run, and its attempt, which waits for its jobs until it is cancelled."""
    emulator.faults.add(JobFault("stuck", times=None))
    async with get_client() as api:
        run = await api.create_flow_run(own, tags=["mine"])
    clock: FakeClock = aiware.get_client().session.clock  # type: ignore[assignment] # the fixture's
    engine: Any = run_flow
    going = asyncio.create_task(engine(own, flow_run=run, return_type="state"))
    polls = emulator.ledger.count("job")
    while len(emulator.ledger.submissions) < jobs or emulator.ledger.count("job") < polls + 3:
        assert not going.done(), going.result()
        await asyncio.sleep(0.01)
    clock.stop()
    return run, going, clock


async def cancel(run: FlowRun, going: asyncio.Task[Any], clock: FakeClock) -> None:
    """Cancel as a worker does: the state, then the process, which unwinds, then the final state."""
    async with get_client() as api:
        await api.set_flow_run_state(run.id, Cancelling(), force=True)
        clock.go_on()
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        await api.set_flow_run_state(run.id, Cancelled(), force=True)


@pytest.mark.parametrize(
    ("own", "jobs"), [(as_in_the_guide, 1), (for_many, 3), (as_they_end, 3), (side_by_side, 3), (by_block, 1)]
)
async def test_own_flow_cancels_its_jobs_when_its_run_is_cancelled(
    own: Flow[..., Any], jobs: int, aiware: AiwareCredentials, emulator: Emulator
) -> None:
    """No hook, no context manager, no tag: the unwinding process cancels, and the clean-up sets the message."""
    run, going, clock = await begun(own, emulator, aiware, jobs)
    await cancel(run, going, clock)
    accepted = {one.job_id for one in emulator.ledger.cancels if one.accepted}
    assert accepted == {one.job_id for one in emulator.ledger.submissions if one.job_id}
    assert len(accepted) == jobs
    assert len(emulator.ledger.cancels) == jobs  # one clean-up for any number of tasks
    assert len(await clean_up_after(run.id)) == jobs
    assert (await message_of(run) or "").startswith(MESSAGE_PREFIX)


@pytest.mark.parametrize("own", [as_in_the_guide, by_block])
async def test_own_flow_that_is_stopped_leaves_its_job(
    own: Flow[..., Any], aiware: AiwareCredentials, emulator: Emulator
) -> None:
    """The process unwinds, as when a worker stops, and the run is not cancelled: no cancel."""
    _, going, clock = await begun(own, emulator, aiware, 1)
    clock.go_on()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert emulator.ledger.cancels == []


async def test_own_run_is_tagged_before_its_first_submission(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """reap-orphans finds it by the tag if it ends badly; the run's own tags stay."""
    run, going, clock = await begun(for_many, emulator, aiware, 3)
    async with get_client() as api:
        assert set((await api.read_flow_run(run.id)).tags) == {"mine", "graphql-jobs"}
    clock.go_on()
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)


async def test_run_is_read_and_tagged_once(
    aiware: AiwareCredentials, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five submissions of one run: one update of its tags."""

    @flow
    async def five() -> None:
        credentials = await AiwareCredentials.aload("aiware")
        for _ in range(5):
            await submit_job(credentials, SPEC)

    with counted(monkeypatch) as made:
        await five()
    assert sum(one.startswith("PATCH") and "/flow_runs/" in one for one in made) == 1
    with tags("graphql-jobs"), counted(monkeypatch) as made:
        await five()
    assert not any(one.startswith("PATCH") for one in made)


async def test_cancel_while_a_create_is_pending_finds_the_job(
    aiware: AiwareCredentials, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled after the job was created and before the answer is read: the job is found by its key and cancelled."""
    emulator.aiware.pace = Pace(queued_s=600)
    held, send = asyncio.Event(), Session._send
    clock: FakeClock = aiware.get_client().session.clock  # type: ignore[assignment] # the fixture's

    async def sending(*args: Any, **kwargs: Any) -> Any:
        answer = await send(*args, **kwargs)
        if emulator.ledger.count("launchSingleEngineJob") == 1 and not held.is_set():
            clock.stop()
            held.set()
            await asyncio.Event().wait()
        return answer

    monkeypatch.setattr(Session, "_send", sending)
    async with get_client() as api:
        run = await api.create_flow_run(as_in_the_guide)
    engine: Any = run_flow
    going = asyncio.create_task(engine(as_in_the_guide, flow_run=run, return_type="state"))
    await held.wait()
    await cancel(run, going, clock)
    [made] = [one.job_id for one in emulator.ledger.submissions if one.job_id]
    assert [one.job_id for one in emulator.ledger.cancels if one.accepted] == [made]


async def test_jobs_that_others_submitted_are_left_running(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """A user's own sensor waits for a job that it did not submit: cancelling the sensor does not cancel the job."""
    emulator.faults.add(JobFault("stuck", times=None))  # before the job begins and ends
    async with aiware.get_client() as client:
        handle = await client.submit(TASKS)

    @flow
    async def sensor() -> None:
        await wait_for_job(await AiwareCredentials.aload("aiware"), handle)

    run, going, clock = await begun(sensor, emulator, aiware, 1)
    await cancel(run, going, clock)
    assert await clean_up_after(run.id) == []
    assert emulator.ledger.cancels == []
