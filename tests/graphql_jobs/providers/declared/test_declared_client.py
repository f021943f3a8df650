"""A provider that is declared in YAML, against a small server with Dagster's API."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from graphql_jobs import Job, JobState, Label, LocalStore, errors, require_success, submit_once, wait, wait_many
from graphql_jobs.providers.connection import check_connection
from graphql_jobs.providers.declared import declared_client
from graphql_jobs.waiting.policy import Schedule, WaitPolicy

if TYPE_CHECKING:
    from graphql_jobs.providers.declared import DeclaredClient
    from tests.graphql_jobs.providers.declared.runs_server import Runs

LABEL = Label("gqj-one")
VALUES = {"job": "etl", "location": "repo.py"}
POLICY = WaitPolicy(Schedule(5, 0, 5))


async def test_job_is_submitted_with_values_and_defaults_and_waited_for(
    client: DeclaredClient, server: Runs, tmp_path: Path
) -> None:
    """Three polls. The token is in Dagster's header, the default in the variables, the name in messages."""
    spec = client.spec(VALUES)
    handle = await submit_once(client, spec, LocalStore(), LABEL)
    job = require_success(await wait(client, handle, POLICY))
    [run] = server.runs.values()
    assert run["values"] == VALUES | {"repository": "__repository__", "key": "gqj-one"}
    assert (spec.subject, job.provider, job.raw_status) == ("etl", "dagster", "SUCCESS")
    assert job.created_at is not None
    assert await client.result(handle, job, tmp_path) == {}
    assert {headers.get("Dagster-Cloud-Api-Token") for headers in server.headers} == {"t0k3n-5ecret"}
    assert not any("Authorization" in headers for headers in server.headers)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"job": "etl"}, "values.location: it is missing. Nothing was sent."),
        (VALUES | {"key": "x"}, "values.key: Dagster takes job, repository, location, config. Nothing was sent."),
        (VALUES | {"job": None}, "values.job: it is missing. Nothing was sent."),
    ],
)
async def test_wrong_values_are_refused_before_anything_is_sent(
    client: DeclaredClient, server: Runs, values: dict[str, str], message: str
) -> None:
    """A missing variable, one that is ours, and null for one that needs a value."""
    with pytest.raises(errors.InvalidInput) as raised:
        client.spec(values)
    assert str(raised.value) == message
    assert server.calls == {}


async def test_many_jobs_are_polled_in_batches_and_a_missing_one_is_not_found(
    client: DeclaredClient, server: Runs
) -> None:
    """60 jobs and one id that Dagster does not know: two requests of 50 and 11, and one for the id that was omitted."""
    ids = [(await client.submit(client.spec(VALUES))).job_id for _ in range(60)]
    server.calls.clear()
    seen = await client.check([*ids, "f" * 36])
    assert isinstance(seen.pop("f" * 36), errors.JobNotFound)
    assert {job.state for job in seen.values() if isinstance(job, Job)} == {JobState.PENDING}
    assert server.calls == {"Runs": 3}


async def test_list_that_the_server_cuts_is_read_in_parts(client: DeclaredClient, server: Runs) -> None:
    """Ten of 25 runs per answer, without an error: all are read."""
    ids = [(await client.submit(client.spec(VALUES))).job_id for _ in range(25)]
    server.fault = "short lists"
    assert all(isinstance(one, Job) for one in (await client.check(ids)).values())
    assert client.batch_size <= 18


async def test_lost_answer_is_found_by_its_key(client: DeclaredClient, server: Runs) -> None:
    """The connection is closed after the run was started: the only run is found by its tag."""
    server.fault = "lost"
    handle = await submit_once(client, client.spec(VALUES), LocalStore(), LABEL)
    assert [handle.job_id] == list(server.runs)
    assert handle.submitted_at is not None
    assert handle.submitted_at.timestamp() == 1.8e9


async def test_search_that_is_not_whole_decides_nothing(client: DeclaredClient, server: Runs) -> None:
    """A lost answer, and a list with a null in it: `SubmissionUnknown`, and no second run."""
    server.fault = "lost twice"
    with pytest.raises(errors.SubmissionUnknown, match="nothing of use at runId"):
        await submit_once(client, client.spec(VALUES), LocalStore(), LABEL)
    assert len(server.runs) == 1


async def test_create_that_is_refused_inside_data_starts_nothing(client: DeclaredClient, server: Runs) -> None:
    """`RunConfigValidationInvalid` is declared as refused: one create, and no search after it."""
    server.fault = "refused"
    with pytest.raises(errors.RequestRefused, match="RunConfigValidationInvalid: no such op"):
        await submit_once(client, client.spec(VALUES), LocalStore(), LABEL)
    assert server.calls == {"Find": 1, "Launch": 1}


