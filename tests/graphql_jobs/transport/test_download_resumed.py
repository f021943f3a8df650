"""An interrupted download resumes where it stopped, as long as there is progress."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import errors
from graphql_jobs.transport.download import MAX_REDIRECTS, download, exact_address
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.retry import OutageBudget
from tests.graphql_jobs.stores import ZIP, Progress, cutting, giving, ranged

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import OpenSession, ScriptedServer, Serve

ETAG = {"ETag": '"1"'}


@pytest.fixture
def progress(clock: FakeClock) -> Progress:
    """A budget that a store can wait for."""
    return Progress(3600, clock)


def names(folder: Path) -> list[str]:
    """The names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


def ranges(server: ScriptedServer) -> list[tuple[str | None, str | None]]:
    """The requested ranges, with the version of the file."""
    return [(headers.get("Range"), headers.get("If-Range")) for headers in server.headers]


async def test_interrupted_download_resumes_where_it_stopped(
    serve: Serve, open_session: OpenSession, progress: Progress, tmp_path: Path
) -> None:
    """Cut off after 1,000 bytes: the rest of the same file is requested by its ETag."""
    server = await serve(cutting(ZIP, 1000, ETAG, progress=progress), ranged(ZIP))
    assert await download(await open_session(server.url), server.url, tmp_path / "f.zip", budget=progress) == len(ZIP)
    assert (tmp_path / "f.zip").read_bytes() == ZIP
    assert ranges(server) == [(None, None), ("bytes=1000-", '"1"')]


async def test_file_without_etag_is_resumed_by_its_date(
    serve: Serve, open_session: OpenSession, progress: Progress, tmp_path: Path
) -> None:
    """Last-Modified alone, or with a weak ETag, which If-Range does not allow."""
    date = "Sat, 28 Nov 2026 00:00:00 GMT"
    weak = {"Last-Modified": date, "ETag": 'W/"1"'}
    server = await serve(cutting(ZIP, 1000, weak, progress=progress), ranged(ZIP, date))
    await download(await open_session(server.url), server.url, tmp_path / "f.zip", budget=progress)
    assert ranges(server)[1] == ("bytes=1000-", date)


@pytest.mark.parametrize(
    "later",
    [
        giving(ZIP),
        ranged(ZIP, '"2"'),
        giving(ZIP[5:], {"Content-Range": f"bytes 5-{len(ZIP) - 1}/{len(ZIP)}"}, 206),
        giving(ZIP[1000:], {"Content-Range": f"bytes 1000-{len(ZIP)}/{len(ZIP) + 1}"}, 206),
        giving(ZIP[1000:], {}, 206),
        giving(b"", {"Content-Range": "bytes */5"}, 416),
        giving(b"no ranges here", {}, 403),
        giving(b"no ranges here", {}, 400),
    ],
    ids=["no ranges", "another file", "another part", "another length", "no range said", "416", "403", "400"],
)
async def test_response_that_is_not_the_rest_of_the_file_restarts_the_download(
    later: Any, serve: Serve, open_session: OpenSession, progress: Progress, tmp_path: Path
) -> None:
    """The store sends the whole, another part or a refusal: the file is downloaded from its start."""
    server = await serve(cutting(ZIP, 1000, ETAG, progress=progress), later, giving(ZIP))
    await download(await open_session(server.url), server.url, tmp_path / "f.zip", budget=progress)
    assert ranges(server)[1] == ("bytes=1000-", '"1"')
    assert (tmp_path / "f.zip").read_bytes() == ZIP
    assert names(tmp_path) == ["f.zip"]


async def test_outage_budget_counts_only_time_without_progress(
    serve: Serve, open_session: OpenSession, clock: FakeClock, tmp_path: Path
) -> None:
    """50 interruptions, each after 50 s of progress, with a budget of 60 s: the file is complete."""
    step, progress = len(ZIP) // 50, Progress(60, clock)

    async def slow(request: web.Request) -> web.StreamResponse:
        await clock.advance(50)
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        more = {"Content-Range": f"bytes {start}-{len(ZIP) - 1}/{len(ZIP)}"} if start else {}
        return await cutting(ZIP, step, ETAG | more, 206 if start else 200, start, progress)(request)

    server = await serve(slow)
    session = await open_session(server.url, limits=Limits(attempts=2, budget_s=10))
    await download(session, server.url, tmp_path / "f.zip", budget=progress)
    assert (tmp_path / "f.zip").read_bytes() == ZIP
    assert server.count >= 50


