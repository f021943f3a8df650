"""Guarantee 11: server data is a value in an outcome, never the name of a field."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs.job import MAX_FAILURES, MAX_STATUSES, Job, JobFailure, JobState, JobTask

NAMES = {
    *("provider", "job_id", "state", "raw_status", "task_counts", "failures", "created_at", "modified_at"),
    *("target_id", "result_id", "status", "count"),
}


def names_in(plain: object) -> set[str]:
    """All names of fields, at any depth."""
    if isinstance(plain, dict):
        return set(plain).union(*map(names_in, plain.values()))
    return set().union(*map(names_in, plain)) if isinstance(plain, list) else set()


def job(statuses: list[str], failures: int = 0) -> Job:
    """One job with tasks of these statuses."""
    tasks = tuple(JobTask(str(number), JobState.UNKNOWN, status) for number, status in enumerate(statuses))
    failed = tuple(JobFailure("reason", "message", str(number)) for number in range(failures))
    return Job("aiware", "j", JobState.FAILED, "failed", tasks, failed)


@given(st.lists(st.sampled_from(["$ref", "__prefect_kind", "status"]) | st.text(max_size=10), max_size=30))
def test_no_status_is_the_name_of_a_field(statuses: list[str]) -> None:
    """`$ref` and `__prefect_kind` are names that Prefect evaluates in parameters."""
    assert names_in(job(statuses).to_json()) <= NAMES


@pytest.mark.parametrize("number", [0, 1, MAX_STATUSES, MAX_STATUSES + 1, 5_000])
def test_all_tasks_are_counted_however_many_statuses_there_are(number: int) -> None:
    """Each task has another status: those beyond the bound are counted together."""
    counts = job([f"status {n}" for n in range(number)]).to_json()["task_counts"]
    assert sum(one["count"] for one in counts) == number
    assert len(counts) <= MAX_STATUSES + 1


def test_json_of_a_job_is_bounded() -> None:
    """Ten thousand failed tasks."""
    plain = job(["failed"] * 10_000, failures=10_000).to_json()
    assert len(plain["failures"]) == MAX_FAILURES + 1
    assert plain["failures"][-1] == f"and {10_000 - MAX_FAILURES} more failures"
    assert len(json.dumps(plain)) < 20_000
