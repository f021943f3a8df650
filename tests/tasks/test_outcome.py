"""Outcomes as plain JSON for downstream, and the states of runs."""

from __future__ import annotations

import json
import pickle

import pytest
from prefect.client.schemas.objects import StateType

from graphql_jobs import Job, JobFailure, JobState, errors
from tasks.outcome import MAX_RESULT_CHARACTERS, outcome
from tasks.run_state import overall_state, run_state


def job(job_id: str = "1", state: JobState = JobState.SUCCEEDED) -> Job:
    """A job in `state`, with a reason if it failed."""
    failures = (JobFailure("out_of_memory", "too long"),) if state is JobState.FAILED else ()
    return Job("aiware", job_id, state, state.lower(), (), failures)


LOST = errors.JobNotFound("aiware", "3", "unknown")
NAMES = {
    "JobFailed": (errors.JobFailed(job(state=JobState.FAILED)), StateType.FAILED),
    "JobCancelled": (errors.JobCancelled(job(state=JobState.CANCELLED)), StateType.CANCELLED),
    "JobLost": (LOST, StateType.FAILED),
    "TimedOut": (errors.WaitTimedOut("aiware", ["1"], 5, "x"), StateType.FAILED),
    "ProviderLost": (errors.ProviderLost("aiware", ["1"], 5, "x"), StateType.FAILED),
    "SubmissionUnknown": (errors.SubmissionUnknown("aiware", "createJob", "", "2026", "x"), StateType.FAILED),
    "ResultUnavailable": (errors.ResultUnavailable("aiware", "1", "x"), StateType.FAILED),
    "RequestFailed": (errors.SignInFailed("aiware", "job", "", "x"), StateType.FAILED),
    "InvalidInput": (errors.InvalidInput("job_ids", "the list is empty."), StateType.FAILED),
    "Failed": (errors.CancelRefused("aiware", "1", "x"), StateType.FAILED),
}


@pytest.mark.parametrize("name", NAMES)
def test_state_is_named_after_the_error(name: str) -> None:
    """Failed, cancelled, timed out and lost have different state names; the message is the error's."""
    error, kind = NAMES[name]
    state = run_state(error)
    assert (state.name, state.type, state.message) == (name, kind, str(error))


@pytest.mark.parametrize("name", NAMES)
def test_error_of_a_state_survives_pickling(name: str) -> None:
    """Prefect pickles a state's data if results are persisted."""
    error, _ = NAMES[name]
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_outcome_is_plain_json() -> None:
    """Job and result as dicts and text only."""
    made = outcome("aiware", "1", job(), {"engine_results": []})
    assert json.loads(json.dumps(made)) == made
    assert (made["state"], made["result"]) == ("SUCCEEDED", '{"engine_results": []}')


def test_outcome_without_a_job_has_its_error() -> None:
    """A job that was lost: state UNKNOWN, and the error's text."""
    assert outcome("aiware", "3", LOST) == {
        "provider": "aiware",
        "job_id": "3",
        "state": "UNKNOWN",
        "error": str(LOST),
    }


def test_result_too_large_for_a_parameter_is_replaced_by_its_size() -> None:
    """One character over the bound: result None, and its size. At the bound: the result."""
    fits = {"x": "y" * (MAX_RESULT_CHARACTERS - len('{"x": ""}'))}
    assert outcome("aiware", "1", job(), fits)["result"] == json.dumps(fits)
    made = outcome("aiware", "1", job(), {"x": fits["x"] + "y"})
    assert made["result"] is None
    assert made["result_omitted_characters"] == MAX_RESULT_CHARACTERS + 1


def test_run_whose_jobs_all_succeeded_has_no_special_state() -> None:
    """Two succeeded jobs: None, so the run completes."""
    assert overall_state({"1": job("1"), "2": job("2")}) is None


def test_run_for_one_job_ends_like_the_job() -> None:
    """One failed job: its own message, without a count."""
    failed = job("1", JobState.FAILED)
    state = overall_state({"1": failed})
    assert state is not None
    assert (state.name, state.message) == ("JobFailed", str(errors.JobFailed(failed)))


def test_run_for_many_jobs_counts_and_names_its_failures() -> None:
    """One succeeded, one failed, one lost: "2 of 3", and both ids with their reasons."""
    state = overall_state({"1": job("1"), "2": job("2", JobState.FAILED), "3": LOST})
    assert state is not None
    assert state.message is not None
    assert state.message.startswith("2 of 3 jobs did not succeed.")
    assert "job 2: " in state.message
    assert "out_of_memory" in state.message
    assert "job 3: " in state.message


def test_state_of_a_mixed_run_does_not_depend_on_which_job_ended_first() -> None:
    """One job failed, one was cancelled: the run failed in any order of their ends."""
    failed, cancelled = job("1", JobState.FAILED), job("2", JobState.CANCELLED)
    states = [overall_state({"1": failed, "2": cancelled}), overall_state({"2": cancelled, "1": failed})]
    assert [state.type for state in states if state] == [StateType.FAILED, StateType.FAILED]
