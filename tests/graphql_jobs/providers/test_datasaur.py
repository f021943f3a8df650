"""Datasaur's client against a scripted server: submitting, checking one and many, exports."""

from __future__ import annotations

import contextlib
import io
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from graphql_jobs import errors
from graphql_jobs.handle import JobHandle
from graphql_jobs.job import Job, JobState
from graphql_jobs.providers.aiware import AiwareJobSpec
from graphql_jobs.providers.datasaur import AutoLabelSpec, DatasaurClient, ExportSpec, ProjectSpec
from graphql_jobs.providers.datasaur.reader import DIALECT
from graphql_jobs.transport.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graphql_jobs.spec import JobSpec
    from tests.graphql_jobs.conftest import OpenSession, Serve, Step

QUEUED = {"id": "AutoLabelQueue:1", "status": "QUEUED", "progress": 0}
AUTO_LABEL = AutoLabelSpec.of(
    project_id="p", labeler_email="me@h", target_endpoint="https://model.h/predict", target_secret="s3cret-of-model"
)
PROJECT = ProjectSpec.of(name="mine", documents=[{"name": "a.txt", "external_url": "https://h/a.txt"}])
EXPORT = ExportSpec.of(project_ids=["p"], file_name="out")
DONE = Job("datasaur", "q:1", JobState.SUCCEEDED, "DELIVERED")


def full(job_id: str, status: str = "DELIVERED", **more: Any) -> dict[str, Any]:
    """A job with all fields that `getJobs` asks for."""
    return {"id": job_id, "status": status, "progress": 0, "errors": [], "resultId": None} | more


@pytest.fixture
def connect(serve: Serve, open_session: OpenSession) -> Callable[..., Any]:
    """A client at a new scripted server, and the server."""

    async def start(*steps: Step, attempts: int = 2) -> Any:
        server = await serve(*steps)
        return DatasaurClient(await open_session(server.url, dialect=DIALECT, limits=Limits(attempts=attempts))), server

    return start


@pytest.mark.parametrize(
    ("spec", "answer", "job_id", "operation"),
    [
        (AUTO_LABEL, QUEUED, "AutoLabelQueue:1", "autoLabelTokenBasedProject"),
        (PROJECT, {"name": "mine", "job": QUEUED}, "AutoLabelQueue:1", "createProject"),
        (EXPORT, {"exportId": "ExportQueue:1", "fileUrl": None}, "ExportQueue:1", "exportTextProject"),
    ],
    ids=["the job itself", "a job beside a name", "an export"],
)
async def test_each_spec_is_submitted_by_its_operation(
    spec: JobSpec, answer: Any, job_id: str, operation: str, connect: Callable[..., Any]
) -> None:
    """Three shapes of an answer give one shape of a handle."""
    client, server = await connect({"data": {"result": answer}})
    handle = await client.submit(spec)
    assert (handle.provider, handle.job_id, handle.operation) == ("datasaur", job_id, operation)
    assert handle.submitted_at is not None
    assert server.bodies[0]["variables"] == {"input": spec.to_wire()}  # type: ignore[attr-defined]


async def test_exports_address_stays_in_the_process_and_out_of_the_handle(connect: Callable[..., Any]) -> None:
    """Only the answer to the submission has it; a handle is stored in parameters, results and databases."""
    answer = {"exportId": "ExportQueue:1", "fileUrl": "https://s3.h/f?sig=s3cret", "queued": True}
    client, _ = await connect({"data": {"result": answer}})
    handle = await client.submit(EXPORT)
    assert JobHandle.from_json(handle.to_json()).address("file_url") == "https://s3.h/f?sig=s3cret"
    again = handle.model_copy(update={"details": {"repeats": "ExportQueue:0"}})
    assert again.address("file_url") == "https://s3.h/f?sig=s3cret"
    for shown in (repr(handle), handle.to_json(), dict(handle), vars(handle), pickle.dumps(handle), handle.details):
        assert "s3cret" not in str(shown)


async def test_spec_of_another_provider_is_refused(connect: Callable[..., Any]) -> None:
    """Nothing is sent."""
    client, server = await connect({})
    with pytest.raises(errors.InvalidInput, match="AiwareJobSpec"):
        await client.submit(AiwareJobSpec.of(tasks=[{"engine_id": "e"}]))
    assert server.count == 0


