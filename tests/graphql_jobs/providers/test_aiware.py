"""aiWARE's client against a scripted server: submitting, batches, one bad job in a batch, results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from graphql_jobs import errors
from graphql_jobs.job import Job, JobState
from graphql_jobs.providers.aiware import AiwareClient, AiwareJobSpec, EngineJobSpec, EngineTask
from graphql_jobs.providers.datasaur import ExportSpec
from graphql_jobs.transport.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.graphql_jobs.conftest import OpenSession, Serve


def job(job_id: str, status: str = "running", tasks: list[Any] | None = None) -> dict[str, Any]:
    """A job in an answer of aiWARE."""
    return {"id": job_id, "status": status, "targetId": "1", "tasks": {"records": tasks or []}}


def not_found(alias: str | None) -> dict[str, Any]:
    """The documented error for an unknown id; without an alias it has no path (docs/providers/aiware.md)."""
    entry: dict[str, Any] = {"message": "The requested object was not found", "name": "not_found"}
    return entry | ({"path": [alias]} if alias else {})


def checking(told: Callable[[str, str], tuple[Any, Any]]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A server that answers each alias of a check with the data and error that `told(alias, job_id)` returns."""

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        aliases = [name for name in body["variables"] if name.startswith("id")]
        answers = {f"j{name[2:]}": told(f"j{name[2:]}", body["variables"][name]) for name in aliases}
        data = {alias: value for alias, (value, _) in answers.items()}
        found = [error for _, error in answers.values() if error]
        return web.json_response({"data": data} | ({"errors": found} if found else {}))

    return answer


async def test_engine_job_is_launched_as_documented(
    serve: Serve, open_session: OpenSession, sample: Callable[[str], Any]
) -> None:
    """The sample of single-engine jobs: the handle has id, target, operation and the instant of the submission."""
    server = await serve(sample("aiware/engine_job_launched"))
    client = AiwareClient(await open_session(server.url))
    spec = EngineJobSpec.of(engine_id="c0e55cde", upload_url="https://h/m.mp4", fields={"clusterId": "rt-1"})
    handle = await client.submit(spec)
    assert (handle.provider, handle.endpoint, handle.job_id) == ("aiware", server.url, "20072915_mrEONv6h0H")
    assert (handle.operation, handle.details) == ("launchSingleEngineJob", {"target_id": "1100548727"})
    assert handle.submitted_at is not None
    assert handle.submitted_at.timestamp() == client.session.clock.now()
    assert server.bodies[0]["variables"] == {
        "engineId": "c0e55cde",
        "source": "https://h/m.mp4",
        "name0": "clusterId",
        "value0": "rt-1",
    }
    assert client.handle(handle) == handle


async def test_job_of_tasks_is_created_with_its_input(serve: Serve, open_session: OpenSession) -> None:
    """`createJob` gets the values of the spec under the provider's names."""
    server = await serve({"data": {"createJob": {"id": "20072915_a", "targetId": None, "status": "pending"}}})
    spec = AiwareJobSpec.of(tasks=[EngineTask(engine_id="e", payload={"url": "x"})], target_id="9")
    handle = await AiwareClient(await open_session(server.url)).submit(spec)
    assert handle.job_id == "20072915_a"
    assert server.bodies[0]["variables"] == {
        "input": {"tasks": [{"engineId": "e", "payload": {"url": "x"}}], "targetId": "9"}
    }


async def test_spec_of_another_provider_is_refused(open_session: OpenSession) -> None:
    """Nothing is sent."""
    client = AiwareClient(await open_session("http://127.0.0.1:9"))
    with pytest.raises(errors.InvalidInput, match="ExportSpec"):
        await client.submit(ExportSpec.of(project_ids=["1"], file_name="f"))


@pytest.mark.parametrize("job_id", [None, "", 7.5, ["x"], "x" * 201, "a\ud800", "../../etc", "a b"])
async def test_created_job_without_a_usable_id_is_an_unknown_submission(
    job_id: object, serve: Serve, open_session: OpenSession
) -> None:
    """The job may exist, and its id cannot be used: `SubmissionUnknown`, sent once."""
    server = await serve({"data": {"createJob": {"id": job_id}}})
    client = AiwareClient(await open_session(server.url))
    with pytest.raises(errors.SubmissionUnknown):
        await client.submit(AiwareJobSpec.of(tasks=[{"engine_id": "e"}]))
    assert server.count == 1


