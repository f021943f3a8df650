"""The model: states, handles as plain JSON in both directions, and the description of a job."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs.errors import InvalidInput
from graphql_jobs.handle import MAX_ID_CHARACTERS, JobHandle
from graphql_jobs.job import Job, JobFailure, JobState, JobTask

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HANDLE: dict[str, Any] = {"provider": "aiware", "endpoint": "https://h/v3/graphql", "job_id": "a"}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50)


def test_three_states_are_ends() -> None:
    """Succeeded, failed, cancelled; an unknown word is not an end."""
    ends = {state for state in JobState if state.is_terminal}
    assert ends == {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


@given(
    st.builds(
        JobHandle,
        provider=TEXT,
        endpoint=TEXT,
        job_id=TEXT,
        operation=st.none() | TEXT,
        submitted_at=st.none() | st.datetimes(timezones=st.just(UTC)),
        details=st.dictionaries(TEXT, TEXT, max_size=3),
    )
)
def test_a_handle_survives_json(handle: JobHandle) -> None:
    """To text and back, in any process at any time."""
    assert JobHandle.from_json(json.loads(json.dumps(handle.to_json()))) == handle


def test_an_instant_keeps_its_meaning_in_another_zone() -> None:
    """14:00+02:00 is 12:00Z."""
    there = NOON.astimezone(timezone(timedelta(hours=2)))
    handle = JobHandle.from_json(HANDLE | {"submitted_at": there.isoformat()})
    assert handle.submitted_at == NOON


@pytest.mark.parametrize(
    ("plain", "name"),
    [
        (None, "handle"),
        ("text", "handle"),
        ([], "handle"),
        ({}, "handle.provider"),
        (HANDLE | {"job_id": ""}, "handle.job_id"),
        (HANDLE | {"job_id": "x" * (MAX_ID_CHARACTERS + 1)}, "handle.job_id"),
        (HANDLE | {"job_id": 7}, "handle.job_id"),
        (HANDLE | {"submitted_at": "2026-11-21T12:00:00"}, "handle.submitted_at"),
        (HANDLE | {"token": "s3cret"}, "handle.token"),
        (HANDLE | {"details": {"file_url": {"s3cret": 1}}}, "handle.details.file_url"),
    ],
)
def test_bad_handle_is_refused_by_the_name_of_its_field(plain: object, name: str) -> None:
    """Missing, empty, too long, without a zone, an extra field; and no value is shown."""
    with pytest.raises(InvalidInput) as caught:
        JobHandle.from_json(plain)
    assert caught.value.parameter == name
    assert "s3cret" not in str(caught.value)


def test_a_handle_does_not_change() -> None:
    """Many waits may share it."""
    handle = JobHandle(**HANDLE)
    with pytest.raises(ValueError, match="frozen"):
        handle.job_id = "b"  # type: ignore[misc]


def test_a_job_describes_itself_in_one_line() -> None:
    """The state, the provider's word, the number of ended tasks, three failures and the number of others."""
    tasks = tuple(JobTask(f"t{number}", JobState.FAILED, "failed") for number in range(5))
    failures = tuple(JobFailure("url_error", "404", f"t{number}") for number in range(5))
    running = JobTask("t", JobState.RUNNING, "r")
    text = Job("aiware", "a", JobState.FAILED, "complete", (*tasks, running), failures).describe()
    assert text.startswith("FAILED (status 'complete'), 5 of 6 tasks ended, task t0: url_error (404); ")
    assert text.endswith("task t2: url_error (404), and 2 more failures")
    assert "\n" not in text
    assert Job("aiware", "a", JobState.PENDING, "queued").describe() == "PENDING (status 'queued')"


def test_progress_is_shown_where_there_is_any() -> None:
    """Datasaur's number, unless it is the constant 0; the state never depends on it."""
    halfway = Job("datasaur", "q:1", JobState.RUNNING, "IN_PROGRESS", progress_percent=40)
    assert halfway.describe() == "RUNNING (status 'IN_PROGRESS'), progress 40"
    done = Job("datasaur", "q:1", JobState.SUCCEEDED, "DELIVERED", progress_percent=0)
    assert done.describe() == "SUCCEEDED (status 'DELIVERED')"


def test_a_job_is_plain_json() -> None:
    """Tasks are counted by their words, instants are text, failures are words."""
    tasks = (JobTask("t1", JobState.SUCCEEDED, "complete"), JobTask("t2", JobState.SUCCEEDED, "complete"))
    job = Job(
        "aiware",
        "a",
        JobState.SUCCEEDED,
        "complete",
        tasks,
        (JobFailure("r", ""),),
        None,
        NOON.isoformat(),
        None,
        "9",
        None,
    )
    assert json.loads(json.dumps(job.to_json())) == {
        "provider": "aiware",
        "job_id": "a",
        "state": "SUCCEEDED",
        "raw_status": "complete",
        "task_counts": [{"status": "complete", "count": 2}],
        "failures": ["r"],
        "created_at": "2026-11-21T12:00:00+00:00",
        "modified_at": None,
        "target_id": "9",
        "result_id": None,
    }