@pytest.mark.parametrize("job_id", [None, "", 7.5, "x" * 201, "a\ud800", "../../../etc/passwd"])
@pytest.mark.parametrize("spec", [AUTO_LABEL, EXPORT])
async def test_submission_without_a_usable_id_is_unknown(
    spec: JobSpec, job_id: object, connect: Callable[..., Any]
) -> None:
    """The job may exist: `SubmissionUnknown`, sent once."""
    client, server = await connect({"data": {"result": {"id": job_id, "exportId": job_id, "status": "QUEUED"}}})
    with pytest.raises(errors.SubmissionUnknown):
        await client.submit(spec)
    assert server.count == 1


async def test_export_with_a_broken_address_keeps_its_handle(connect: Callable[..., Any]) -> None:
    """A lone surrogate in `fileUrl`: the export runs, so there is a handle, or `SubmissionUnknown`."""
    client, _ = await connect({"data": {"result": {"exportId": "ExportQueue:1", "fileUrl": "https://h/\ud800"}}})
    try:
        assert (await client.submit(EXPORT)).job_id == "ExportQueue:1"
    except errors.SubmissionUnknown as unknown:
        assert unknown.operation == "exportTextProject"  # noqa: PT017 (either is right)


async def test_models_secret_is_not_shown_when_the_server_repeats_it(connect: Callable[..., Any]) -> None:
    """An error that quotes its input."""
    client, _ = await connect({"errors": [{"message": "bad input: s3cret-of-model"}]})
    with pytest.raises(errors.SubmissionUnknown) as caught:
        await client.submit(AUTO_LABEL)
    assert "s3cret-of-model" not in f"{caught.value!r} {caught.value.__cause__!r} {AUTO_LABEL!r}"


async def test_one_job_is_asked_for_by_the_vendors_query(connect: Callable[..., Any]) -> None:
    """While it runs: one request, `getJob` with the id."""
    client, server = await connect({"data": {"result": QUEUED}, "extensions": {}})
    seen = await client.check(["AutoLabelQueue:1"])
    assert seen["AutoLabelQueue:1"].state is JobState.PENDING
    assert server.count == 1
    assert server.bodies[0]["operationName"] == "GetJobQuery"
    assert server.bodies[0]["variables"] == {"jobId": "AutoLabelQueue:1"}


async def test_job_that_ended_is_read_in_full(connect: Callable[..., Any], sample: Callable[[str], Any]) -> None:
    """`getJob` says DELIVERED, then `getJobs` gives the errors and the result's id."""
    job_id = "AutoLabelQueue:dcbf6ed3-3841-46c1-8f6a-2affb53ac637"
    client, server = await connect(
        sample("datasaur/job_delivered"), {"data": {"result": [full(job_id, resultId="project-1")]}}
    )
    seen = (await client.check([job_id]))[job_id]
    assert (seen.state, seen.result_id) == (JobState.SUCCEEDED, "project-1")
    assert server.bodies[1]["variables"] == {"jobIds": [job_id]}


async def test_unknown_job_is_not_found(connect: Callable[..., Any]) -> None:
    """`getJob` answers null without an error; `getJobs` has null items, or no item."""
    client, _ = await connect({"data": {"result": None}})
    assert isinstance((await client.check(["q:1"]))["q:1"], errors.JobNotFound)
    client, _ = await connect({"data": {"result": [None, full("q:2")]}})
    seen = await client.check(["q:1", "q:2"])
    assert isinstance(seen["q:1"], errors.JobNotFound)
    assert isinstance(seen["q:2"], Job)


async def test_jobs_are_matched_by_their_ids_and_not_by_position(connect: Callable[..., Any]) -> None:
    """Reversed, with nulls and an unknown job between them."""
    items = [full("q:3"), None, full("stranger"), full("q:1", "FAILED"), full("q:2", "QUEUED")]
    client, server = await connect({"data": {"result": items}})
    seen = await client.check(["q:1", "q:2", "q:3"])
    assert [one.state for one in seen.values()] == [JobState.FAILED, JobState.PENDING, JobState.SUCCEEDED]
    assert list(seen) == ["q:1", "q:2", "q:3"]
    assert server.count == 1


async def test_thousand_jobs_are_two_requests(connect: Callable[..., Any]) -> None:
    """Five hundred ids per request."""

    async def answer(request: web.Request) -> web.StreamResponse:
        ids = (await request.json())["variables"]["jobIds"]
        return web.json_response({"data": {"result": [full(job_id) for job_id in reversed(ids)]}})

    client, server = await connect(answer)
    seen = await client.check([f"q:{number}" for number in range(1000)])
    assert all(isinstance(one, Job) for one in seen.values())
    assert server.count == 2


