"""What becomes of a job whose deadline has passed: `on_timeout`."""

from __future__ import annotations

import pytest
from prefect.client.schemas.objects import StateType

from graphql_jobs.emulator import Emulator, Fault, JobFault
from tests.flows.conftest import SUBMITTING, MakeRun, Run, jobs, made

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("saved")]

AIWARE, DATASAUR = ["aiware engine", "aiware tasks"], ["auto-label", "export", "project"]


@pytest.mark.parametrize("name", AIWARE)
async def test_a_queued_job_is_cancelled(name: str, run: Run, emulator: Emulator) -> None:
    """Never began to run, on_timeout="cancel": cancelled at aiWARE, once, and the state says that and the deadline."""
    emulator.faults.add(JobFault("stuck"))
    state = await run(SUBMITTING[name], give_up_after_s=600, on_timeout="cancel")
    assert (state.type, state.name) == (StateType.FAILED, "TimedOut")
    assert "total_s=600" in str(state.message)
    assert "It was cancelled: cancelled (status " in str(state.message)
    assert "may still finish" not in str(state.message)
    assert [(cancel.job_id, cancel.accepted) for cancel in emulator.ledger.cancels] == [(jobs(emulator)[0], True)]


@pytest.mark.parametrize("name", AIWARE)
async def test_a_running_job_is_left_running_if_the_provider_refuses(name: str, run: Run, emulator: Emulator) -> None:
    """aiWARE refuses once a task runs: the state says that it was to be cancelled, and that it was left running."""
    emulator.faults.add(JobFault("stuck", word="running"))
    state = await run(SUBMITTING[name], running_at_most_s=60, on_timeout="cancel")
    assert (state.name, "running_s=60" in str(state.message)) == ("TimedOut", True)
    assert "It was to be cancelled: " in str(state.message)
    assert "left running at aiWARE" in str(state.message)
    assert [cancel.accepted for cancel in emulator.ledger.cancels] == [False]


@pytest.mark.parametrize("name", DATASAUR)
async def test_at_datasaur_the_job_is_left_running_and_the_state_says_so(
    name: str, run: Run, emulator: Emulator
) -> None:
    """There is no cancel: "left running at Datasaur", plainly."""
    emulator.faults.add(JobFault("stuck"))
    state = await run(SUBMITTING[name], give_up_after_s=600, on_timeout="cancel")
    assert state.name == "TimedOut"
    assert "left running at Datasaur" in str(state.message)
    assert emulator.ledger.cancels == []


async def test_a_cancel_that_fails_does_not_hide_the_deadline(run: Run, emulator: Emulator) -> None:
    """aiWARE answers the cancel with 503 for ever: TimedOut still names the deadline, and the failure."""
    emulator.faults.add(JobFault("stuck"), Fault("server_error", operation="cancelJob", times=None, status=503))
    state = await run(SUBMITTING["aiware engine"], give_up_after_s=600, on_timeout="cancel")
    assert (state.name, "total_s=600" in str(state.message)) == ("TimedOut", True)
    assert "It was to be cancelled: aiware cancelJob" in str(state.message)
    assert emulator.ledger.cancels == []


@pytest.mark.parametrize("name", AIWARE)
async def test_a_job_that_was_cancelled_for_its_deadline_is_submitted_anew(
    name: str, make_run: MakeRun, emulator: Emulator
) -> None:
    """The next attempt does not go on with a cancelled job: a second one, which succeeds."""
    emulator.faults.add(JobFault("stuck"))
    run = await make_run(SUBMITTING[name], give_up_after_s=600, on_timeout="cancel")
    assert [(await run()).name for _ in range(2)] == ["TimedOut", "Completed"]
    assert made(emulator) == SUBMITTING[name].makes * 2
    assert len(emulator.ledger.cancels) == 1


@pytest.mark.parametrize("name", SUBMITTING)
async def test_a_job_that_ends_in_time_is_not_cancelled(name: str, run: Run, emulator: Emulator) -> None:
    """on_timeout="cancel" with a job that is quick: completed, and nothing was cancelled."""
    assert (await run(SUBMITTING[name], on_timeout="cancel")).name == "Completed"
    assert emulator.ledger.cancels == []
