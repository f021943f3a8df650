"""After a job's end, its result is tried for as long as an outage is tolerated; no error says "not started"."""

from __future__ import annotations

import os
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import errors
from graphql_jobs.handle import JobHandle
from graphql_jobs.job import Job, JobState
from graphql_jobs.providers.aiware import AiwareClient
from graphql_jobs.providers.datasaur import DatasaurClient, ExportSpec
from graphql_jobs.providers.datasaur.reader import DIALECT
from graphql_jobs.transport.auth import ClientCredentials
from graphql_jobs.transport.limits import Limits
from tests.graphql_jobs.conftest import plain_answer
from tests.graphql_jobs.stores import PAGE, ZIP, giving

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import OpenSession, Serve, Step

DONE = Job("aiware", "a", JobState.SUCCEEDED, "complete")
RESULTS = {"data": {"engineResults": {"records": [{"engineId": "e"}]}}}


def until(clock: FakeClock, over_at: float, during: Any, after: Any) -> Callable[..., Any]:
    """A step that gives `during` before the instant and `after` from then on."""

    async def answer(request: Any) -> Any:
        step: Any = during if clock.now() < over_at else after
        return await step(request) if isinstance(step, FunctionType) else plain_answer(step)

    return answer


@pytest.mark.parametrize(
    "during",
    [
        (503, "away"),
        (502, "away", {"Retry-After": "1200"}),
        (429, "slow down", {"Retry-After": "1200"}),
        (401, "who are you?"),
        (403, "blocked by a proxy"),
        (404, "no such path"),
        (200, "<html>maintenance</html>"),
        {"data": None},
        {"data": {}},
        {"data": {"engineResults": {"records": None}}},
        {"data": {"engineResults": None}, "errors": [{"message": "a service failed", "path": ["engineResults"]}]},
        {"data": {"engineResults": None}, "errors": [{"name": "internal_error", "path": ["engineResults"]}]},
    ],
    ids=str,
)
async def test_results_are_tried_for_as_long_as_a_wait_tolerates_an_outage(
    during: Any, serve: Serve, open_session: OpenSession, clock: FakeClock, tmp_path: Path
) -> None:
    """Fifty minutes of failures of each kind after the job's end: then the results are returned."""
    server = await serve(until(clock, clock.now() + 3000, during, RESULTS))
    client = AiwareClient(await open_session(server.url))
    assert await client.result(client.handle("a"), DONE, tmp_path) == {"engine_results": [{"engineId": "e"}]}


async def test_results_that_are_away_for_longer_are_unavailable(
    serve: Serve, open_session: OpenSession, clock: FakeClock, tmp_path: Path
) -> None:
    """Always 503, and a budget of ten minutes: `ResultUnavailable` with the cause, the job and what to do."""
    server = await serve((503, "away"))
    client, began_at = AiwareClient(await open_session(server.url)), clock.now()
    with pytest.raises(errors.ResultUnavailable) as raised:
        await client.result(client.handle("a"), DONE, tmp_path, 600)
    assert 600 <= clock.now() - began_at < 700
    for words in ("job a", "the job is done", "HTTP 503", "600 s", "Retry"):
        assert words in str(raised.value)


async def test_delay_as_long_as_the_outage_budget_is_waited_for(
    serve: Serve, open_session: OpenSession, clock: FakeClock, tmp_path: Path
) -> None:
    """429 with `Retry-After: 3600`, which is the budget: one more request after it."""
    server = await serve(until(clock, clock.now() + 3600, (429, "", {"Retry-After": "3600"}), RESULTS))
    client = AiwareClient(await open_session(server.url))
    assert await client.result(client.handle("a"), DONE, tmp_path)


@pytest.mark.parametrize(
    "step",
    [
        '{"data": "' + "x" * 33 * 1024**2 + '"}',
        {"data": {"engineResults": None}, "errors": [{"name": "not_found", "path": ["engineResults"]}]},
        (413, "too large"),
        (400, "no"),
    ],
    ids=["33 MiB", "not found", "413", "400"],
)
async def test_permanent_failure_of_a_result_is_not_retried(
    step: Step, serve: Serve, open_session: OpenSession, clock: FakeClock, tmp_path: Path
) -> None:
    """An answer that is too large, or a refusal: `ResultUnavailable` immediately."""
    server = await serve(step)
    client, began_at = AiwareClient(await open_session(server.url)), clock.now()
    with pytest.raises(errors.ResultUnavailable):
        await client.result(client.handle("a"), DONE, tmp_path)
    assert (server.count, clock.now()) == (1, began_at)