async def test_download_that_always_stops_at_the_same_byte_is_given_up(
    serve: Serve, open_session: OpenSession, clock: FakeClock, tmp_path: Path
) -> None:
    """The same 1,000 bytes again are no progress: `ConnectionLost` after the budget, and no part file remains."""
    server = await serve(cutting(ZIP, 1000))
    began_at = clock.now()
    with pytest.raises(errors.ConnectionLost):
        await download(await open_session(server.url), server.url, tmp_path / "f.zip", budget=OutageBudget(3600, clock))
    assert 3600 <= clock.now() - began_at < 3700
    assert names(tmp_path) == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_without_credentials(
    status: int, serve: Serve, open_session: OpenSession, tmp_path: Path
) -> None:
    """To another host with a signed address: no token, no cookie, and the query is kept secret."""
    other = await serve(giving(ZIP))
    location = f"{other.url}/real%3A1.zip?X-Amz-Signature=0123456789abcdef%2F"
    server = await serve((status, "", {"Location": location, "Set-Cookie": "a=b"}))
    session = await open_session(server.url)
    await download(session, f"{server.url}/f.zip", tmp_path / "f.zip")
    assert (tmp_path / "f.zip").read_bytes() == ZIP
    assert not {"Authorization", "Cookie"} & set(other.headers[0])
    assert "0123456789abcdef" not in session.redact(f"bad: {location}")


async def test_a_relative_redirect_is_followed(serve: Serve, open_session: OpenSession, tmp_path: Path) -> None:
    """Location: /real.zip."""
    server = await serve((307, "", {"Location": "/real.zip?a=%2F"}), giving(ZIP))
    await download(await open_session(server.url), f"{server.url}/f.zip", tmp_path / "f.zip")
    assert server.paths[1] == "/real.zip?a=%2F"


@pytest.mark.parametrize(
    "location", ["", "ftp://h/f", "http://u:p@127.0.0.1/f", "/loop", "http://a..b/f", "http://[::1"]
)
async def test_bad_redirect_is_an_error(location: str, serve: Serve, open_session: OpenSession, tmp_path: Path) -> None:
    """No address, not http, with a password, endless, or to an invalid host: an error of this project."""
    server = await serve((302, "", {"Location": location} if location else {}))
    with pytest.raises(errors.RequestFailed):
        await download(await open_session(server.url, limits=Limits(attempts=1)), server.url, tmp_path / "f.zip")
    assert server.count <= MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    "path",
    [
        "/b/a%3A1.zip?x=%2F&y=a+b",
        "/a;b,c@d:e?~-._",
        "/%c3%a9/%C3%A9?q=%c3",
        "//two//slashes/../x?a?b",
        "/f?a=%zz&b=",
    ],
)
def test_url_is_sent_byte_for_byte(path: str) -> None:
    """A signature covers this exact text: nothing is quoted, unquoted or normalised."""
    assert exact_address(f"http://files.example.invalid{path}").raw_path_qs == path


def test_only_characters_that_cannot_be_sent_are_encoded_in_a_url() -> None:
    """Servers refuse blanks and characters outside ASCII, and clients that make such addresses quote them."""
    assert str(exact_address("http://b\u00fccher.example/a b?c d#e")) == "http://xn--bcher-kva.example/a%20b?c%20d#e"
    assert exact_address("http://h/\u00e9%2f?q=\u00e9+").raw_path_qs == "/%C3%A9%2f?q=%C3%A9+"


@pytest.mark.parametrize(
    "url",
    [
        "http://a..b/",
        f"http://{'a' * 64}.b/",
        "http://no host/",
        "http://h/a\r\nX: y",
        "http://h/\ud800",
        "file:///etc/passwd",
    ],
)
def test_text_that_is_no_url_is_refused(url: str) -> None:
    """Empty or long parts of a host name, line breaks, half of a surrogate pair, not http."""
    with pytest.raises(ValueError):  # noqa: PT011 (whichever)
        exact_address(url)


_KILLED = """
import asyncio, sys
from pathlib import Path
from graphql_jobs.transport.part_file import PartFile
async def main():
    async with PartFile(Path(sys.argv[1])) as part:
        await part.write(b"x" * 100_000)
        await part.flush()
        print(part.path, flush=True)
        sys.stdin.read()
asyncio.run(main())
"""


async def test_left_over_part_file_is_removed_and_one_in_use_is_kept(
    serve: Serve, open_session: OpenSession, tmp_path: Path
) -> None:
    """Two processes download to one folder and one is killed: the next download removes only its part file."""
    start = [sys.executable, "-c", _KILLED, str(tmp_path / "other.zip")]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(start, **pipes) as killed, subprocess.Popen(start, **pipes) as living:  # noqa: ASYNC220
        assert killed.stdout
        assert living.stdout
        parts = [
            process.stdout.readline().strip().rpartition(os.sep)[2] for process in (killed, living) if process.stdout
        ]
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert len(names(tmp_path)) == 2
        server = await serve(giving(ZIP))
        await download(await open_session(server.url), server.url, tmp_path / "f.zip")
        assert names(tmp_path) == [parts[1], "f.zip"]
        living.communicate("")
    assert names(tmp_path) == ["f.zip"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
async def test_file_has_the_permissions_of_any_new_file(
    umask: int, serve: Serve, open_session: OpenSession, tmp_path: Path
) -> None:
    """The permissions follow the umask: other users may read the file."""
    server = await serve(giving(ZIP))
    session = await open_session(server.url)
    before = os.umask(umask)
    try:
        await download(session, server.url, tmp_path / "f.zip")
    finally:
        os.umask(before)
    assert (tmp_path / "f.zip").stat().st_mode & 0o777 == 0o666 & ~umask
