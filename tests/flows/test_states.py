"""The final state and message of a run when the job or the provider fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.schemas.objects import StateType

from graphql_jobs.emulator import Emulator, Fault, JobFault
from graphql_jobs.titles import title_of
from tests.flows.conftest import SUBMITTING, WAITING, Run, jobs, made

if TYPE_CHECKING:
    from blocks import AiwareCredentials
    from tests.conftest import Deploy, RunsOf

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

# The operations that poll a job.
CHECKS = ("job", "getJob", "getJobs")


@pytest.mark.parametrize("name", SUBMITTING)
async def test_job_that_fails_fails_the_run_with_its_reason(
    name: str, run: Run, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """JobFailed with the provider's reason; downstream does not start."""
    emulator.faults.add(JobFault("job_fails", failure_message="the disk is full"))
    downstream = await deploy("after-a-failure")
    state = await run(SUBMITTING[name], downstream=[downstream])
    assert (state.type, state.name) == (StateType.FAILED, "JobFailed")
    assert "the disk is full" in str(state.message)
    assert made(emulator) == SUBMITTING[name].makes
    [job_id] = jobs(emulator)
    assert job_id in str(state.message)
    assert await runs_of(downstream) == []


async def test_complete_job_with_a_failed_task_fails_the_run(run: Run, emulator: Emulator) -> None:
    """Guarantee 4: the status is complete, one task failed: JobFailed with the task's reason."""
    emulator.faults.add(JobFault("failed_task_in_complete", failure_message="no audio"))
    state = await run(SUBMITTING["aiware engine"])
    assert (state.name, "no audio" in str(state.message)) == ("JobFailed", True)


async def test_lenient_block_accepts_a_complete_job(run: Run, emulator: Emulator, aiware: AiwareCredentials) -> None:
    """The same job with `lenient` in the credentials: Completed."""
    await aiware.model_copy(update={"lenient": True}).asave("lenient", overwrite=True)
    emulator.faults.add(JobFault("failed_task_in_complete"))
    assert (await run(SUBMITTING["aiware engine"], credentials="lenient")).name == "Completed"


@pytest.mark.parametrize("word", ["aborted", "cancelled"])
async def test_job_that_was_cancelled_at_the_provider_makes_a_cancelled_run(
    word: str, run: Run, emulator: Emulator
) -> None:
    """Cancelled at the provider: the run is cancelled, not failed, so Prefect does not retry it."""
    job = emulator.aiware.plant(status=word, tasks=[])
    state = await run(WAITING, job_ids=[job.id])
    assert (state.type, state.name) == (StateType.CANCELLED, "JobCancelled")
    assert job.id in str(state.message)


@pytest.mark.parametrize(
    ("limits", "fault"),
    [
        ({"give_up_after_s": 900}, JobFault("stuck", word="running")),
        ({"queued_at_most_s": 60}, JobFault("stuck")),
        ({"running_at_most_s": 60}, JobFault("stuck", word="running")),
        ({"give_up_after_s": 900}, JobFault("status_for_ever", word="transmogrifying")),
    ],
    ids=["in all", "queued", "running", "an unknown word"],
)
@pytest.mark.parametrize("name", ["aiware engine", "auto-label"])
async def test_missed_deadline_is_timed_out(
    name: str, limits: dict[str, float], fault: JobFault, run: Run, emulator: Emulator
) -> None:
    """TimedOut, with the deadline, the last status and the job's id; the job is left running."""
    if name == "auto-label" and fault.word == "running":
        fault = JobFault("stuck", word="in_progress")
    emulator.faults.add(fault)
    began_at = emulator.clock.now()
    state = await run(SUBMITTING[name], **limits)
    assert (state.type, state.name) == (StateType.FAILED, "TimedOut")
    [job_id] = jobs(emulator)
    assert job_id in str(state.message)
    assert "may still finish" in str(state.message)
    assert emulator.clock.now() - began_at == pytest.approx(next(iter(limits.values())), abs=10)
    assert emulator.ledger.cancels == []


@pytest.mark.parametrize("provider", ["aiware", "datasaur"])
async def test_unknown_job_is_lost(provider: str, run: Run, emulator: Emulator) -> None:
    """A wrong id, after the grace of a new job: JobLost, with the id and the provider."""
    state = await run(WAITING, provider=provider, job_ids=["nobody-knows"])
    assert (state.type, state.name) == (StateType.FAILED, "JobLost")
    assert "nobody-knows" in str(state.message)
    assert str(state.message).startswith(f"{title_of(provider)} job nobody-knows: ")
    assert "a run that submitted it" in str(state.message)  # the sensor submits nothing


@pytest.mark.parametrize("name", ["aiware engine", "auto-label"])
async def test_deleted_job_is_lost(name: str, run: Run, emulator: Emulator) -> None:
    """Submitted, seen, and deleted at the provider: JobLost, not submitted again, and the message says what to do."""
    emulator.faults.add(JobFault("gone", delay_s=4))
    state = await run(SUBMITTING[name])
    assert state.name == "JobLost"
    assert "the provider does not know it" in str(state.message)
    assert "in a new run (with force_resubmit, if the job has a key)" in str(state.message)
    assert made(emulator) == SUBMITTING[name].makes