async def test_refused_sign_in_is_no_refused_submission(
    serve: Serve, open_session: OpenSession, clock: FakeClock, tmp_path: Path
) -> None:
    """Sign-in is refused for half an hour: then the result is returned; refused always: `ResultUnavailable`."""
    token = {"access_token": "0123456789abcdef", "expires_in": 3600}
    signing = await serve(until(clock, clock.now() + 1800, (401, "no"), token))
    server = await serve(RESULTS)
    auth = ClientCredentials(signing.url, "id", "s3cret-of-client")
    client = AiwareClient(await open_session(server.url, auth))
    assert await client.result(client.handle("a"), DONE, tmp_path)
    refusing = ClientCredentials((await serve((401, "no"))).url, "id", "s3cret-of-client")
    client = AiwareClient(await open_session(server.url, refusing))
    with pytest.raises(errors.ResultUnavailable, match="sign-in"):
        await client.result(client.handle("a"), DONE, tmp_path)


def exported(client: DatasaurClient, file_url: str, expires_at: str | None = None) -> JobHandle:
    """The handle of an export."""
    details = {"file_url": file_url} | ({"file_url_expires_at": expires_at} if expires_at else {})
    return JobHandle(
        provider="datasaur",
        endpoint=client.session.url,
        job_id="ExportQueue:1",
        operation="exportTextProject",
        details=details,
    )


async def test_file_is_tried_for_as_long_as_an_outage_is_tolerated(
    serve: Serve, open_session: OpenSession, clock: FakeClock, tmp_path: Path
) -> None:
    """The file's server fails for 50 minutes."""
    server = await serve(until(clock, clock.now() + 3000, (503, "away"), giving(ZIP)))
    client = DatasaurClient(await open_session(server.url, dialect=DIALECT))
    result = await client.result(exported(client, server.url), DONE, tmp_path)
    assert result["size_bytes"] == len(ZIP)


async def test_expired_address_says_so(
    serve: Serve, open_session: OpenSession, clock: FakeClock, tmp_path: Path
) -> None:
    """403 after `fileUrlExpiredAt`: the message names that instant and how to get a new address; not before it."""
    server = await serve((403, "<Error><Code>AccessDenied</Code></Error>"))
    client = DatasaurClient(await open_session(server.url, dialect=DIALECT))
    with pytest.raises(errors.ResultUnavailable, match=r"expired at 2020-01-01T00:00:00.*HTTP 403.*Retry") as raised:
        await client.result(exported(client, server.url, "2020-01-01T00:00:00.000Z"), DONE, tmp_path)
    assert "credentials block" not in str(raised.value)
    with pytest.raises(errors.ResultUnavailable, match="not allowed: HTTP 403"):
        await client.result(exported(client, server.url, "2100-01-01T00:00:00.000Z"), DONE, tmp_path)


async def test_instant_of_expiry_is_kept_in_the_handle(serve: Serve, open_session: OpenSession) -> None:
    """It stays in the handle when the address is removed."""

    answer = {"exportId": "ExportQueue:1", "fileUrl": "https://s3.h/f", "fileUrlExpiredAt": "2026-01-01T00:00:00Z"}
    server = await serve({"data": {"result": answer}})
    client = DatasaurClient(await open_session(server.url, dialect=DIALECT))
    handle = await client.submit(ExportSpec.of(project_ids=["p"], file_name="out"))
    assert handle.details == {"file_url_expires_at": "2026-01-01T00:00:00Z", "file_name": "out"}


def directory(path: Path) -> None:
    """A directory with the name of the file."""
    (path / "ExportQueue-1.zip").mkdir(parents=True)


def file(path: Path) -> None:
    """A file with the name of the folder."""
    path.write_text("x")


