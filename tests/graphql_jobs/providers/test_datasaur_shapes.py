"""Datasaur: an answer of another shape is a failed poll, never an absent job or a completed one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from graphql_jobs import errors
from graphql_jobs.job import Job, JobState
from graphql_jobs.providers.datasaur import DatasaurClient, ProjectSpec
from graphql_jobs.providers.datasaur.reader import DIALECT
from graphql_jobs.transport.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graphql_jobs.handle import Seen
    from tests.graphql_jobs.conftest import OpenSession, Serve

AUTH = {"message": "Unauthorized", "extensions": {"type": "AuthenticationError"}}
BOOM = {"message": "boom"}
PROJECT = "project:p-1"


def full(job_id: str, status: Any = "DELIVERED", **more: Any) -> dict[str, Any]:
    """A job with all fields that `getJobs` asks for."""
    return {"id": job_id, "status": status, "progress": 0, "errors": [], "resultId": None} | more


def answering(one: Any, many: Any = None) -> Callable[[web.Request], Any]:
    """A server that answers `getJob` and the project with `one`, and `getJobs` with `many`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        is_many = "getJobs" in (await request.json())["query"]
        return web.json_response(many if is_many and many is not None else one)

    return answer


@pytest.fixture
def check(serve: Serve, open_session: OpenSession) -> Callable[..., Any]:
    """The result of a check of some jobs at a server with these answers, in the order of the jobs."""

    async def at(ids: list[str], one: Any, many: Any = None) -> list[Seen]:
        server = await serve(answering(one, many))
        session = await open_session(server.url, dialect=DIALECT, limits=Limits(attempts=1))
        return list((await DatasaurClient(session).check(ids)).values())

    return at


SHAPES: list[Any] = ["maintenance", 5, True, {}, [], {"message": "maintenance"}, {"id": "other", "status": "DELIVERED"}]


@pytest.mark.parametrize("data", [{}, *({"result": shape} for shape in SHAPES), {"result": full("q:1", None)}])
@pytest.mark.parametrize("job_id", ["q:1", PROJECT])
async def test_odd_answer_about_one_job_is_a_failed_poll(data: Any, job_id: str, check: Callable[..., Any]) -> None:
    """`{"data": {}}`, a text, an object without an id: neither an absent job nor an existing project."""
    assert [type(seen) for seen in await check([job_id], {"data": data})] == [errors.BadReply]


ODD_LISTS = [
    *({"result": shape} for shape in ["maintenance", 5, {}, None, {"message": "-"}]),
    *({"result": [entry]} for entry in [5, "x", [], {}, {"message": "-"}, {"id": None}, full("other")]),
    {},
]


@pytest.mark.parametrize("data", ODD_LISTS)
async def test_odd_answer_about_many_jobs_is_a_failed_poll(data: Any, check: Callable[..., Any]) -> None:
    """Not a list, or a list with entries that are not these jobs."""
    assert [type(seen) for seen in await check(["q:1", "q:2"], {"data": data})] == [errors.BadReply] * 2


@pytest.mark.parametrize("left", [[None], []])
async def test_job_that_the_list_lacks_is_absent(left: list[Any], check: Callable[..., Any]) -> None:
    """A null item and a missing item both mean that Datasaur does not know the job."""
    seen = await check(["q:1", "q:2"], {}, {"data": {"result": [full("q:1"), *left]}})
    assert [type(one) for one in seen] == [Job, errors.JobNotFound]


async def test_null_of_get_job_is_an_absent_job(check: Callable[..., Any]) -> None:
    """This is the documented answer to an unknown id."""
    assert [type(one) for one in await check(["q:1"], {"data": {"result": None}})] == [errors.JobNotFound]


async def test_null_for_whatever_is_asked_is_no_absent_job(serve: Serve, open_session: OpenSession) -> None:
    """`getJobs` is null, not a list: then the null of `getJob` is not believed, until there is a list again."""
    answers: list[Any] = [None, None, None, None, [None]]

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": {"result": answers.pop(0)}})

    client = DatasaurClient(await open_session((await serve(answer)).url, dialect=DIALECT))
    assert isinstance((await client.check(["q:1", "q:2"]))["q:1"], errors.BadReply)
    assert isinstance((await client.check(["q:1"]))["q:1"], errors.BadReply)
    assert isinstance((await client.check(["q:1"]))["q:1"], errors.JobNotFound)


async def test_silently_cut_list_hides_no_job(serve: Serve, open_session: OpenSession) -> None:
    """Asked for 100 jobs, the server returns 30 without an error: all are seen, and the next batches are smaller."""

    async def answer(request: web.Request) -> web.StreamResponse:
        ids = (await request.json())["variables"]["jobIds"]
        return web.json_response({"data": {"result": [full(one) for one in ids if one != "q:7"][:30]}})

    server = await serve(answer)
    client = DatasaurClient(await open_session(server.url, dialect=DIALECT))
    seen = await client.check([f"q:{number}" for number in range(100)])
    assert [job_id for job_id, one in seen.items() if not isinstance(one, Job)] == ["q:7"]
    assert isinstance(seen["q:7"], errors.JobNotFound)
    assert server.count <= 5
    assert client.batch_size < 100