@pytest.mark.parametrize(("jobs", "requests"), [(1, 1), (2, 1), (100, 1), (101, 2), (1000, 10)])
async def test_hundred_jobs_are_one_request(jobs: int, requests: int, serve: Serve, open_session: OpenSession) -> None:
    """A thousand jobs take ten requests; each id is in the answer."""
    server = await serve(checking(lambda alias, job_id: (job(job_id), None)))
    ids = [f"j{number}" for number in range(jobs)]
    seen = await AiwareClient(await open_session(server.url)).check(ids)
    assert list(seen) == ids
    assert all(isinstance(one, Job) and one.job_id == job_id for job_id, one in seen.items())
    assert server.count == requests


async def test_id_that_was_given_twice_is_asked_for_once(serve: Serve, open_session: OpenSession) -> None:
    """White space around an id does not make it another id."""
    server = await serve(checking(lambda alias, job_id: (job(job_id), None)))
    seen = await AiwareClient(await open_session(server.url)).check(["a", "a", " a "])
    assert list(seen) == ["a"]
    assert server.bodies[0]["variables"] == {"id0": "a", "offset": 0, "limit": 30}


@pytest.mark.parametrize("bad", ["", "  ", "a/b", "a b", "a;b", "x" * 201, "j\u00f6b", '"'])
async def test_invalid_job_id_is_refused_before_sending(bad: str, open_session: OpenSession) -> None:
    """The error names the id, and nothing is sent: there is no server."""
    client = AiwareClient(await open_session("http://127.0.0.1:9"))
    for attempt in (client.check(["a", bad]), client.cancel(bad), client.retry(bad), client.engine_results(bad)):
        with pytest.raises(errors.InvalidInput):
            await attempt


MEMBERS: dict[str, tuple[Any, Any, type]] = {
    "null and an error with a path": (None, not_found("j1"), errors.JobNotFound),
    "null without an error": (None, None, errors.JobNotFound),
    "another job": (job("other"), None, errors.BadReply),
    "no object": (5, None, errors.BadReply),
    "not allowed": (None, {"name": "not_allowed", "message": "no", "path": ["j1"]}, errors.NotAllowed),
    "failed": (None, {"name": "internal_error", "message": "no", "path": ["j1"]}, errors.ServerFailed),
    "error without a code": (None, {"message": "no", "path": ["j1"]}, errors.OperationFailed),
    "null and an error without a path": (None, not_found(None), errors.JobNotFound),
    "too dear beside good ones": (None, {"name": "capacity_exceeded", "message": "-", "path": ["j1"]}, Job),
}


@pytest.mark.parametrize("name", MEMBERS)
async def test_error_at_one_alias_concerns_that_job_alone(name: str, serve: Serve, open_session: OpenSession) -> None:
    """One of three jobs has an error: the others are read (guarantee 5)."""
    value, error, kind = MEMBERS[name]

    def told(alias: str, job_id: str) -> tuple[Any, Any]:
        alone = kind is Job and server.count > 1
        return (value, error) if job_id == "b" and not alone else (job(job_id), None)

    server = await serve(checking(told))
    seen = await AiwareClient(await open_session(server.url, limits=Limits(attempts=1))).check(["a", "b", "c"])
    assert isinstance(seen["a"], Job)
    assert isinstance(seen["c"], Job)
    assert type(seen["b"]) is kind


@pytest.mark.parametrize("ids", [["a"], ["a", "b"]])
async def test_unknown_ids_alone_are_jobs_that_are_not_found(
    ids: list[str], serve: Serve, open_session: OpenSession
) -> None:
    """Guarantee 10: after its submission the only job of a wait is unknown: `JobNotFound` for it, no exception."""
    server = await serve(checking(lambda alias, job_id: (None, not_found(None))))
    seen = await AiwareClient(await open_session(server.url, limits=Limits(attempts=1))).check(ids)
    assert all(isinstance(one, errors.JobNotFound) for one in seen.values())