@pytest.mark.parametrize(
    ("folder", "prepare", "words"),
    [
        ("out", directory, "ExportQueue-1.zip: Is a directory. Move away"),
        ("out", file, "out: File exists. Move away"),
        ("out/below", lambda path: file(path.parent), "out/below: Not a directory. Move away"),
        ("x" * 300, lambda path: None, "File name too long. Give a result_folder with a shorter name"),
        ("o\0ut", lambda path: None, "null"),
    ],
    ids=["a directory", "a file", "a file above", "a long name", "a null byte"],
)
async def test_error_of_the_local_disk_names_the_file_and_the_remedy(
    folder: str, prepare: Any, words: str, serve: Serve, open_session: OpenSession, clock: FakeClock, tmp_path: Path
) -> None:
    """The file cannot be created: `ResultUnavailable` immediately, with the path and the parameter to change."""
    prepare(tmp_path / folder)
    server = await serve(giving(ZIP))
    client, began_at = DatasaurClient(await open_session(server.url, dialect=DIALECT)), clock.now()
    with pytest.raises(errors.ResultUnavailable) as raised:
        await client.result(exported(client, server.url), DONE, tmp_path / folder)
    assert words in str(raised.value)
    assert clock.now() == began_at


@pytest.mark.parametrize(("number", "words"), [(28, "No space left"), (13, "Permission denied"), (110, "timed out")])
async def test_disk_that_fails_in_the_midst_is_no_outage(
    number: int,
    words: str,
    serve: Serve,
    open_session: OpenSession,
    clock: FakeClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full disk, or a network disk that fails: `ResultUnavailable` immediately, and no part file remains."""

    class Full:
        def __init__(self, descriptor: int, mode: str) -> None:
            self.descriptor = descriptor

        def write(self, chunk: bytes) -> int:
            raise OSError(number, os.strerror(number))

        def seek(self, at: int) -> None: ...

        def truncate(self) -> None: ...

        def close(self) -> None:
            os.close(self.descriptor)
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fdopen", Full)
    server = await serve(giving(ZIP))
    client, began_at = DatasaurClient(await open_session(server.url, dialect=DIALECT)), clock.now()
    with pytest.raises(errors.ResultUnavailable, match=words) as raised:
        await client.result(exported(client, server.url), DONE, tmp_path)
    assert f"{tmp_path}/ExportQueue-1.zip: " in str(raised.value)
    assert "result_folder" in str(raised.value)
    assert (clock.now(), os.listdir(tmp_path)) == (began_at, [])


@pytest.mark.parametrize(
    "url", ["http://a..b/f.zip", "http://-/f.zip", f"http://{'a' * 64}.example/f.zip", "http:///f"]
)
async def test_host_that_cannot_be_one_is_an_unavailable_result(
    url: str, serve: Serve, open_session: OpenSession, tmp_path: Path
) -> None:
    """Python refuses such host names with an error that is not a network error."""
    client = DatasaurClient(await open_session((await serve({})).url, dialect=DIALECT))
    with pytest.raises(errors.ResultUnavailable):
        await client.result(exported(client, url), DONE, tmp_path, 10)


async def test_page_in_place_of_the_file_is_an_unavailable_result(
    serve: Serve, open_session: OpenSession, tmp_path: Path
) -> None:
    """A proxy's sign-in page with HTTP 200, each time."""
    server = await serve(giving(PAGE))
    client = DatasaurClient(await open_session(server.url, dialect=DIALECT, limits=Limits(attempts=2)))
    with pytest.raises(errors.ResultUnavailable, match="HTML page"):
        await client.result(exported(client, server.url), DONE, tmp_path)
    assert server.count == 2


async def test_relative_folder_gives_an_absolute_path(
    serve: Serve, open_session: OpenSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Downstream runs in another current folder."""

    monkeypatch.chdir(tmp_path)
    server = await serve(giving(ZIP))
    client = DatasaurClient(await open_session(server.url, dialect=DIALECT))
    result = await client.result(exported(client, server.url), DONE, Path("out"))
    assert result["file"] == str(tmp_path / "out" / "ExportQueue-1.zip")
