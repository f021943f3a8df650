"""`on_timeout`: what happens to a job whose deadline has passed."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed, Running

from graphql_jobs.emulator import Emulator, Fault, JobFault, Pace
from tests.flows.conftest import SUBMITTING, MakeRun, Run, jobs, made

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("saved")]

AIWARE, DATASAUR = ["aiware engine", "aiware tasks"], ["auto-label", "export", "project"]


@pytest.mark.parametrize("name", AIWARE)
async def test_queued_job_is_cancelled(name: str, run: Run, emulator: Emulator) -> None:
    """The job never ran, on_timeout="cancel": cancelled once at aiWARE; the state says so and names the deadline."""
    emulator.faults.add(JobFault("stuck"))
    state = await run(SUBMITTING[name], give_up_after_s=600, on_timeout="cancel")
    assert (state.type, state.name) == (StateType.FAILED, "TimedOut")
    assert "total_s=600" in str(state.message)
    assert "It was cancelled: cancelled (status " in str(state.message)
    assert "may still finish" not in str(state.message)
    assert [(cancel.job_id, cancel.accepted) for cancel in emulator.ledger.cancels] == [(jobs(emulator)[0], True)]


@pytest.mark.parametrize("name", AIWARE)
async def test_running_job_is_left_running_if_the_provider_refuses(name: str, run: Run, emulator: Emulator) -> None:
    """aiWARE refuses once a task runs: the state says that the job should be cancelled, and was left running."""
    emulator.faults.add(JobFault("stuck", word="running"))
    state = await run(SUBMITTING[name], running_at_most_s=60, on_timeout="cancel")
    assert (state.name, "running_s=60" in str(state.message)) == ("TimedOut", True)
    assert "It was to be cancelled: " in str(state.message)
    assert "left running at aiWARE" in str(state.message)
    assert [cancel.accepted for cancel in emulator.ledger.cancels] == [False]


@pytest.mark.parametrize("name", AIWARE)
async def test_job_that_does_not_show_yet_is_cancelled_once_it_does(name: str, run: Run, emulator: Emulator) -> None:
    """Hidden for 20 s and given up after 5: it is polled for `visibility_s` and then cancelled."""
    emulator.aiware.pace = Pace(queued_s=600)
    emulator.faults.add(JobFault("not_visible", delay_s=20))
    state = await run(SUBMITTING[name], unseen_at_most_s=5, on_timeout="cancel")
    assert (state.name, "unseen_s=5" in str(state.message)) == ("TimedOut", True)
    assert "It was cancelled: cancelled (status 'aborted')." in str(state.message)
    assert [cancel.job_id for cancel in emulator.ledger.cancels if cancel.accepted] == jobs(emulator)


@pytest.mark.parametrize("name", AIWARE)
async def test_late_job_that_another_run_waits_for_is_left(name: str, make_run: MakeRun, emulator: Emulator) -> None:
    """Two runs with one key: the second's deadline passes while the first waits, and after the first has crashed."""
    emulator.faults.add(JobFault("stuck"))
    case, given = SUBMITTING[name], {"key": f"overdue {name}", "give_up_after_s": 600}
    first, second = await make_run(case, **given), await make_run(case, **given, on_timeout="cancel")
    assert (await first()).name == "TimedOut"
    await first.set_state(Running())
    state = await second()
    assert f"It was left running, since run {await first.name()!r} ({first.id}) waits for it too." in str(state.message)
    assert emulator.ledger.cancels == []
    await first.set_state(Crashed())
    assert "It was cancelled: cancelled" in str((await second()).message)
    assert [cancel.job_id for cancel in emulator.ledger.cancels] == jobs(emulator)


