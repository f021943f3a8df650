"""The recordings of a batch: listings, folders and keys. Needs no Prefect server."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prefect.client.schemas.objects import State

from graphql_jobs.errors import InvalidInput
from tasks import recordings
from tasks.recordings import addresses_in, day_of, keys_of, list_recordings, recordings_in

if TYPE_CHECKING:
    from pathlib import Path

LISTING = "https://media.example.com/night/"
INDEX = """<html><body><h1>Index</h1><a href="?C=N;O=D">Name</a> <a href="../">up</a>
<a href="a.mp4">a.mp4</a> <a href="more/">more</a> <a href="b%20c.mp4">b c.mp4</a> <a href="https://elsewhere.example/x">x</a>
</body></html>"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('["a.mp4", "https://cdn.example.com/b.mp4?x=1"]', [f"{LISTING}a.mp4", "https://cdn.example.com/b.mp4?x=1"]),
        ("a.mp4\n\n  b.mp4\r\na.mp4\n", [f"{LISTING}a.mp4", f"{LISTING}b.mp4"]),
        (INDEX, [f"{LISTING}a.mp4", f"{LISTING}b%20c.mp4"]),
        ("", []),
    ],
)
def test_listing_is_json_lines_or_a_page(text: str, found: list[str]) -> None:
    """Relative addresses are below the listing; the links of a server's page to other places are left out."""
    assert addresses_in(text, LISTING) == found


@pytest.mark.parametrize("text", ["[", "[1]", '["a", null]'])
def test_list_of_something_else_is_refused(text: str) -> None:
    """A JSON list that is cut off, or holds numbers."""
    with pytest.raises(InvalidInput, match="listing"):
        addresses_in(text, LISTING)


def test_folder_has_the_addresses_of_its_files(tmp_path: Path) -> None:
    """Those that match, in order, with their folders, quoted."""
    (tmp_path / "more").mkdir()
    for name in ("b.mp4", "a b.mp4", "notes.txt", "more/c.mp4"):
        (tmp_path / name).touch()
    base = "https://media.example.com/"
    assert list(recordings_in(str(tmp_path), base, "*.mp4")) == [
        f"{base}{one}" for one in ("a%20b.mp4", "b.mp4", "more/c.mp4")
    ]


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("call-2026-11-28.mp4", date(2026, 11, 28)),
        ("20261128T2200_7.mp4?at=2020-01-01", date(2026, 11, 28)),
        ("call-2026-13-28.mp4", None),
        ("120261128.mp4", None),
        ("2026-11-28/call.mp4", None),
    ],
)
def test_day_of_a_recording_is_in_its_name(name: str, day: date | None, tmp_path: Path) -> None:
    """Not in its folder or its query. Without one, that of the file's last change, in UTC, if there is a file."""
    file = tmp_path / "a.mp4"
    file.touch()
    os.utime(file, times=(1, datetime(2026, 11, 1, 23, 59, tzinfo=UTC).timestamp()))
    assert day_of(f"{LISTING}{name}") == day
    assert day_of(f"{LISTING}{name}", file) == (day or date(2026, 11, 1))


def test_key_of_a_recording_does_not_depend_on_its_signature_or_the_others() -> None:
    """Signed again, and in another list: the same key. Addresses that differ only in their queries have two keys."""
    signed, again = f"{LISTING}a.mp4?X-Amz-Signature=1", f"{LISTING}a.mp4?X-Amz-Signature=2"
    [first] = keys_of("night", [signed])
    assert keys_of("night", [f"{LISTING}0.mp4", again])[1] == first
    assert len({*keys_of("night", [signed, again]), *keys_of("day", [signed])}) == 3
    assert keys_of(None, [signed]) == [None]


async def recordings_of(listing: str, pattern: str) -> Any:
    """What the caller of the task gets, without a run."""
    returned: Any = await list_recordings.fn(listing, pattern)
    return returned.result() if isinstance(returned, State) else returned


async def test_listing_is_fetched_and_filtered(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the names of the files, and again after an answer of 503; one of 404 names the parameter."""
    monkeypatch.setattr(recordings, "_DELAYS_S", (0.0,))
    answers = iter([web.Response(status=503), web.Response(text="a.mp4\nb.txt\n")])

    async def listing(_: web.Request) -> web.Response:
        return next(answers)

    app = web.Application()
    app.router.add_get("/night/", listing)
    async with TestServer(app) as server:
        address = str(server.make_url("/night/"))
        assert await recordings_of(address, "*.mp4") == [f"{address}a.mp4"]
        with pytest.raises(InvalidInput, match="listing: the server answers 404"):
            await recordings_of(f"{address}absent", "*")
