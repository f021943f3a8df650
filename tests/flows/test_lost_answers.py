"""Submissions whose answer is lost: the job is found again if possible, and never sent twice on a guess."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.schemas.objects import StateType

from graphql_jobs.clock import instant
from graphql_jobs.emulator import Emulator, Fault, JobFault
from tests.flows.conftest import SUBMITTING, MakeRun, Run, jobs, made

if TYPE_CHECKING:
    from tests.conftest import Deploy, RunsOf

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("saved")]

LABEL = SUBMITTING["auto-label"]
FOUND = ["aiware engine", "aiware tasks", "project"]
#: The work was done, and the answer is lost.
LOST = ["drop_after", "truncate", "server_error_after"]
#: No work was done, which looks the same to the client: a broken connection, a page of a proxy.
NOT_DONE = ["drop_before", "garbage"]


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("name", FOUND)
async def test_job_whose_response_is_lost_is_found(
    name: str, kind: Any, run: Run, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """The run continues with the created job: sent once, one job under one key, completed, one downstream run."""
    case = SUBMITTING[name]
    downstream = await deploy(f"after-found-{name.replace(' ', '-')}-{kind}")
    emulator.faults.add(Fault(kind, operation=case.operation))
    state = await run(case, downstream=[downstream])
    assert state.name == "Completed", state.message
    assert made(emulator) == case.makes
    assert emulator.ledger.count(case.operation) == 1
    assert list(emulator.ledger.jobs_by_key().values()) == [jobs(emulator)]
    assert len(await runs_of(downstream)) == 1


@pytest.mark.parametrize("kind", NOT_DONE)
@pytest.mark.parametrize("name", FOUND)
async def test_submission_that_never_arrived_is_sent_again_once_that_is_sure(
    name: str, kind: Any, run: Run, emulator: Emulator
) -> None:
    """The request failed before the work: the job is not found within the visibility delay, and sent again: one job."""
    case, began_at = SUBMITTING[name], emulator.clock.now()
    emulator.faults.add(Fault(kind, operation=case.operation))
    state = await run(case)
    assert state.name == "Completed", state.message
    assert emulator.ledger.count(case.operation) == 2
    assert [len(ids) for ids in emulator.ledger.jobs_by_key().values()] == [1]
    sent_at = [record.at for record in emulator.ledger.requests if case.operation in record.operation]
    assert sent_at[1] - began_at >= {"aiware": 30, "datasaur": 300}[emulator.ledger.submissions[-1].provider]


@pytest.mark.parametrize("kind", [*LOST, *NOT_DONE])
@pytest.mark.parametrize("name", ["aiware engine", "aiware tasks"])
async def test_container_whose_response_is_lost_is_created_again(
    name: str, kind: Any, run: Run, emulator: Emulator
) -> None:
    """A second container does no harm, and only the last one has a job: one job."""
    case = SUBMITTING[name]
    emulator.faults.add(Fault(kind, operation=case.container))
    assert (await run(case)).name == "Completed"
    assert made(emulator) == [case.container] * (1 if kind in NOT_DONE else 2) + [case.operation]
    *_, container, job = emulator.ledger.submissions
    assert (job.target_id, job.key) == (container.target_id, container.key)


@pytest.mark.parametrize("kind", [*LOST, *NOT_DONE])
async def test_export_whose_response_is_lost_is_sent_again(
    kind: Any, run: Run, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """A second export does no harm, and only its answer has the file's address: completed with the second."""
    downstream = await deploy(f"after-a-lost-export-{kind}")
    emulator.faults.add(Fault(kind, operation="exportTextProject"))
    state = await run(SUBMITTING["export"], downstream=[downstream])
    assert state.name == "Completed", state.message
    assert made(emulator) == ["exportTextProject"] * (1 if kind in NOT_DONE else 2)
    [started] = await runs_of(downstream)
    assert [entry["job_id"] for entry in started.parameters["jobs"]] == jobs(emulator)[-1:]


