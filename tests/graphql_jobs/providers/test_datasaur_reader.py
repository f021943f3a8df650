"""Datasaur's reader: status words, recorded answers, and hostile answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from graphql import GraphQLEnumType, GraphQLSchema
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs.job import MAX_FAILURES, JobState
from graphql_jobs.providers.datasaur import reader

if TYPE_CHECKING:
    from collections.abc import Callable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ERROR = st.fixed_dictionaries({}, optional={"id": JSON, "stack": JSON, "args": JSON})
ENTRY = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("id", "status", "progress", "resultId", "createdAt", "updatedAt"), JSON)
    | {"errors": JSON | st.lists(ERROR, max_size=3)},
)


def test_sample_of_the_seed_page_is_read_into_its_job(sample: Callable[[str], Any]) -> None:
    """DELIVERED with progress 0 is a success: progress is not used."""
    job = reader.read_job(sample("datasaur/job_delivered")["data"]["result"])
    assert (job.provider, job.job_id) == ("datasaur", "AutoLabelQueue:dcbf6ed3-3841-46c1-8f6a-2affb53ac637")
    assert (job.state, job.raw_status, job.progress_percent) == (JobState.SUCCEEDED, "DELIVERED", 0)


def test_job_in_full_is_read_with_its_instants(sample: Callable[[str], Any]) -> None:
    """The only complete sample of a job: queued, no errors, no result yet."""
    job = reader.read_job(sample("datasaur/job_queued_in_full")["data"]["result"][0])
    assert (job.state, job.failures, job.result_id) == (JobState.PENDING, (), None)
    assert job.created_at == job.modified_at == datetime(2023, 12, 11, 4, 18, 56, 59000, tzinfo=UTC)


def test_status_table_knows_exactly_the_words_of_the_schema(schemas: dict[str, GraphQLSchema]) -> None:
    """The five words of JobStatus and of ExportDeliveryStatus."""
    for name in ("JobStatus", "ExportDeliveryStatus"):
        words = schemas["datasaur"].type_map[name]
        assert isinstance(words, GraphQLEnumType)
        assert set(reader.STATES) == set(words.values)
    assert len(reader.STATES) == 5


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("QUEUED", JobState.PENDING),
        ("NONE", JobState.PENDING),
        ("IN_PROGRESS", JobState.RUNNING),
        ("DELIVERED", JobState.SUCCEEDED),
        ("FAILED", JobState.FAILED),
        ("CANCELLED", JobState.UNKNOWN),
        ("delivered", JobState.UNKNOWN),
    ],
)
def test_each_word_has_its_state(word: str, state: JobState) -> None:
    """NONE means that no state is recorded yet, which Datasaur's own clients treat as unfinished."""
    assert reader.read_job({"id": "q:1", "status": word}).state is state


def test_failed_job_says_why_in_one_line() -> None:
    """The reason is the first line of the stack and the arguments."""
    entry = {"id": "q:1", "status": "FAILED", "errors": [{"id": "E1", "stack": "boom\n at x", "args": {"file": "a"}}]}
    job = reader.read_job(entry, lambda text: text.replace("boom", "***"))
    assert job.state is JobState.FAILED
    assert [str(failure) for failure in job.failures] == ['E1 (*** {"file": "a"})']


@pytest.mark.parametrize(
    ("value", "job_id"),
    [
        ({"id": "AutoLabelQueue:1", "status": "QUEUED", "progress": 0}, "AutoLabelQueue:1"),
        ({"name": "mine", "job": {"id": "q:1", "status": "QUEUED", "progress": 0}}, "q:1"),
    ],
    ids=["the job itself", "a job beside a name"],
)
def test_both_shapes_of_an_answer_to_a_submission_are_read(value: object, job_id: str) -> None:
    """`autoLabelTokenBasedProject` answers with the job, `createProject` with a name and a job."""
    entry = reader.read_submitted(value)
    assert entry is not None
    assert entry["id"] == job_id


@pytest.mark.parametrize("value", [None, [], "q:1", {}, {"id": ""}, {"id": 7}, {"job": None}, {"job": {"name": "x"}}])
def test_answer_without_a_job_holds_none(value: object) -> None:
    """No id, no job: the caller reports an unknown outcome."""
    assert reader.read_submitted(value) is None


@given(ENTRY)
def test_hostile_entries_never_raise(entry: dict[str, Any]) -> None:
    """Any JSON in any field gives a job that can be shown and stored."""
    job = reader.read_job(entry)
    job.describe()
    json.dumps(job.to_json())


@given(JSON)
def test_hostile_submissions_never_raise(value: object) -> None:
    """Any answer gives a job with a text id, or none."""
    entry = reader.read_submitted(value)
    assert entry is None or isinstance(entry["id"], str)


@given(st.fixed_dictionaries({}, optional={"extensions": JSON | st.dictionaries(st.just("type"), JSON)}))
def test_hostile_errors_never_raise(entry: dict[str, Any]) -> None:
    """The code of an error is text with any JSON under `extensions`."""
    assert isinstance(reader.code_of(entry), str)
    reader.DIALECT.kind_of(entry)


def test_arguments_nested_to_the_limit_of_the_parser_never_raise() -> None:
    """Arguments as deep as json.loads accepts are read like others."""
    depth = 900
    entry = json.loads('{"id": "q:1", "status": "FAILED", "errors": [{"args": ' + "[" * depth + "]" * depth + "}]}")
    assert reader.read_job(entry).state is JobState.FAILED


def test_progress_that_is_no_number_is_none() -> None:
    """true, "50" and null are not percentages."""
    for progress in (True, "50", None):
        assert reader.read_job({"id": "q:1", "status": "QUEUED", "progress": progress}).progress_percent is None


def test_what_the_server_sends_is_bounded_in_what_we_show() -> None:
    """A status of a million characters does not become a log line or a stored result of a million characters."""
    job = reader.read_job({"id": "q:1", "status": "x" * 1_000_000, "resultId": "y" * 1_000_000})
    assert len(job.describe()) < 10_000
    assert len(json.dumps(job.to_json())) < 10_000


def test_no_more_failures_are_cleaned_than_are_handed_over() -> None:
    """100,000 errors in one job: a hundred are searched for secrets, and the rest is counted."""
    cleaned: list[str] = []

    def clean(words: str) -> str:
        cleaned.append(words)
        return words

    entry = {"id": "j", "status": "FAILED", "errors": [{"id": "E", "stack": "s"}] * 100_000}
    job = reader.read_job(entry, clean)
    assert len(cleaned) == 2 * MAX_FAILURES
    assert str(job.failures[-1]) == "more (99900 that are not shown)"
