"""Downloading a file: without credentials, bounded, complete or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from graphql_jobs import errors
from graphql_jobs.transport import part_file
from graphql_jobs.transport.download import download
from graphql_jobs.transport.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from tests.graphql_jobs.conftest import OpenSession, Serve

LARGE = "0123456789" * 300_000


def names(folder: Path) -> list[str]:
    """The names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


async def test_file_is_streamed_to_its_path(serve: Serve, open_session: OpenSession, tmp_path: Path) -> None:
    """Three megabytes, in a folder that is created; no other file remains there."""
    server = await serve(LARGE)
    to = tmp_path / "new" / "f"
    size_bytes = await download(await open_session(server.url), f"{server.url}/f.zip?X-Amz-Signature=abc", to)
    assert size_bytes == len(LARGE) == to.stat().st_size
    assert to.read_text() == LARGE
    assert list(to.parent.iterdir()) == [to]
    assert server.paths == ["/graphql/f.zip?X-Amz-Signature=abc"]


async def test_file_is_requested_without_credentials(serve: Serve, open_session: OpenSession, tmp_path: Path) -> None:
    """A pre-signed address refuses an Authorization header, and another host must not get the token."""
    server = await serve("x")
    await download(await open_session(server.url), server.url, tmp_path / "f")
    assert "Authorization" not in server.headers[0]
    assert "Cookie" not in server.headers[0]


async def test_file_beyond_the_bound_is_not_kept(serve: Serve, open_session: OpenSession, tmp_path: Path) -> None:
    """A bound of a megabyte, a file of three: an error after one request, and no part file remains."""
    server = await serve(LARGE)
    with pytest.raises(errors.TooMuchAtOnce):
        await download(await open_session(server.url), server.url, tmp_path / "f", max_bytes=1_000_000)
    assert server.count == 1
    assert names(tmp_path) == []


async def cut(request: web.Request) -> web.StreamResponse:
    """Announce a thousand bytes, send five, and disconnect."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"first")
    assert request.transport is not None
    request.transport.abort()
    return response


async def test_interrupted_download_is_repeated(serve: Serve, open_session: OpenSession, tmp_path: Path) -> None:
    """The first response is cut off, the second is complete: the whole file."""
    server = await serve(cut, "whole")
    assert await download(await open_session(server.url), server.url, tmp_path / "f") == 5
    assert (tmp_path / "f").read_text() == "whole"
    assert names(tmp_path) == ["f"]


async def test_file_that_is_always_cut_is_not_saved(serve: Serve, open_session: OpenSession, tmp_path: Path) -> None:
    """`ConnectionLost` after all attempts; an older file with the name stays, and no part file remains."""
    (tmp_path / "f").write_text("older")
    server = await serve(cut)
    with pytest.raises(errors.ConnectionLost):
        await download(await open_session(server.url, limits=Limits(attempts=2)), server.url, tmp_path / "f")
    assert server.count == 2
    assert (names(tmp_path), (tmp_path / "f").read_text()) == (["f"], "older")


async def test_a_cancelled_download_leaves_no_part(serve: Serve, open_session: OpenSession, tmp_path: Path) -> None:
    """Cancelled while the server sends."""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x" * 100_000)
        await asyncio.Event().wait()
        return response

    server = await serve(endless)
    task = asyncio.create_task(download(await open_session(server.url), server.url, tmp_path / "f"))
    while not any((tmp_path / name).stat().st_size for name in names(tmp_path)):  # noqa: ASYNC110 (a file, no event)
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names(tmp_path) == []


async def test_a_download_that_is_cancelled_at_its_beginning_leaves_no_part(
    serve: Serve, open_session: OpenSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled between the creation of the file and the first byte."""
    made, go_on = threading.Event(), threading.Event()
    new_part = part_file.new_part

    def slow_disk(folder: Path) -> tuple[str, int]:
        path, descriptor = new_part(folder)
        made.set()
        if threading.current_thread() is not threading.main_thread():
            go_on.wait(10)
        return path, descriptor

    monkeypatch.setattr(part_file, "new_part", slow_disk)
    server = await serve("x" * 100_000)
    task = asyncio.create_task(download(await open_session(server.url), server.url, tmp_path / "f"))
    while not made.is_set() and not task.done():  # noqa: ASYNC110 (set in a thread)
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert names(tmp_path) in ([], ["f"])


@pytest.mark.parametrize(
    ("step", "kind", "count"),
    [
        ((404, "<Error>NoSuchKey</Error>"), errors.NotFound, 1),
        ((403, "<Error>expired</Error>"), errors.NotAllowed, 1),
        ((400, "no"), errors.RequestRefused, 1),
        ((503, "slow down"), errors.ServerFailed, 2),
        ((429, "slow down"), errors.RateLimited, 2),
    ],
)
async def test_each_status_of_a_file_store_has_its_error(
    step: Any, kind: type[Exception], count: int, serve: Serve, open_session: OpenSession, tmp_path: Path
) -> None:
    """403 is an expired signature, 404 a file that does not exist (yet): neither is retried here."""
    server = await serve(step)
    with pytest.raises(kind):
        await download(await open_session(server.url, limits=Limits(attempts=2)), server.url, tmp_path / "f")
    assert server.count == count


async def test_bad_file_url_is_request_refused(open_session: OpenSession, tmp_path: Path) -> None:
    """A hostile server sends the address http://[x."""
    with pytest.raises(errors.GraphqlJobsError):
        await download(await open_session("http://127.0.0.1:9"), "http://[x", tmp_path / "f")


async def test_a_download_may_take_longer_than_a_request(
    serve: Serve, open_session: OpenSession, tmp_path: Path
) -> None:
    """The download is slow and takes twice `request_s`, without a long silence: it succeeds."""

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(10):
            await response.write(b"x")
            await asyncio.sleep(0.04)  # real time: the test is about a slow connection
        return response

    server = await serve(slow)
    session = await open_session(server.url, limits=Limits(request_s=0.2, read_s=5, attempts=1))
    assert await download(session, server.url, tmp_path / "f") == 10


async def test_delay_of_a_file_store_does_not_delay_the_endpoint(
    serve: Serve, open_session: OpenSession, tmp_path: Path
) -> None:
    """The file's host answers 503 with a `Retry-After` of an hour: polls continue."""
    files = await serve((503, "", {"Retry-After": "3600"}))
    session = await open_session((await serve({})).url, limits=Limits(attempts=1))
    with pytest.raises(errors.ServerFailed):
        await download(session, files.url, tmp_path / "f")
    assert session.server_delay.remaining_s() == 0
