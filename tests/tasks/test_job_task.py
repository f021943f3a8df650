"""The states of this project's Prefect tasks, and what the log of a run says about an expected end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.runtime import flow_run
from prefect.states import Cancelling

import tasks
from graphql_jobs import Deadlines, JobState, WaitPolicy
from graphql_jobs.emulator import Fault, JobFault
from graphql_jobs.errors import JobNotFound, WaitTimedOut
from graphql_jobs.providers.aiware import AiwareJobSpec, EngineTask
from tasks import downstream, recordings
from tests.flows.conftest import SUBMITTING
from tests.tasks.task_runs import task_run_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.client.schemas.objects import State

    from blocks import AiwareCredentials
    from graphql_jobs.emulator import Emulator

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("saved")]

SPEC = AiwareJobSpec.of(tasks=[EngineTask(engine_id="c0e55cde-340b-44d7-bb42-2e0d65e98255")])
SOON = WaitPolicy(deadlines=Deadlines(total_s=60))


class Log(logging.Handler):
    """The lines of Prefect's logs from WARNING on, as the UI shows them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {self.format(record)}")


@pytest.fixture
def log() -> Iterator[Log]:
    handler = Log()
    loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
    for logger in loggers:
        logger.addHandler(handler)
    yield handler
    for logger in loggers:
        logger.removeHandler(handler)


async def test_wait_for_a_failed_job_is_red_and_returns_the_job(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """`wait_for_job` and `wait_for_jobs`, with other options too: the state is JobFailed, and no error is raised."""
    emulator.faults.add(JobFault("job_fails", failure_message="the disk is full"))

    @flow
    async def mine() -> list[State[Any]]:
        handle = await tasks.submit_job(aiware, SPEC)
        job = await tasks.wait_for_job(aiware, handle)
        assert job.state is JobState.FAILED
        assert await tasks.wait_for_jobs(aiware, [handle]) == {handle.job_id: job}
        assert [one async for one in tasks.jobs_as_they_end(aiware, [handle])] == [(handle.job_id, job)]
        assert await tasks.wait_for_job.with_options(name="another")(aiware, handle) == job
        one: Any = tasks.wait_for_job(aiware, handle, return_state=True)
        several: Any = tasks.wait_for_jobs(aiware, [handle], return_state=True)
        states = [await one, await several]
        assert [await state.aresult() for state in states] == [job, {handle.job_id: job}]
        for state in states:
            assert (state.type, state.name, "the disk is full" in state.message) == (
                StateType.FAILED,
                "JobFailed",
                True,
            )
        return []

    await mine()


async def test_task_that_raises_ends_in_the_state_of_its_error(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """A wait that times out is TimedOut, a check of an unknown job JobLost; both raise as before."""
    emulator.faults.add(JobFault("stuck"))

    @flow
    async def mine() -> None:
        handle = await tasks.submit_job(aiware, SPEC)
        with pytest.raises(WaitTimedOut):
            await tasks.wait_for_job(aiware, handle, SOON)
        with pytest.raises(JobNotFound):
            await tasks.check_job(aiware, "unknown")
        waiting: Any = tasks.wait_for_job(aiware, handle, SOON, return_state=True)
        checking: Any = tasks.check_job(aiware, "unknown", return_state=True)
        states: list[State[Any]] = [await waiting, await checking]
        assert [(state.type, state.name) for state in states] == [
            (StateType.FAILED, "TimedOut"),
            (StateType.FAILED, "JobLost"),
        ]

    await mine()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (JobFault("job_fails", failure_message="the disk is full"), "the disk is full"),
        (JobFault("stuck"), "the deadline give_up_after_s=60"),
        (JobFault("status_for_ever", word="aborted"), "status 'aborted'"),
        (Fault("unauthorized", times=None), "credentials come from the block 'aiware'"),
    ],
    ids=["failed", "timed out", "cancelled there", "refused token"],
)
async def test_reason_of_an_expected_end_is_logged_once_without_a_traceback(
    fault: JobFault | Fault, reason: str, emulator: Emulator, log: Log
) -> None:
    """The flow's state has it; the line of the task's state names only the state."""
    emulator.faults.add(fault)
    case = SUBMITTING["aiware tasks"]
    state: State[Any] = await case.flow(**case.parameters, give_up_after_s=60, return_state=True)
    assert reason in str(state.message)
    assert [line for line in log.lines if "Traceback" in line or "NoneType" in line] == []
    assert len([line for line in log.lines if reason in line]) == 1, log.lines


async def test_wait_of_a_run_that_a_person_cancelled_is_cancelled(
    aiware: AiwareCredentials, emulator: Emulator, log: Log
) -> None:
    """The task run is Cancelled, with no line from WARNING on; one that only its process ends is Crashed, as before."""
    emulator.faults.add(JobFault("stuck", times=None))
    waiting = asyncio.Event()
    started: list[UUID] = []

    @flow
    async def mine() -> None:
        started.append(UUID(str(flow_run.id)))
        handle = await tasks.submit_job(aiware, SPEC)
        waiting.set()
        await tasks.wait_for_job(aiware, handle)

    for is_by_a_person in (True, False):
        waiting.clear()
        running = asyncio.create_task(mine())
        await waiting.wait()
        if is_by_a_person:
            async with get_client() as client:
                await client.set_flow_run_state(started[-1], Cancelling(), force=True)
        polls = len(emulator.ledger.requests)
        while len(emulator.ledger.requests) < polls + 2:  # noqa: ASYNC110 (the ledger has no event)
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert len(await task_run_names(started[0], 1, "Cancelled")) == 1
    assert len(await task_run_names(started[1], 1, "Crashed")) == 1
    assert await task_run_names(started[0], 0, "Crashed") == []
    of_tasks = [line for line in log.lines if line.startswith("prefect.task_runs")]
    assert ["Crash detected" in line for line in of_tasks] == [True, False], log.lines
    assert "Finished in state Crashed" in of_tasks[1]


async def test_task_that_reads_or_starts_is_cancelled_with_its_run(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person cancels while a listing is read and a deployment is started: no task run is Crashed, no line is red."""
    reached: list[str] = []

    async def hangs(what: str, **_: Any) -> None:
        reached.append(what)
        await asyncio.Event().wait()

    monkeypatch.setattr(recordings, "_fetch", hangs)
    monkeypatch.setattr(downstream, "arun_deployment", hangs)

    @flow
    async def mine() -> None:
        async with get_client() as client:
            reached.append(str(flow_run.id))
            listing = recordings.list_recordings("https://media.example.com/night/", "*")
            starting = asyncio.gather(listing, tasks.start_deployment("store-results/store-results", {}, "once"))
            while len(reached) < 3:  # noqa: ASYNC110 (two task runs begin)
                await asyncio.sleep(0.01)
            await client.set_flow_run_state(UUID(reached[0]), Cancelling(), force=True)
            starting.cancel()
            await starting

    with pytest.raises(asyncio.CancelledError):
        await mine()
    names = ["list recordings", "start store-results/store-results"]
    assert await task_run_names(reached[0], len(names), "Cancelled") == names
    assert [line for line in log.lines if line.startswith("prefect.task_runs")] == []
