"""A run that a person cancels stays cancelled, at whatever step of its resumption the cancel comes."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.states import AwaitingRetry, Cancelling, Scheduled

from graphql_jobs.emulator import JobFault
from tasks.suspending import resume, suspend
from tasks.suspending.resume import keep_cancelled
from tasks.suspending.watcher import Watcher
from tests.suspending.conftest import ENGINE, FOREVER, clock_of, counts, eventually, finish, was_polled, watch, watching

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from prefect.client.schemas.objects import FlowRun

    from graphql_jobs.emulator import Emulator
    from graphql_jobs.emulator.aiware.model import Job
    from tests.suspending.conftest import Runs

pytestmark = pytest.mark.prefect

#: The calls of Prefect's client by which a watcher wakes a run.
CALLS = (
    *("read_flow_run", "filter_flow_run_input", "create_flow_run_input", "read_flow_run_states"),
    *("resume_flow_run", "set_flow_run_state", "update_flow_run"),
)


class Between:
    """Does something once, before the call of Prefect's client with a number."""

    def __init__(self, number: int, act: Callable[[], Awaitable[object]]) -> None:
        self.number, self.calls, self._act = number, 0, act
        self.acted_before = ""

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for name in CALLS:
            patch.setattr(PrefectClient, name, self._wrapped(getattr(PrefectClient, name), name))

    def _wrapped(self, call: Callable[..., Awaitable[Any]], name: str) -> Callable[..., Awaitable[Any]]:
        async def wrapped(client: PrefectClient, *args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self.number:
                self.acted_before = name
                await self._act()
            return await call(client, *args, **kwargs)

        return wrapped


async def cancelled_by_a_person(runs: Runs, run: FlowRun) -> None:
    """What the UI does."""
    await runs.client.set_flow_run_state(run.id, Cancelling())


@pytest.mark.parametrize("on_failure", ["resume", "fail"])
async def test_cancel_in_each_step_is_final(runs: Runs, emulator: Emulator, job: Job, on_failure: str) -> None:
    """Before each request in turn. Only a run that had ended before the cancel is not cancelled."""
    finish(job, "failed" if on_failure == "fail" else "complete")
    number = 0
    for number in count(1):
        run = await runs.sensor(job.id, on_failure=on_failure)
        between = Between(number, partial(cancelled_by_a_person, runs, run))
        with pytest.MonkeyPatch.context() as patch:
            between.install(patch)
            await watch(Watcher(clock=clock_of(emulator)))
        names = await runs.names(run)
        if not between.acted_before:  # the watcher makes no further request
            break
        ended = names[-1] == "JobFailed" and "Cancelled" not in names
        assert names[-1] == "Cancelled" or ended, f"cancelled before {number}, {between.acted_before}: {names}"
    assert number > 5


async def test_watcher_cancels_the_job_of_a_run_that_a_person_cancels(
    runs: Runs, emulator: Emulator, watcher: Watcher
) -> None:
    """It needs no process for that. The clean-up deployment then says so in the run's state."""
    emulator.faults.add(JobFault("stuck", times=None))
    run = await runs.create("run-aiware-job", ENGINE | FOREVER)
    await runs.execute(run)
    async with watching(watcher):
        await eventually(lambda: was_polled(watcher))
        await cancelled_by_a_person(runs, run)
        await eventually(lambda: is_cancelled(emulator))
        await eventually(lambda: counts(watcher, 0))
    assert (await runs.state(run)).name == "Cancelled"
    assert [cancel.accepted for cancel in emulator.ledger.cancels] == [True]


async def is_cancelled(emulator: Emulator) -> bool:
    return bool(emulator.ledger.cancels)


@pytest.mark.parametrize("watcher_dies", [False, True])
async def test_resumption_that_prefect_accepts_beside_a_cancel_is_undone(
    runs: Runs, emulator: Emulator, job: Job, monkeypatch: pytest.MonkeyPatch, watcher_dies: bool
) -> None:
    """On PostgreSQL both are accepted. The cancel is repeated, which starts the clean-up once more.

    If the watcher dies in between, the next one does it.
    """
    run = await runs.sensor(job.id)
    finish(job)

    monkeypatch.setattr(PrefectClient, "resume_flow_run", _accepting(runs, run))
    with pytest.MonkeyPatch.context() as patch:
        if watcher_dies:
            patch.setattr(resume, "settle", _nothing)
            patch.setattr("tasks.suspending.watcher.settle", _nothing)
        await watch(Watcher(clock=clock_of(emulator)))
    if watcher_dies:
        assert (await runs.names(run))[-1] == "Resuming"
        await watch(Watcher(clock=clock_of(emulator)))
    assert (await runs.names(run))[-3:] == ["Cancelled", "Resuming", "Cancelled"]


async def test_cancelled_run_that_was_revived_does_not_go_on(
    runs: Runs, emulator: Emulator, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watcher dies after a resumption beside a cancel, and a worker starts the run before the next watcher."""
    run = await runs.sensor(job.id)
    finish(job)
    monkeypatch.setattr(PrefectClient, "resume_flow_run", _accepting(runs, run))
    monkeypatch.setattr(resume, "settle", _nothing)
    monkeypatch.setattr("tasks.suspending.watcher.settle", _nothing)
    await watch(Watcher(clock=clock_of(emulator)))
    waits, killed = asyncio.Event(), asyncio.Event()

    async def until_killed() -> None:
        waits.set()
        await killed.wait()

    monkeypatch.setattr(suspend, "_until_killed", until_killed, raising=False)
    process = asyncio.create_task(runs.execute(run))
    process.add_done_callback(lambda _: waits.set())
    await waits.wait()
    assert (await runs.names(run))[-2:] == ["Running", "Cancelling"]
    process.cancel()
    await asyncio.gather(process, return_exceptions=True)


async def _nothing(*_: object) -> None:
    """The watcher has died."""


def _accepting(runs: Runs, run: FlowRun) -> Any:
    async def both(client: PrefectClient, run_id: Any) -> Any:
        await cancelled_by_a_person(runs, run)
        return await client.set_flow_run_state(run_id, Scheduled(name="Resuming"), force=True)

    return both


async def test_cancel_does_not_interrupt_the_watcher_that_resumes_the_run(
    runs: Runs, emulator: Emulator, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watcher learns of the cancel while it waits for the answer to its resumption: it still repeats the cancel."""
    run = await runs.sensor(job.id)
    finish(job)
    watcher = Watcher(clock=clock_of(emulator))

    async def both(client: PrefectClient, run_id: Any) -> Any:
        result = await _accepting(runs, run)(client, run_id)
        watcher._take(run.id, await client.read_flow_run(run.id))
        return result

    monkeypatch.setattr(PrefectClient, "resume_flow_run", both)
    await watch(watcher)
    assert (await runs.names(run))[-1] == "Cancelled"


async def test_run_that_is_started_again_after_its_cancel_goes_on(runs: Runs, emulator: Emulator, job: Job) -> None:
    """A person retries the cancelled run in the UI: neither a watcher nor the run cancels it again."""
    run = await runs.sensor(job.id)
    await cancelled_by_a_person(runs, run)
    finish(job)
    await runs.client.set_flow_run_state(run.id, AwaitingRetry(), force=True)
    await keep_cancelled(run.id)
    assert (await runs.execute(run)).name == "Completed"