async def test_error_at_the_one_job_stands_at_it(connect: Callable[..., Any]) -> None:
    """`getJob` failed for the job: a failed check, not an absent job."""
    entry = {"message": "boom", "path": ["result"]}
    client, _ = await connect({"data": {"result": None}, "errors": [entry]})
    assert isinstance((await client.check(["q:1"]))["q:1"], errors.OperationFailed)


async def test_error_at_one_of_many_is_not_a_missing_job(connect: Callable[..., Any]) -> None:
    """The second item failed and is null: a failed check of q:2, and the first is read."""
    entry = {"message": "database timeout", "path": ["result", 1]}
    client, _ = await connect({"data": {"result": [full("q:1"), None]}, "errors": [entry]})
    seen = await client.check(["q:1", "q:2"])
    assert isinstance(seen["q:1"], Job)
    assert isinstance(seen["q:2"], errors.RequestFailed)


@pytest.mark.parametrize("value", [None, 5, "x", {}, [5, "x", []]])
async def test_list_that_is_none_finds_nothing(value: object, connect: Callable[..., Any]) -> None:
    """Any JSON in place of the list: only this project's errors."""
    client, _ = await connect({"data": {"result": value}})
    seen = await client.check(["q:1", "q:2"])
    assert all(isinstance(one, errors.JobNotFound | errors.BadReply) for one in seen.values())


async def test_cancel_is_always_refused(connect: Callable[..., Any]) -> None:
    """The error says that the job is left running at Datasaur. Nothing is sent."""
    client, server = await connect({})
    with pytest.raises(errors.CancelRefused, match="left running"):
        await client.cancel("q:1")
    assert not client.can_cancel
    assert server.count == 0


async def test_result_of_a_project_is_its_id(connect: Callable[..., Any], tmp_path: Path) -> None:
    """An auto-label job has no result id."""
    client, _ = await connect({})
    handle = client.handle("q:1")
    made = Job("datasaur", "q:1", JobState.SUCCEEDED, "DELIVERED", result_id="project-1")
    assert await client.result(handle, made, tmp_path) == {"result_id": "project-1"}
    assert await client.result(handle, DONE, tmp_path) == {}


def exported(client: DatasaurClient, file_url: str | None, job_id: str = "ExportQueue:1") -> JobHandle:
    """The handle of an export."""
    details = {"file_url": file_url} if file_url else {}
    return JobHandle(
        provider="datasaur",
        endpoint=client.session.url,
        job_id=job_id,
        operation="exportTextProject",
        details=details,
    )


async def test_result_of_an_export_is_its_file(connect: Callable[..., Any], tmp_path: Path) -> None:
    """It is downloaded without the token, and named after the job's id."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("REVIEW/a.json", "{}")

    async def store(request: web.Request) -> web.StreamResponse:
        return web.Response(body=content.getvalue())

    client, server = await connect(store)
    result = await client.result(exported(client, f"{server.url}/f?sig=1"), DONE, tmp_path)
    assert result == {"file": str(tmp_path / "ExportQueue-1.zip"), "size_bytes": len(content.getvalue())}
    assert (tmp_path / "ExportQueue-1.zip").read_bytes() == content.getvalue()
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize("file_url", [None, "ftp://h/f", "http://[bad", "//h/f", "https://u:p@h/f", "https://h:x/f"])
async def test_file_that_cannot_be_had_is_an_unavailable_result(
    file_url: str | None, connect: Callable[..., Any], tmp_path: Path
) -> None:
    """No address, or an invalid one: `ResultUnavailable`."""
    client, _ = await connect({})
    with pytest.raises(errors.ResultUnavailable):
        await client.result(exported(client, file_url), DONE, tmp_path)


async def test_hostile_job_id_writes_nowhere_else(connect: Callable[..., Any], tmp_path: Path) -> None:
    """An export named "../outside": refused, and no file appears beside the folder."""
    client, server = await connect("zip bytes")
    folder = tmp_path / "folder"
    with contextlib.suppress(errors.GraphqlJobsError):
        await client.result(exported(client, server.url, "../outside"), DONE, folder)
    assert not (tmp_path / "outside.zip").exists()
