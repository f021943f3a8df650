"""aiWARE: an answer of another shape is a failed poll, never an absent job or a complete list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from graphql_jobs import errors
from graphql_jobs.job import Job, JobState
from graphql_jobs.providers.aiware import AiwareClient
from graphql_jobs.transport.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphql_jobs.handle import Seen
    from tests.graphql_jobs.conftest import OpenSession, Serve

ABSENT = {"name": "not_found", "message": "The requested object was not found"}
AUTH = {"name": "authentication_error", "message": "no"}
FAILED = {"name": "internal_error", "message": "boom"}
TASK = {"id": "t", "status": "complete", "engineId": "e"}


def job(job_id: str, status: Any = "complete", tasks: Any = ..., **more: Any) -> dict[str, Any]:
    """A job in an answer of aiWARE."""
    listed = {"records": [TASK]} if tasks is ... else tasks
    return {"id": job_id, "status": status, "tasks": listed} | more


@pytest.fixture
def check(serve: Serve, open_session: OpenSession) -> Callable[..., Any]:
    """The result of a check of some jobs at a server with this data and these errors."""

    async def at(ids: list[str], data: dict[str, Any], *entries: Any) -> list[Seen]:
        async def answer(request: web.Request) -> web.StreamResponse:
            variables = (await request.json())["variables"]
            if variables["offset"]:
                ids = {name[2:]: value for name, value in variables.items() if name.startswith("id")}
                behind = {f"j{number}": job(job_id, tasks={"records": []}) for number, job_id in ids.items()}
                return web.json_response({"data": behind})
            return web.json_response({"data": data} | ({"errors": list(entries)} if entries else {}))

        session = await open_session((await serve(answer)).url, limits=Limits(attempts=1))
        return list((await AiwareClient(session).check(ids)).values())

    return at


@pytest.mark.parametrize("shape", ["text", 5, True, [], {}, {"id": "other"}, {"id": "a"}, job("a", 5), job("a", {})])
async def test_odd_answer_about_a_job_is_a_failed_poll(shape: Any, check: Callable[..., Any]) -> None:
    """Not an object, another job, no status: the other job of the batch is read."""
    seen = await check(["a", "b"], {"j0": shape, "j1": job("b")})
    assert [type(one) for one in seen] == [errors.BadReply, Job]


@pytest.mark.parametrize("ids", [["a"], ["a", "b"]])
async def test_answer_without_the_aliases_is_a_failed_poll(ids: list[str], check: Callable[..., Any]) -> None:
    """`{"data": {}}` says nothing about any job."""
    assert {type(one) for one in await check(ids, {})} == {errors.BadReply}
    assert {type(one) for one in await check(ids, {"other": 1})} == {errors.BadReply}


@pytest.mark.parametrize(
    ("entries", "kind"),
    [
        ([], errors.JobNotFound),
        ([ABSENT], errors.JobNotFound),
        ([ABSENT | {"path": ["j0"]}], errors.JobNotFound),
        ([ABSENT | {"data": {"objectId": "a"}}], errors.JobNotFound),
        ([ABSENT | {"data": {"objectId": "a"}}, {"message": "an outage"}], errors.OperationFailed),
        ([ABSENT | {"path": ["j0"]}, {"message": "this field is deprecated"}], errors.JobNotFound),
        ([ABSENT | {"path": ["j0", "target"]}], errors.BadReply),
        ([ABSENT | {"data": {"objectId": "some other object"}}], errors.BadReply),
        ([ABSENT, FAILED], errors.ServerFailed),
        ([ABSENT | {"path": ["j0"]}, FAILED | {"path": ["j0"]}], errors.ServerFailed),
        ([AUTH | {"path": ["j0"]}], errors.SignInFailed),
        ([FAILED], errors.ServerFailed),
        ([{"message": "no code", "path": ["nonsense"]}], errors.OperationFailed),
    ],
)
async def test_job_is_absent_only_where_aiware_says_so(
    entries: list[Any], kind: type, check: Callable[..., Any]
) -> None:
    """`not_found` about this very job, or null without an error; the same with another job in the batch."""
    assert [type(one) for one in await check(["a"], {"j0": None}, *entries)] == [kind]
    beside = await check(["a", "b"], {"j0": None, "j1": job("b")}, *entries)
    assert [type(one) for one in beside] == [kind, Job]


@pytest.mark.parametrize(
    "entry",
    [
        *[FAILED | {"path": ["j0", "tasks", "records", 0, name]} for name in ("engineId", "failureMessage")],
        FAILED,
        AUTH,
        {"message": "deprecated"},
        FAILED | {"path": ["j0", "targetId"]},
    ],
)
async def test_error_beside_a_whole_answer_changes_nothing(entry: Any, check: Callable[..., Any]) -> None:
    """An error that names no field, or an unimportant one: for one job as for two."""
    for ids in (["a"], ["a", "b"]):
        seen = await check(ids, {f"j{number}": job(job_id) for number, job_id in enumerate(ids)}, entry)
        assert [one.state for one in seen if isinstance(one, Job)] == [JobState.SUCCEEDED] * len(ids)


@pytest.mark.parametrize(
    ("tasks", "entries"),
    [
        (None, []),
        (None, [FAILED | {"path": ["j0", "tasks"]}]),
        (None, [ABSENT | {"path": ["j0", "tasks"]}]),
        ({"records": None}, []),
        ([], []),
        ({"records": [None]}, []),
        ({"records": ["text"]}, []),
        ({"records": [TASK | {"status": None}]}, []),
        ({"records": [TASK | {"id": None}]}, []),
        ({"records": [TASK]}, [FAILED | {"path": ["j0", "tasks", "records", 0, "standbyTask"]}]),
    ],
)
async def test_complete_job_with_unreadable_tasks_is_a_failed_poll(
    tasks: Any, entries: list[Any], check: Callable[..., Any]
) -> None:
    """An unreadable task may have failed; a running job needs no tasks."""
    [seen, other] = await check(["a", "b"], {"j0": job("a", "complete", tasks), "j1": job("b")}, *entries)
    assert isinstance(seen, errors.RequestFailed)
    assert seen.transient
    assert isinstance(other, Job)
    [running] = await check(["a"], {"j0": job("a", "running", tasks)}, *entries)
    assert isinstance(running, Job)
    assert running.state is JobState.RUNNING


QUEUED = {"data": {"j0": job("a", "queued")}}
GONE = {"data": {"j0": None}, "errors": [ABSENT | {"path": ["j0"]}]}


@pytest.mark.parametrize("data", [{}, {"cancelJob": None}, {"cancelJob": "maintenance"}, {"cancelJob": {}}])
async def test_odd_answer_to_a_cancel_is_not_an_accepted_cancel(
    data: Any, serve: Serve, open_session: OpenSession
) -> None:
    """The job is not visible yet, and nothing shows that the cancel arrived: it does not count as cancelled."""
    for shown, kind in ((GONE, errors.JobNotFound), (QUEUED, errors.BadReply)):
        client = AiwareClient(await open_session((await serve({"data": data}, shown)).url, limits=Limits(attempts=1)))
        with pytest.raises(kind):
            await client.cancel("a")


@pytest.mark.parametrize("entry", [{"message": "deprecated"}, FAILED | {"path": ["cancelJob", "message"]}])
async def test_error_beside_an_accepted_cancel_does_not_refuse_it(
    entry: Any, serve: Serve, open_session: OpenSession
) -> None:
    """The answer has the job's id: the cancel is accepted, and the job is polled until the cancel shows."""
    accepted = {"data": {"cancelJob": {"id": "a", "message": None}}, "errors": [entry]}
    server = await serve(accepted, QUEUED, {"data": {"j0": job("a", "aborted")}})
    outcome = await AiwareClient(await open_session(server.url)).cancel("a")
    assert outcome.confirmed


async def test_retry_that_is_answered_about_another_job_is_unknown(serve: Serve, open_session: OpenSession) -> None:
    """`retryJob` keeps the id; with another id, the end of another job would be reported."""
    client = AiwareClient(await open_session((await serve({"data": {"retryJob": {"id": "b"}}})).url))
    with pytest.raises(errors.SubmissionUnknown, match="job b"):
        await client.retry("a")


@pytest.mark.parametrize("value", [{}, [], "x", 5, {"id": None}, {"id": {}}])
async def test_odd_answer_to_a_new_target_is_a_failed_request(
    value: Any, serve: Serve, open_session: OpenSession
) -> None:
    """No container is made from it."""
    client = AiwareClient(await open_session((await serve({"data": {"createTDO": value}})).url))
    with pytest.raises(errors.BadReply):
        await client.create_target(startDateTime=1, stopDateTime=2)