async def test_unknown_error_after_a_create_may_have_started_a_job(client: DeclaredClient, server: Runs) -> None:
    """A member of the union that is not declared: `SubmissionUnknown`, which names it without the token."""
    server.fault = "unheard of"
    with pytest.raises(errors.SubmissionUnknown) as raised:
        await client.submit(client.spec(VALUES))
    assert "no id at launchRun.run.runId; it is BrandNewError: *** is odd." in raised.value.cause


async def test_outage_inside_data_takes_as_many_requests_as_a_503(client: DeclaredClient, server: Runs) -> None:
    """100 jobs: `PythonError` is declared as a failure of the server: batches are not split."""
    ids = [(await client.submit(client.spec(VALUES))).job_id for _ in range(100)]
    counts = []
    for server.fault in ("503", "outage"):
        server.calls.clear()
        seen = await client.check(ids)
        assert {type(one) for one in seen.values()} == {errors.ServerFailed}
        counts.append(server.calls["Runs"])
    assert counts[0] == counts[1] <= 4


async def test_wait_outlasts_an_outage_inside_data(client: DeclaredClient, server: Runs) -> None:
    """The outage begins before the first poll and ends after some: the jobs succeed, and none is submitted twice."""
    handles = [await client.submit(client.spec(VALUES)) for _ in range(20)]
    server.fault = "outage"
    polls = 0
    original = server.listed

    def listed(variables: dict[str, object]) -> object:
        nonlocal polls
        polls += 1
        server.fault = "outage" if polls < 5 else ""
        return original(variables)

    server.listed = listed  # type: ignore[method-assign]
    ended = [end async for _, end in wait_many(client, handles, POLICY)]
    assert {end.state for end in ended if isinstance(end, Job)} == {JobState.SUCCEEDED}
    assert len(ended) == len(server.runs) == 20


async def test_batch_with_one_broken_job_is_split(client: DeclaredClient, server: Runs) -> None:
    """An undeclared member of the union for each list with the fourth run: the other 19 are read."""
    ids = [(await client.submit(client.spec(VALUES))).job_id for _ in range(20)]
    server.fault = "one is broken"
    seen = await client.check(ids)
    assert [number for number, one in enumerate(seen.values()) if not isinstance(one, Job)] == [3]
    failure = seen[ids[3]]
    assert isinstance(failure, errors.OperationFailed)
    assert "nothing of use at runsOrError.results; it is InvalidRunsError: a run is broken" in str(failure)


async def test_unknown_status_does_not_end_the_wait(
    client: DeclaredClient, server: Runs, caplog: pytest.LogCaptureFixture
) -> None:
    """A new status before SUCCESS: the wait continues, and the log has the word without the token."""
    server.words = ["PAUSED t0k3n-5ecret", "SUCCESS"]
    job = await wait(client, await client.submit(client.spec(VALUES)), POLICY)
    assert job.state is JobState.SUCCEEDED
    assert "PAUSED ***" in caplog.text


async def test_cancel_is_confirmed_or_refused(client: DeclaredClient, server: Runs) -> None:
    """A queued run is cancelled. A refusal inside data leaves the run running, and the error says so."""
    assert (await client.cancel((await client.submit(client.spec(VALUES))).job_id)).confirmed
    server.words = ["STARTED"]
    handle = await client.submit(client.spec(VALUES))
    server.fault = "refused"
    with pytest.raises(errors.CancelRefused, match=r"it cannot be terminated.*left running at Dagster"):
        await client.cancel(handle.job_id)


async def test_connection_is_checked_and_says_that_the_account_is_not_known(client: DeclaredClient) -> None:
    """One query that starts nothing."""
    assert "not told by Dagster" in (await check_connection(client)).account


async def test_secrets_are_in_no_log_repr_or_error(
    client: DeclaredClient, server: Runs, caplog: pytest.LogCaptureFixture
) -> None:
    """The token in a refusal, in a status and in a log of all levels, and the query of an address among the values."""
    caplog.set_level(logging.DEBUG)
    spec = client.spec(VALUES | {"config": {"source": "https://files.example.com/a?sig=s1gnature-of-a-file"}})
    server.words = ["QUEUED", "s1gnature-of-a-file t0k3n-5ecret"]
    handle = await client.submit(spec)
    seen = [await client.check([handle.job_id]) for _ in range(2)]
    server.fault = "unheard of"
    with pytest.raises(errors.SubmissionUnknown) as raised:
        await client.submit(spec)
    shown = [repr(client), repr(spec), spec.subject, str(spec.summary("")), str(handle), repr(seen), repr(raised.value)]
    assert not re.search("t0k3n|s1gnature", "\n".join([*shown, caplog.text]))


def test_equal_declarations_share_a_client_class_and_its_dialect() -> None:
    """Sessions are shared by dialect, and polls by class."""
    text = (Path(__file__).parent / "dagster.yaml").read_text()
    assert declared_client(text) is declared_client(text)
    assert declared_client(text) is not declared_client(text.replace("title: Dagster", "title: Another"))
