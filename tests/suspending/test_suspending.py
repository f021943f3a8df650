"""A run suspends itself while it waits, a watcher resumes it, and it finds its job again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prefect.states import AwaitingConcurrencySlot, AwaitingRetry, Late, Running, Scheduled, Suspended

from blocks.runs.resumed import RESUMING, is_resumed
from graphql_jobs.emulator import JobFault
from tests.suspending.conftest import ENGINE, watch

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

    from graphql_jobs.emulator import Emulator
    from tasks.suspending.watcher import Watcher
    from tests.suspending.conftest import Runs

pytestmark = pytest.mark.prefect


async def test_suspended_run_is_resumed_and_finds_its_job(
    runs: Runs, watcher: Watcher, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """One job is submitted, although the flow runs twice. The log says "Submitted" once, and then "Continuing with"."""
    run = await runs.create("run-aiware-job", ENGINE)
    assert (await runs.execute(run)).name == "Suspended"
    await watch(watcher)
    assert (await runs.state(run)).name == "Resuming"
    assert (await runs.execute(run)).name == "Completed"
    jobs = [made.job_id for made in emulator.ledger.submissions if made.job_id]
    told = [line.split(" aiWARE job ")[0] for line in caplog.messages if "(launchSingleEngineJob" in line]
    assert (len(jobs), told) == (1, ["Submitted", "Continuing with"])


async def test_resumed_run_does_not_submit_its_failed_job_again(
    runs: Runs, watcher: Watcher, emulator: Emulator
) -> None:
    """The resumed run ends as JobFailed with the one job that it submitted. A retry of the run submits another."""
    emulator.faults.add(JobFault("job_fails", operation="launchSingleEngineJob"))
    run = await runs.create("run-aiware-job", ENGINE)
    await runs.execute(run)
    await watch(watcher)
    assert (await runs.execute(run)).name == "JobFailed"
    assert len([made for made in emulator.ledger.submissions if made.job_id]) == 1

    await runs.client.set_flow_run_state(run.id, AwaitingRetry(), force=True)
    await runs.execute(run)
    assert len([made for made in emulator.ledger.submissions if made.job_id]) == 2


async def test_resumed_run_that_waits_for_its_turn_is_a_resumed_one(runs: Runs) -> None:
    """Resumed, late and then in line for a slot. A run that is retried afterwards is not."""
    run = await runs.create("run-aiware-job", ENGINE)
    assert not await is_resumed(run.id)
    states: list[State[Any]] = [Suspended(), Scheduled(name=RESUMING), Late(), AwaitingConcurrencySlot(), Running()]
    for state in states:
        await runs.client.set_flow_run_state(run.id, state, force=True)
    assert await is_resumed(run.id)
    await runs.client.set_flow_run_state(run.id, AwaitingRetry(), force=True)
    assert not await is_resumed(run.id)
