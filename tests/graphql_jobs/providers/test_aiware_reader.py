"""aiWARE's reader: status words, guarantee 4 in its variants, recorded answers, and hostile answers."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from graphql import GraphQLEnumType, GraphQLSchema
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs.job import Job, JobState
from graphql_jobs.providers.aiware import reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def of(fields: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Entries with the fields of an answer, each of them missing or of any type."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(fields, JSON))


TASK = of(
    (
        *("id", "status", "engineId", "startedDateTime", "completedDateTime"),
        *("failureReason", "failureMessage", "standbyTask"),
    )
)


def task(task_id: str, status: str, standby: tuple[str, str] | None = None) -> dict[str, Any]:
    """One record of a job's tasks; `standby` is the id and status of its standby."""
    named = {"id": standby[0], "status": standby[1]} if standby else None
    return {"id": task_id, "status": status, "engineId": "e", "standbyTask": named}


def complete(*tasks: dict[str, Any], lenient: bool = False) -> Job:
    """A job whose status is complete, with these tasks."""
    return reader.read_job({"id": "j", "status": "complete"}, list(tasks), lenient=lenient)


def test_sample_of_the_seed_page_is_read_into_its_job(sample: Callable[[str], Any]) -> None:
    """The page's answer: a running job with four tasks, one of them complete, none failed."""
    entry = sample("aiware/job_running")["data"]["job"]
    job = reader.read_job(entry, reader.read_records(entry["tasks"]))
    assert (job.provider, job.job_id) == ("aiware", "2791851b-0d02-4aaf-97e0-cd77a2e771ad")
    assert (job.state, job.raw_status, job.failures) == (JobState.RUNNING, "running", ())
    assert [one.raw_status for one in job.tasks] == ["complete", "queued", "queued", "pending"]
    assert job.tasks[0].engine_id == "fc004413-89f0-132a-60b2-b94522fb7e66"


def test_white_space_around_a_task_id_is_dropped(sample: Callable[[str], Any]) -> None:
    """The seed page's third task id ends in a blank."""
    entry = sample("aiware/job_running")["data"]["job"]
    assert entry["tasks"]["records"][2]["id"].endswith(" ")
    job = reader.read_job(entry, reader.read_records(entry["tasks"]))
    assert all(one.task_id == one.task_id.strip() for one in job.tasks)


def test_status_table_knows_exactly_the_words_of_the_schema(schemas: dict[str, GraphQLSchema]) -> None:
    """The twelve words of TaskStatus, which Job.status has as its type, each have a state."""
    words = schemas["aiware"].type_map["TaskStatus"]
    assert isinstance(words, GraphQLEnumType)
    assert set(reader.STATES) == set(words.values)
    assert len(reader.STATES) == 12


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("pending", JobState.PENDING),
        ("accepted", JobState.PENDING),
        ("queued", JobState.PENDING),
        ("standby_pending", JobState.PENDING),
        ("running", JobState.RUNNING),
        ("waiting", JobState.RUNNING),
        ("resuming", JobState.RUNNING),
        ("paused", JobState.RUNNING),
        ("complete", JobState.SUCCEEDED),
        ("failed", JobState.FAILED),
        ("cancelled", JobState.CANCELLED),
        ("aborted", JobState.CANCELLED),
        ("rejected", JobState.UNKNOWN),
        ("Complete", JobState.UNKNOWN),
        ("", JobState.UNKNOWN),
    ],
)
def test_each_word_has_its_state(word: str, state: JobState) -> None:
    """ "waiting" means an engine that is asked later: the job is running."""
    assert reader.read_job({"id": "j", "status": word}, []).state is state
    assert reader.read_task({"id": "t", "status": word}).state is state


@pytest.mark.parametrize("bad", ["failed", "aborted", "cancelled"])
def test_complete_job_with_a_bad_task_failed(bad: str) -> None:
    """Guarantee 4: complete, but its second task failed: FAILED, with the task's id."""
    job = complete(task("t1", "complete"), task("t2", bad))
    assert job.state is JobState.FAILED
    assert job.raw_status == "complete"
    assert [failure.task_id for failure in job.failures] == ["t2"]


@pytest.mark.parametrize("bad", ["failed", "aborted", "cancelled"])
def test_lenient_believes_the_job(bad: str) -> None:
    """Complete with a failed task: SUCCEEDED with `lenient`, and the failure is still shown."""
    job = complete(task("t1", bad), lenient=True)
    assert job.state is JobState.SUCCEEDED
    assert len(job.failures) == 1


