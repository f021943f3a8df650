"""A run suspends itself while it waits, a watcher resumes it, and it finds its job again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prefect.states import AwaitingRetry

from graphql_jobs.emulator import JobFault
from tests.suspending.conftest import ENGINE, watch

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator
    from tasks.suspending.watcher import Watcher
    from tests.suspending.conftest import Runs

pytestmark = pytest.mark.prefect


async def test_suspended_run_is_resumed_and_finds_its_job(runs: Runs, watcher: Watcher, emulator: Emulator) -> None:
    """One job is submitted, although the flow runs twice."""
    run = await runs.create("run-aiware-job", ENGINE)
    assert (await runs.execute(run)).name == "Suspended"
    await watch(watcher)
    assert (await runs.state(run)).name == "Resuming"
    assert (await runs.execute(run)).name == "Completed"
    assert len([made for made in emulator.ledger.submissions if made.job_id]) == 1


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