async def test_last_of_two_runs_that_time_out_cancels(make_run: MakeRun, emulator: Emulator) -> None:
    """The first has stopped waiting, and its run has not ended: it does not prevent the cancel."""
    emulator.faults.add(JobFault("stuck"))
    case, given = SUBMITTING["aiware engine"], {"key": "given up together", "give_up_after_s": 600}
    first, second = await make_run(case, **given, on_timeout="cancel"), await make_run(case, **given)
    assert (await second()).name == "TimedOut"
    await second.set_state(Running())
    assert "It was left running, since run " in str((await first()).message)
    await first.set_state(Running())
    await second.set_state(Crashed())
    second.parameters["on_timeout"] = "cancel"
    assert "It was cancelled: cancelled" in str((await second()).message)


async def test_job_is_left_if_other_waiting_runs_are_unknown(
    make_run: MakeRun, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect's API fails at that time: TimedOut names the deadline, and the job is left running."""
    emulator.faults.add(JobFault("stuck"))
    run = await make_run(SUBMITTING["aiware engine"], give_up_after_s=600, on_timeout="cancel")

    async def failing(*_: Any) -> None:
        raise ConnectionError("Prefect's API is away")

    monkeypatch.setattr("tasks.timeout.who_waits_too", failing)
    state = await run()
    assert (state.name, "total_s=600" in str(state.message)) == ("TimedOut", True)
    assert "left running, since it is unknown whether another run waits for it too: ConnectionError" in str(
        state.message
    )
    assert emulator.ledger.cancels == []


@pytest.mark.parametrize("name", AIWARE)
async def test_confirmed_cancel_is_written_down(name: str, make_run: MakeRun, emulator: Emulator) -> None:
    """The next attempt therefore does not wait for a job that was cancelled and has disappeared."""
    emulator.faults.add(JobFault("stuck"))
    run = await make_run(SUBMITTING[name], give_up_after_s=600, on_timeout="cancel")
    await run()
    entry = [entry for entry in (await run.inputs()).values() if entry["kind"] == "cancelled"]
    assert [(one["confirmed"], one["message"]) for one in entry] == [(True, "cancelled (status 'aborted').")]


@pytest.mark.parametrize("name", DATASAUR)
async def test_datasaur_job_is_left_running_and_the_state_says_so(name: str, run: Run, emulator: Emulator) -> None:
    """Datasaur has no cancel: the state says "left running at Datasaur"."""
    emulator.faults.add(JobFault("stuck"))
    state = await run(SUBMITTING[name], give_up_after_s=600, on_timeout="cancel")
    assert state.name == "TimedOut"
    assert "left running at Datasaur" in str(state.message)
    assert emulator.ledger.cancels == []


async def test_cancel_that_fails_does_not_hide_the_deadline(run: Run, emulator: Emulator) -> None:
    """aiWARE always answers the cancel with 503: TimedOut still names the deadline, and the failure."""
    emulator.faults.add(JobFault("stuck"), Fault("server_error", operation="cancelJob", times=None, status=503))
    state = await run(SUBMITTING["aiware engine"], give_up_after_s=600, on_timeout="cancel")
    assert (state.name, "total_s=600" in str(state.message)) == ("TimedOut", True)
    assert "It was to be cancelled: aiWARE cancelJob" in str(state.message)
    assert emulator.ledger.cancels == []


@pytest.mark.parametrize("name", AIWARE)
async def test_job_that_was_cancelled_for_its_deadline_is_submitted_again(
    name: str, make_run: MakeRun, emulator: Emulator
) -> None:
    """The next attempt does not continue with a cancelled job: it submits a second one, which succeeds."""
    emulator.faults.add(JobFault("stuck"))
    run = await make_run(SUBMITTING[name], give_up_after_s=600, on_timeout="cancel")
    assert [(await run()).name for _ in range(2)] == ["TimedOut", "Completed"]
    assert made(emulator) == SUBMITTING[name].makes * 2
    assert len(emulator.ledger.cancels) == 1


@pytest.mark.parametrize("name", SUBMITTING)
async def test_job_that_ends_in_time_is_not_cancelled(name: str, run: Run, emulator: Emulator) -> None:
    """on_timeout="cancel" with a quick job: Completed, and no cancel was sent."""
    assert (await run(SUBMITTING[name], on_timeout="cancel")).name == "Completed"
    assert emulator.ledger.cancels == []