@pytest.mark.parametrize("name", ["aiware engine", "auto-label"])
async def test_outage_longer_than_an_hour_is_not_a_failed_job(name: str, run: Run, emulator: Emulator) -> None:
    """Always 503 after the submission: ProviderLost after the budget of an hour; the job may still finish."""
    emulator.faults.add(*[Fault("server_error", operation=check, times=None, status=503) for check in CHECKS])
    began_at = emulator.clock.now()
    state = await run(SUBMITTING[name])
    assert (state.type, state.name) == (StateType.FAILED, "ProviderLost")
    assert "may still finish" in str(state.message)
    assert 3600 <= emulator.clock.now() - began_at < 3600 + 120


@pytest.mark.parametrize("kind", ["server_error", "drop_before", "truncate", "rate_limited", "garbage"])
@pytest.mark.parametrize("name", ["aiware engine", "export"])
async def test_polls_that_fail_for_minutes_do_not_fail_the_job(
    name: str, kind: Any, run: Run, emulator: Emulator
) -> None:
    """Five minutes of 503, broken connections, truncated answers or 429: Completed, with one submission."""
    until_at = emulator.clock.now() + 300
    emulator.faults.add(*[Fault(kind, operation=check, times=None, until_at=until_at, status=503) for check in CHECKS])
    state = await run(SUBMITTING[name])
    assert state.name == "Completed", state.message
    assert made(emulator) == SUBMITTING[name].makes
    assert sum(record.fault == kind for record in emulator.ledger.requests) > 6


@pytest.mark.parametrize("name", SUBMITTING)
async def test_temporarily_refused_submission_is_sent_again(name: str, run: Run, emulator: Emulator) -> None:
    """429 twice, which proves that nothing was done: Completed, with one submission."""
    case = SUBMITTING[name]
    emulator.faults.add(Fault("rate_limited", operation=case.operation, times=2, retry_after=1))
    assert (await run(case)).name == "Completed"
    assert made(emulator) == case.makes
    assert emulator.ledger.count(case.operation) == 3


@pytest.mark.parametrize("name", ["aiware engine", "auto-label"])
async def test_rejected_token_fails_the_run_and_is_not_shown(name: str, run: Run, emulator: Emulator) -> None:
    """Every token is refused: RequestFailed names the block whose credentials are wrong; no token in the message."""
    emulator.faults.add(Fault("unauthorized", times=None))
    emulator.accounts.revoke_all()
    state = await run(SUBMITTING[name])
    assert (state.type, state.name) == (StateType.FAILED, "RequestFailed")
    assert "credentials come from the block '" in str(state.message)
    assert emulator.accounts.aiware_token not in str(state.message)
    assert emulator.accounts.datasaur_client_secret not in str(state.message)
    assert emulator.ledger.submissions == []


@pytest.mark.parametrize("kind", ["forbidden", "redirect", "body_too_large"])
async def test_refused_submission_names_operation_and_provider(kind: Any, run: Run, emulator: Emulator) -> None:
    """Not authorised, moved or too large: RequestFailed with provider and operation, and no text of gql.

    The job's container exists by then; there is no job.
    """
    emulator.faults.add(Fault(kind, operation="createJob", times=None))
    state = await run(SUBMITTING["aiware tasks"])
    assert state.name == "RequestFailed"
    assert "aiWARE createJob" in str(state.message)
    assert "gql" not in str(state.message).lower().replace("graphql", "")
    assert "Traceback" not in str(state.message)
    assert "fewer jobs" not in str(state.message)
    assert made(emulator) == ["createTDO"]
    assert emulator.ledger.count("createJob") == 1


@pytest.mark.parametrize("kind", ["forbidden", "redirect", "body_too_large"])
async def test_without_its_container_no_job_is_submitted(kind: Any, run: Run, emulator: Emulator) -> None:
    """The container is refused: RequestFailed names createTDO, and createJob was never sent."""
    emulator.faults.add(Fault(kind, operation="createTDO", times=None))
    state = await run(SUBMITTING["aiware tasks"])
    assert (state.name, "aiWARE createTDO" in str(state.message)) == ("RequestFailed", True)
    assert "fewer jobs" not in str(state.message)
    assert made(emulator) == []
    assert emulator.ledger.count("createJob") == 0


async def test_expired_token_is_renewed(run: Run, emulator: Emulator) -> None:
    """The provider rejects the token while the job runs: a new one is fetched, and the run completes."""
    emulator.faults.add(Fault("unauthorized", operation="getJob", skip=1))
    assert (await run(SUBMITTING["auto-label"])).name == "Completed"
    assert emulator.ledger.tokens_issued == 2


async def test_unavailable_file_is_not_a_failed_job(run: Run, emulator: Emulator) -> None:
    """The export is delivered and its address answers 503: ResultUnavailable, with the job's id and no signature."""
    emulator.faults.add(Fault("server_error", operation="download", times=None, status=503))
    state = await run(SUBMITTING["export"])
    assert (state.type, state.name) == (StateType.FAILED, "ResultUnavailable")
    assert "signature" not in str(state.message)
    assert [file for file in emulator.datasaur.files.values() if file.signature in str(state.message)] == []