@pytest.mark.parametrize("entry", [BOOM, BOOM | {"path": ["result", "progress"]}, AUTH])
async def test_error_beside_a_whole_answer_changes_nothing(entry: Any, check: Callable[..., Any]) -> None:
    """A notice without a path, or an error at the progress: the status counts, for one job as for two."""
    one = {"data": {"result": full("q:1")}, "errors": [entry]}
    many = {"data": {"result": [full("q:1"), full("q:2")]}, "errors": [entry]}
    for ids in (["q:1"], ["q:1", "q:2"]):
        seen = await check(ids, one, many)
        assert [job.state for job in seen if isinstance(job, Job)] == [JobState.SUCCEEDED] * len(ids)


@pytest.mark.parametrize("field", ["status", "resultId"])
async def test_error_at_a_part_that_matters_is_a_failed_poll(field: str, check: Callable[..., Any]) -> None:
    """The result id could not be read: if the job counted as done, the result would be empty."""
    entry = BOOM | {"path": ["result", 0, field]}
    jobs = [full("q:1", **{field: None}), full("q:2")]
    for ids in (["q:1", "q:2"], ["q:1"]):
        many = {"data": {"result": jobs[: len(ids)]}, "errors": [entry]}
        seen = await check(ids, {"data": {"result": full("q:1")}}, many)
        assert isinstance(seen[0], errors.OperationFailed)
        assert [type(one) for one in seen[1:]] == [Job] * (len(ids) - 1)


async def test_error_in_place_of_one_job_concerns_that_job_alone(check: Callable[..., Any]) -> None:
    """The second of four jobs is another team's, the third is unknown: only the second has an error."""
    items = [full("q:1"), None, None, full("q:4")]
    many = {"data": {"result": items}, "errors": [AUTH | {"path": ["result", 1]}]}
    seen = await check(["q:1", "q:2", "q:3", "q:4"], {}, many)
    assert [type(one) for one in seen] == [Job, errors.SignInFailed, errors.JobNotFound, Job]


async def test_job_that_only_one_of_two_queries_knows_is_no_absent_job(check: Callable[..., Any]) -> None:
    """`getJob` says DELIVERED, but the list with the result's id lacks the job: polled again."""
    delivered = {"data": {"result": full("q:1")}}
    assert isinstance((await check(["q:1"], delivered, {"data": {"result": [None]}}))[0], errors.BadReply)
    assert isinstance((await check(["q:1"], delivered, {"data": {}}))[0], errors.BadReply)


async def test_new_project_without_an_id_is_no_whole_result(
    serve: Serve, open_session: OpenSession, tmp_path: Path
) -> None:
    """A `createProject` is DELIVERED without a project: `ResultUnavailable`, not an empty result."""
    client = DatasaurClient(await open_session((await serve({})).url, dialect=DIALECT))
    handle = client.handle("q:1").model_copy(update={"operation": "createProject"})
    with pytest.raises(errors.ResultUnavailable, match="id of its project"):
        await client.result(handle, Job("datasaur", "q:1", JobState.SUCCEEDED, "DELIVERED"), tmp_path)


@pytest.mark.parametrize("value", [{}, [], "x", 5, None, {"name": "mine"}, {"name": "mine", "job": None}, {"job": {}}])
async def test_odd_answer_to_a_submission_is_an_unknown_submission(
    value: Any, serve: Serve, open_session: OpenSession
) -> None:
    """The project may exist: it must not be sent again without a search."""
    client = DatasaurClient(await open_session((await serve({"data": {"result": value}})).url, dialect=DIALECT))
    spec = ProjectSpec.of(name="mine", documents=[{"name": "a.txt", "external_url": "https://h/a.txt"}])
    with pytest.raises(errors.SubmissionUnknown):
        await client.submit(spec)


async def test_each_poll_shows_the_jobs_as_they_are_now(serve: Serve, open_session: OpenSession) -> None:
    """Two jobs run; one makes progress, an error stands at the result id of the other, then both end."""
    running, error = full("q:1", "IN_PROGRESS"), BOOM | {"path": ["result", 0, "resultId"]}
    answers: list[Any] = [
        {"data": {"result": [running, full("q:2", "IN_PROGRESS")]}},
        {"data": {"result": [running, full("q:2", "IN_PROGRESS", progress=50)]}},
        {"data": {"result": [running, full("q:2", "IN_PROGRESS", progress=50)]}, "errors": [error]},
        {"data": {"result": [full("q:1"), full("q:2", "FAILED")]}},
    ]
    session = await open_session((await serve(*answers)).url, dialect=DIALECT, limits=Limits(attempts=1))
    client = DatasaurClient(session)
    first, second, third, last = [await client.check(["q:1", "q:2"]) for _ in answers]
    assert second["q:1"] == first["q:1"]
    assert second["q:2"] == Job("datasaur", "q:2", JobState.RUNNING, "IN_PROGRESS", progress_percent=50)
    assert isinstance(third["q:1"], errors.OperationFailed)
    assert [seen.state for seen in last.values() if isinstance(seen, Job)] == [JobState.SUCCEEDED, JobState.FAILED]


async def test_words_of_a_failure_are_cleaned_in_each_poll(serve: Serve, open_session: OpenSession) -> None:
    """A job that runs shows an error with a text that is a secret from the second poll on."""
    entry = full("q:1", "IN_PROGRESS", errors=[{"id": "e", "stack": "s3cr3t-of-later", "args": None}])
    server = await serve(*2 * [{"data": {"result": [entry, full("q:2")]}}])
    client = DatasaurClient(await open_session(server.url, dialect=DIALECT))
    assert "s3cr3t-of-later" in repr(await client.check(["q:1", "q:2"]))
    client.session.kept_secrets.keep("s3cr3t-of-later")
    assert "s3cr3t-of-later" not in repr(await client.check(["q:1", "q:2"]))