@pytest.mark.parametrize("kind", [*LOST, *NOT_DONE])
async def test_auto_label_whose_response_is_lost_is_not_sent_again(
    kind: Any, make_run: MakeRun, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """The job cannot be searched for: SubmissionUnknown says what was sent, when, and what to do; a second attempt of
    the run ends with the same message and sends nothing.
    """
    downstream = await deploy(f"after-a-lost-label-{kind}")
    emulator.faults.add(Fault(kind, operation=LABEL.operation))
    sent_at = instant(emulator.clock.now()).isoformat(timespec="seconds")
    run = await make_run(LABEL, downstream=[downstream])
    state = await run()
    assert (state.type, state.name) == (StateType.FAILED, "SubmissionUnknown")
    message = str(state.message)
    assert message.startswith(f"Datasaur {LABEL.operation} (project {LABEL.parameters['project_id']}")
    assert f"sent at {sent_at}" in message
    assert "Search Datasaur" in message
    assert "submit again" in message
    emulator.clock.advance(3600)
    again = await run()
    assert (again.name, again.message) == ("SubmissionUnknown", message)
    assert made(emulator) == [] if kind in NOT_DONE else [LABEL.operation]
    assert emulator.ledger.count(LABEL.operation) == 1
    assert await runs_of(downstream) == []


@pytest.mark.parametrize("kind", [*LOST, *NOT_DONE])
async def test_auto_label_is_sent_again_with_on_unknown_resubmit(
    kind: Any, make_run: MakeRun, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """on_unknown="resubmit": two jobs at most, completed with the second, which later attempts adopt."""
    downstream = await deploy(f"after-a-label-sent-again-{kind}")
    emulator.faults.add(Fault(kind, operation=LABEL.operation))
    run = await make_run(LABEL, on_unknown="resubmit", downstream=[downstream])
    for _ in range(2):
        state = await run()
        assert state.name == "Completed", state.message
        assert (await state.result())["job_id"] == jobs(emulator)[-1]
    assert made(emulator) == [LABEL.operation] * (1 if kind in NOT_DONE else 2)
    assert emulator.ledger.count(LABEL.operation) == 2
    assert len(await runs_of(downstream)) == 1


async def test_unknown_submission_of_a_key_is_sent_again_with_on_unknown_resubmit(run: Run, emulator: Emulator) -> None:
    """Runs 1 and 2 with a key end as SubmissionUnknown; run 3 has on_unknown="resubmit", and run 4 adopts its job."""
    emulator.faults.add(Fault("drop_after", operation=LABEL.operation))
    states = [await run(LABEL, key="unknown", on_unknown=how) for how in ("fail", "fail", "resubmit", "fail")]
    assert [state.name for state in states] == ["SubmissionUnknown"] * 2 + ["Completed"] * 2
    assert states[0].message == states[1].message
    assert made(emulator) == [LABEL.operation] * 2
    assert (await states[3].result())["job_id"] == jobs(emulator)[1]


async def test_job_is_submitted_once_though_every_response_is_lost(run: Run, emulator: Emulator) -> None:
    """on_unknown="resubmit" and every answer is lost: SubmissionUnknown says how often the create was sent."""
    emulator.faults.add(Fault("drop_after", operation=LABEL.operation, times=None))
    state = await run(LABEL, on_unknown="resubmit")
    assert state.name == "SubmissionUnknown", state.message
    assert f"{len(jobs(emulator))} attempts were made" in str(state.message)


@pytest.mark.parametrize("name", ["aiware engine", "aiware tasks"])
async def test_job_that_shows_late_is_found(name: str, run: Run, emulator: Emulator) -> None:
    """The answer is lost and the job hidden for 20 of the 30 s of `visibility_s`: found, not sent again."""
    case = SUBMITTING[name]
    emulator.faults.add(Fault("drop_after", operation=case.operation), JobFault("not_visible", delay_s=20))
    state = await run(case)
    assert state.name == "Completed", state.message
    assert made(emulator) == case.makes


@pytest.mark.parametrize("name", ["aiware engine", "aiware tasks"])
async def test_job_that_may_stay_hidden_longer_than_the_wait_is_not_sent_again(
    name: str, make_run: MakeRun, emulator: Emulator
) -> None:
    """A wait of 5 s, and a job visible after 20 s: SubmissionUnknown says so; the next attempt finds the job."""
    case = SUBMITTING[name]
    emulator.faults.add(Fault("drop_after", operation=case.operation), JobFault("not_visible", delay_s=20))
    run = await make_run(case, give_up_after_s=5)
    state = await run()
    assert state.name == "SubmissionUnknown", state.message
    assert "may stay hidden" in str(state.message)
    emulator.clock.advance(60)
    again = await run()
    assert again.name == "Completed", again.message
    assert made(emulator) == case.makes


@pytest.mark.parametrize("name", FOUND)
async def test_unreachable_provider_is_searched_by_the_next_attempt(
    name: str, make_run: MakeRun, emulator: Emulator
) -> None:
    """The answer is lost, then every request fails: SubmissionUnknown, and nothing is sent; later the job is found."""
    case = SUBMITTING[name]
    # A project is also searched for before it is created, and a launch reads its container first.
    emulator.faults.add(
        Fault("drop_after", operation=case.operation),
        Fault("server_error", operation="jobs", times=None, skip=1 if name == "aiware engine" else 0),
        Fault("server_error", operation="getProjects", times=None, skip=1),
    )
    run = await make_run(case)
    state = await run()
    assert (state.name, "The search failed" in str(state.message)) == ("SubmissionUnknown", True), state.message
    emulator.faults.clear()
    emulator.clock.advance(3600)
    again = await run()
    assert again.name == "Completed", again.message
    assert made(emulator) == case.makes
