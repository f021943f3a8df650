"""The tree of errors: as its module draws it, picklable, and with messages that say what to do."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import errors
from graphql_jobs.handle import JobHandle
from graphql_jobs.job import Job, JobFailure, JobState, JobTask
from graphql_jobs.providers.aiware import AiwareClient
from graphql_jobs.providers.datasaur import DatasaurClient
from graphql_jobs.titles import title_of

if TYPE_CHECKING:
    from collections.abc import Iterator

JOB = Job(
    "aiware", "j", JobState.FAILED, "complete", (JobTask("t", JobState.FAILED, "failed"),), (JobFailure("r", "m", "t"),)
)


def below(kind: type[Exception]) -> Iterator[type[Exception]]:
    """The class and all its subclasses in the module."""
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from below(child)


ALL = list(below(errors.GraphqlJobsError))


def example(kind: type[Exception]) -> Exception:
    """An error with an argument of the right type for each parameter."""
    by_name: dict[str, Any] = {"job": JOB, "job_ids": ("a", "b"), "waited_s": 61.5, "retry_after_s": 7.0}
    if kind.__init__ is Exception.__init__:
        return kind("text")
    parameters = list(inspect.signature(kind.__init__).parameters)[1:]
    if parameters == ["args", "kwargs"]:
        return kind("text")
    return kind(*(by_name.get(name, f"the {name}") for name in parameters))


@pytest.mark.parametrize("kind", ALL)
def test_an_error_survives_pickling_and_copying(kind: type[Exception]) -> None:
    """Prefect moves errors between processes: class, arguments, attributes and text are kept."""
    error = example(kind)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is kind
        assert str(twin) == str(error)
        assert twin.args == error.args
        assert vars(twin) == vars(error)


@pytest.mark.parametrize("kind", ALL)
def test_an_error_is_made_from_positional_arguments(kind: type[Exception]) -> None:
    """All arguments are in `args`."""
    error = example(kind)
    assert kind(*error.args).args == error.args


@pytest.mark.parametrize("kind", [one for one in ALL if issubclass(one, errors.RequestFailed)])
def test_a_failed_request_names_provider_operation_and_subject(kind: type[errors.RequestFailed]) -> None:
    """The text is: aiWARE job (job 7): ...: HTTP 503."""
    text = str(kind("aiware", "job", "job 7", "HTTP 503"))
    assert text.startswith("aiWARE job (job 7): ")
    assert "HTTP 503" in text


def test_only_surely_unexecuted_errors_say_so() -> None:
    """Guarantee 2 depends on this table: a create is sent again after an error that is transient and unexecuted."""
    failures = [kind for kind in ALL if issubclass(kind, errors.RequestFailed)]
    assert {kind.__name__ for kind in failures if kind.transient and kind.unexecuted} == {"Unreachable", "RateLimited"}


def test_failed_request_failed_job_and_stopped_wait_are_three_classes() -> None:
    """A failed check, a failed job and a wait that was given up: none is a subclass of another."""
    three = (errors.RequestFailed, errors.JobError, errors.WaitStopped, errors.SubmissionUnknown)
    assert not any(issubclass(one, other) for one in three for other in three if one is not other)


def test_an_unknown_submission_says_what_to_do() -> None:
    """When it was sent, that it was not repeated, where to check."""
    text = str(errors.SubmissionUnknown("aiware", "createJob", "one task", "2026-11-21T12:00:00+00:00", "reset."))
    for words in ("2026-11-21T12:00:00+00:00", "not sent again", "Search aiWARE", "submit again"):
        assert words in text


def test_a_wait_that_was_given_up_names_at_most_three_jobs() -> None:
    """A thousand jobs do not give a message with a thousand ids."""
    text = str(errors.ProviderLost("aiware", [f"job{number}" for number in range(1000)], 60, "down"))
    assert "job0, job1, job2 and 997 more" in text
    assert "may still finish" in text


def test_bad_input_is_a_value_error() -> None:
    """pydantic and callers treat it like other bad values."""
    error = errors.InvalidInput("base_url", "it is empty.")
    assert isinstance(error, ValueError)
    assert str(error) == "base_url: it is empty. Nothing was sent."


def test_an_unknown_submission_without_a_subject_has_no_empty_brackets() -> None:
    """The text is: aiWARE createJob, sent at ..."""
    assert "()" not in str(errors.SubmissionUnknown("aiware", "createJob", "", "2026-11-21", "no id."))


def test_detail_and_advice_are_two_sentences() -> None:
    """The text is: HTTP 404. Check the base URL."""
    assert "HTTP 404. Check" in str(errors.BadEndpoint("aiware", "job", "", "HTTP 404"))


def test_messages_name_providers_as_they_write_themselves() -> None:
    """aiWARE job 7, and not aiware job 7; the name is the client's `title`, also for a provider of one's own."""
    assert {client.provider: title_of(client.provider) for client in (AiwareClient, DatasaurClient)} == {
        "aiware": "aiWARE",
        "datasaur": "Datasaur",
    }
    assert str(errors.JobNotFound("datasaur", "7", "gone.")) == "Datasaur job 7: gone."
    assert str(errors.WaitTimedOut("aiware", ["7", "8"], 60, "late.")).startswith("aiWARE jobs 7, 8: gave up")
    assert JobHandle(provider="aiware", endpoint="https://e.example", job_id="7").name == "aiWARE job 7"
    assert title_of("unheard") == "unheard"
