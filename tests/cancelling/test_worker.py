"""Cancelling on a process worker: a person's cancel reaches the provider, a worker's stop does not."""

from __future__ import annotations

import logging
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from prefect import flow
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.deployments import arun_deployment
from prefect.states import AwaitingRetry, Cancelling

from tasks.cancelling.layers import MESSAGE_PREFIX, clean_up_after
from tests.cancelling.conftest import (
    LABEL,
    QUEUED,
    RUNNING,
    ended,
    job_of,
    kill_dead,
    process_of,
    record_of,
    start,
    state_name,
    told,
    until,
    waiting,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

    from tests.cancelling.conftest import Installation

pytestmark = pytest.mark.prefect

logger = logging.getLogger(__name__)


async def test_a_cancel_in_each_state_reaches_the_provider(installation: Installation, client: PrefectClient) -> None:
    """A queued, a running and a Datasaur job in turn; right after the start; before it; and with the process killed.

    The state says for each job whether it was cancelled, and the clean-ups end.
    """
    queued, running, label, early, killed = [
        await start(client, name, parameters)
        for name, parameters in [
            ("run-aiware-job/aiware-tasks", QUEUED),
            ("run-aiware-job/aiware-tasks", RUNNING),
            ("run-datasaur-auto-label/datasaur-auto-label", LABEL),
            ("run-aiware-job/aiware-tasks", QUEUED),
            ("run-aiware-job/aiware-tasks", QUEUED),
        ]
    ]
    later = await start(client, "run-aiware-job/aiware-tasks", QUEUED, datetime.now(UTC) + timedelta(hours=1))
    await client.set_flow_run_state(later.id, Cancelling())
    await cancel_while(client, early, is_running)
    await kill_dead(client, killed)
    asked_at: dict[UUID, float] = {}
    for run in (queued, running, label):
        await waiting(installation, run)
        asked_at[run.id] = time.time()
        await client.set_flow_run_state(run.id, Cancelling())
    messages = [await told(client, run) for run in (queued, running, label, killed)]
    for run in (queued, running, label):
        await until(wait_is_cancelled(client, run), f"the task run that waits in run {run.name} to be Cancelled")

    jobs = [await job_of(run) for run in (queued, running, label, killed)]
    accepted = [[cancel["accepted"] for cancel in installation.cancels(job)] for job in jobs]
    assert (accepted[0], set(accepted[1]), accepted[2], accepted[3]) == ([True], {False}, [], [True])
    for run, job in zip((queued, running), jobs[:2], strict=True):
        logger.info("The first cancel came after %.1f s.", installation.cancels(job)[0]["at"] - asked_at[run.id])
    assert messages[0] == f"{MESSAGE_PREFIX}aiWARE job {jobs[0]}: cancelled (status 'aborted')."
    assert "left running at aiWARE: RUNNING" in messages[1]
    assert messages[2].endswith("left running at Datasaur.")
    assert messages[3] == f"{MESSAGE_PREFIX}aiWARE job {jobs[3]}: cancelled (status 'aborted')."
    await until(ended(client, early), "the run that was cancelled right after its start to end")
    assert (await state_name(client, early), await state_name(client, later)) == ("Cancelled", "Cancelled")
    if early_job := (await record_of(early)).handle:  # it may have been stopped before it submitted
        assert (await told(client, early)).endswith(f"{early_job.job_id}: cancelled (status 'aborted').")
    # Once for each of these runs; a runner may set Cancelled twice. The installation has runs of other tests too.
    cancelled = [f"prefect.flow-run.{run.id}" for run in (queued, running, label, early, killed, later)]
    cleaned = await clean_ups(client, cancelled)
    assert {cleaned[name] for name in cancelled} <= {1, 2}


async def test_a_worker_that_stops_cancels_nothing_and_the_next_one_goes_on(
    installation: Installation, client: PrefectClient
) -> None:
    """SIGTERM to the worker, another worker, the run again: the same job, submitted once; then a cancel works."""
    run = await start(client, "run-aiware-job/aiware-tasks", QUEUED)
    await waiting(installation, run)
    job = await job_of(run)
    process = await process_of(client, run)
    await installation.exchange_worker()
    assert not process.is_running()
    state = (await client.read_flow_run(run.id)).state
    assert state is not None
    assert not state.is_cancelled()  # Prefect leaves it Running
    assert await clean_up_after(run.id) == []
    assert installation.cancels(job) == []

    looks = installation.looks(job)
    await client.set_flow_run_state(run.id, AwaitingRetry(), force=True)

    async def looked_again() -> bool:
        return installation.looks(job) > looks + 1  # the first poll is that of the submission, which adopts it

    await until(looked_again, "the next worker to wait for the job")
    assert await job_of(run) == job
    await client.set_flow_run_state(run.id, Cancelling())
    assert await told(client, run) == f"{MESSAGE_PREFIX}aiWARE job {job}: cancelled (status 'aborted')."
    assert [cancel["accepted"] for cancel in installation.cancels(job)] == [True]


async def test_a_run_that_another_one_started_is_cancelled_alone(
    installation: Installation, client: PrefectClient
) -> None:
    """A flow starts it by `run_deployment` and ends: the job belongs to the started run, and so does the cancel."""

    @flow
    async def starter() -> UUID:
        return (await arun_deployment("run-aiware-job/aiware-tasks", parameters=QUEUED, timeout=0)).id

    started = await client.read_flow_run(await starter())
    assert started.parent_task_run_id is not None
    await waiting(installation, started)
    job = await job_of(started)
    await client.set_flow_run_state(started.id, Cancelling())
    assert await told(client, started) == f"{MESSAGE_PREFIX}aiWARE job {job}: cancelled (status 'aborted')."
    assert [cancel["accepted"] for cancel in installation.cancels(job)] == [True]


def wait_is_cancelled(client: PrefectClient, run: FlowRun) -> Callable[[], Awaitable[bool]]:
    """Whether the run's task run that waits is Cancelled, and not Crashed."""
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))

    async def look() -> bool:
        found = await client.read_task_runs(flow_run_filter=of_run)
        return [one.state_name for one in found if one.name.startswith("wait for")] == ["Cancelled"]

    return look


async def is_running(client: PrefectClient, run: FlowRun) -> bool:
    return await state_name(client, run) == "Running"


async def cancel_while(
    client: PrefectClient, run: FlowRun, ready: Callable[[PrefectClient, FlowRun], Awaitable[bool]]
) -> None:
    async def now() -> bool:
        return await ready(client, run)

    await until(now, f"the moment to cancel run {run.name}")
    await client.set_flow_run_state(run.id, Cancelling())


async def clean_ups(client: PrefectClient, cancelled: list[str]) -> Counter[str]:
    """How often each run was cleaned up after, once all named runs were and all clean-ups have ended.

    The server turns an event into a clean-up later, and a run without a job gives no other sign of it.
    """
    deployment = await client.read_deployment_by_name("cancel-remote-jobs/cancel-remote-jobs")
    runs: list[FlowRun] = []
    cleaned: Counter[str] = Counter()

    async def all_ended() -> bool:
        runs[:] = [run for run in await client.read_flow_runs() if run.deployment_id == deployment.id]
        cleaned.clear()
        cleaned.update(run.parameters["cancelled_run"] for run in runs)
        are_final = all(run.state is not None and run.state.is_final() for run in runs)
        return are_final and cleaned.keys() >= set(cancelled)

    await until(all_ended, "a clean-up of every cancelled run, and the end of all")
    assert {run.state.name for run in runs if run.state} == {"Completed"}
    return cleaned