async def test_part_that_is_not_found_does_not_make_the_job_not_found(serve: Serve, open_session: OpenSession) -> None:
    """The standby of its first task was deleted; the job runs."""
    entry = not_found("j0") | {"path": ["j0", "tasks", "records", 0, "standbyTask"]}
    server = await serve({"data": {"j0": job("a", "running", [{"id": "t", "status": "running"}])}, "errors": [entry]})
    seen = await AiwareClient(await open_session(server.url)).check(["a"])
    assert not isinstance(seen["a"], errors.JobNotFound)


async def test_request_that_failed_as_a_whole_stands_at_each_of_its_jobs(
    serve: Serve, open_session: OpenSession
) -> None:
    """502 for all jobs and for each single one: each has the error; both requests were retried like any read."""
    server = await serve((502, ""))
    seen = await AiwareClient(await open_session(server.url, limits=Limits(attempts=2))).check(["a", "b"])
    assert [type(one) for one in seen.values()] == [errors.ServerFailed] * 2
    assert server.count == 4


async def test_no_further_batch_is_tried_when_the_endpoint_is_gone(serve: Serve, open_session: OpenSession) -> None:
    """401 for the first of three batches: no other request would succeed, and every job has the error."""
    server = await serve((401, ""))
    seen = await AiwareClient(await open_session(server.url)).check([f"j{number}" for number in range(250)])
    assert len(seen) == 250
    assert all(isinstance(one, errors.SignInFailed) for one in seen.values())
    assert server.count == 1


async def test_batch_that_is_too_expensive_is_halved(serve: Serve, open_session: OpenSession) -> None:
    """The server answers capacity_exceeded above five aliases: all ten jobs are still seen."""

    async def answer(request: web.Request) -> web.StreamResponse:
        aliases = sum(name.startswith("id") for name in (await request.json())["variables"])
        if aliases > 5:
            return web.json_response({"data": None, "errors": [{"name": "capacity_exceeded", "message": "too dear"}]})
        return await checking(lambda alias, job_id: (job(job_id), None))(request)

    server = await serve(answer)
    seen = await AiwareClient(await open_session(server.url)).check([f"j{number}" for number in range(10)])
    assert all(isinstance(one, Job) for one in seen.values())
    assert server.count == 3


async def test_results_are_the_records_of_the_engines(
    serve: Serve, open_session: OpenSession, sample: Callable[[str], Any], tmp_path: Path
) -> None:
    """The documented sample; an empty list before there are results."""
    server = await serve(sample("aiware/engine_results"), {"data": {"engineResults": {"records": []}}})
    client = AiwareClient(await open_session(server.url))
    done = Job("aiware", "a", JobState.SUCCEEDED, "complete")
    result = await client.result(client.handle("a"), done, tmp_path)
    assert result["engine_results"][0]["jsondata"]["series"][0]["words"][0]["word"] == "We"
    assert await client.engine_results("a") == []


async def test_results_that_cannot_be_had_are_unavailable(serve: Serve, open_session: OpenSession) -> None:
    """The engine's results were deleted: `ResultUnavailable`, not a failed job."""
    entry = {"name": "not_found", "message": "gone", "path": ["engineResults"]}
    server = await serve({"data": {"engineResults": None}, "errors": [entry]})
    with pytest.raises(errors.ResultUnavailable, match="gone"):
        await AiwareClient(await open_session(server.url)).engine_results("a")


async def test_targets_are_made_and_named(serve: Serve, open_session: OpenSession) -> None:
    """`createTDO` and `createTDOWithAsset` give ids."""
    server = await serve({"data": {"createTDO": {"id": "1"}}}, {"data": {"createTDOWithAsset": {"id": "2"}}})
    client = AiwareClient(await open_session(server.url))
    assert await client.create_target(startDateTime=1, stopDateTime=2) == "1"
    assert await client.create_target_with_asset("https://h/m", startDateTime=1) == "2"
    assert server.bodies[1]["variables"] == {"input": {"uri": "https://h/m", "startDateTime": 1}}