@pytest.mark.parametrize(
    "tasks",
    [
        (task("t1", "failed", ("t2", "complete")), task("t2", "complete")),
        (task("t2", "complete"), task("t1", "aborted", ("t2", "complete"))),
        (task("t1", "failed", ("t2", "complete")),),
        (task("t1", "failed", ("t2", "failed")), task("t2", "failed", ("t3", "complete")), task("t3", "complete")),
        (task("t1", "complete", ("t2", "cancelled")), task("t2", "cancelled")),
        (task("t1", "complete", ("t2", "standby_pending")), task("t2", "standby_pending")),
    ],
    ids=[
        "standby completed",
        "listed first",
        "not listed",
        "nested standby",
        "unneeded one cancelled",
        "never started",
    ],
)
def test_failure_with_a_completed_standby_does_not_count(tasks: tuple[dict[str, Any], ...]) -> None:
    """The primary failed and its standby completed: the job succeeded."""
    job = complete(*tasks)
    assert job.state is JobState.SUCCEEDED
    assert job.failures == ()


@pytest.mark.parametrize(
    "tasks",
    [
        (task("t1", "failed", ("t2", "failed")), task("t2", "failed")),
        (task("t1", "failed", ("t2", "standby_pending")), task("t2", "standby_pending")),
        (task("t1", "failed", ("t1", "complete")),),
        (task("t1", "failed", ("t2", "failed")), task("t2", "failed", ("t1", "failed"))),
        (task("t1", "failed"), task("t2", "failed", ("t3", "complete")), task("t3", "complete")),
    ],
    ids=["standby failed", "standby never ran", "its own standby", "standbys in a circle", "another one's standby"],
)
def test_failure_without_a_completed_standby_counts(tasks: tuple[dict[str, Any], ...]) -> None:
    """Primary and standby both failed: the job failed with any status of the job."""
    assert complete(*tasks).state is JobState.FAILED


@pytest.mark.parametrize("word", ["running", "queued", "invented"])
def test_failed_task_does_not_end_a_job_that_goes_on(word: str) -> None:
    """A running job with a failed task is still running: a standby may follow."""
    assert not reader.read_job({"id": "j", "status": word}, [task("t1", "failed")]).state.is_terminal


def test_words_of_a_failure_are_cleaned() -> None:
    """Reason and message pass through `clean`, which removes secrets."""
    entry = {"id": "t", "status": "failed", "failureReason": "api_error", "failureMessage": "key s3cret refused"}
    read = reader.read_task(entry, lambda text: text.replace("s3cret", "***"))
    assert read.failure is not None
    assert (read.failure.reason, read.failure.message) == ("api_error", "key *** refused")


def test_instants_are_read_with_their_zone() -> None:
    """ISO text as aiWARE sends it, and epoch seconds and milliseconds as it accepts them."""
    for value in ("2020-07-29T15:00:00.000Z", 1596034800, 1596034800000):
        job = reader.read_job({"id": "j", "status": "running", "createdDateTime": value}, [])
        assert job.created_at == datetime(2020, 7, 29, 15, tzinfo=UTC)


@given(of(("id", "status", "targetId", "createdDateTime", "modifiedDateTime")), st.lists(TASK, max_size=5))
def test_hostile_entries_never_raise(entry: dict[str, Any], tasks: list[dict[str, Any]]) -> None:
    """Any JSON in any field gives a job that can be shown and stored."""
    job = reader.read_job(entry, tasks)
    job.describe()
    json.dumps(job.to_json())


@given(JSON)
def test_hostile_lists_never_raise(value: object) -> None:
    """Any JSON in place of a list of records gives a list of objects."""
    assert all(isinstance(record, dict) for record in reader.read_records(value))


def test_what_the_server_sends_is_bounded_in_what_we_show() -> None:
    """A status of a million characters does not become a log line or a stored result of a million characters."""
    huge = "x" * 1_000_000
    job = reader.read_job({"id": "j", "status": huge, "targetId": huge}, [task(huge, huge), task(huge, "failed")])
    assert len(job.describe()) < 10_000
    assert len(json.dumps(job.to_json())) < 10_000


def test_long_chain_of_standbys_is_read_in_proportion_to_its_length() -> None:
    """300 tasks, each the standby of the one before: a few lines are executed per task, not a few hundred."""
    chain = [task(f"t{number}", "failed", (f"t{number + 1}", "failed")) for number in range(300)]
    lines = 0

    def count(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        nonlocal lines
        lines += event == "line"
        return count

    sys.settrace(count)
    try:
        complete(*chain)
    finally:
        sys.settrace(None)
    assert lines < 100 * len(chain)


@pytest.mark.parametrize("status", ["failed", "odd-{}"])
def test_words_of_very_many_tasks_are_not_all_cleaned(status: str) -> None:
    """9,000 tasks with different words: some hundred are searched for secrets, the rest is not shown."""
    cleaned: list[str] = []

    def clean(words: str) -> str:
        cleaned.append(words)
        return words

    tasks = [{"id": f"t{n}", "status": status.format(n), "failureMessage": f"m{n}"} for n in range(9_000)]
    job = reader.read_job({"id": "j", "status": "failed"}, tasks, clean=clean)
    assert len(cleaned) < 1_000
    assert len(job.tasks) == 9_000
    assert {task.state for task in job.tasks} == {JobState.FAILED if status == "failed" else JobState.UNKNOWN}
