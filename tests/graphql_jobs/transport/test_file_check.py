"""A file is checked by its length, the digests of its answer, and the contents of an archive."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs import errors
from graphql_jobs.transport.download import download
from graphql_jobs.transport.file_check import digests_in, problem_of
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.retry import OutageBudget
from tests.graphql_jobs.stores import PAGE, ZIP, archive, giving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import OpenSession, Serve


def b64(digest: bytes) -> str:
    """The base64 text of a header."""
    return base64.b64encode(digest).decode()


def spoiled(content: bytes, at: int) -> bytes:
    """The same content with one changed byte."""
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (PAGE, "HTML page"),
        (b"", "empty"),
        (ZIP[: len(ZIP) // 2], "not a complete zip archive"),
        (ZIP[:-1], "not a complete zip archive"),
        (spoiled(ZIP, 5000), "not a complete zip archive"),
        (b'{"error": "expired"}', "does not start like one"),
    ],
    ids=["a page", "nothing", "a half", "all but a byte", "a wrong byte", "JSON"],
)
async def test_broken_archive_is_not_saved(
    body: bytes, words: str, serve: Serve, open_session: OpenSession, clock: FakeClock, tmp_path: Path
) -> None:
    """HTTP 200 with something else: downloaded again as often as any request, then `BadReply`, and no file."""
    server = await serve(giving(body))
    session = await open_session(server.url, limits=Limits(attempts=3))
    with pytest.raises(errors.BadReply, match=words):
        await download(session, server.url, tmp_path / "f.zip", budget=OutageBudget(3600, clock))
    assert server.count == 3
    assert [path.name for path in tmp_path.iterdir()] == []  # noqa: ASYNC240 (a test's own folder)


async def test_maintenance_page_is_not_saved_as_the_file(
    serve: Serve, open_session: OpenSession, tmp_path: Path
) -> None:
    """Twice a maintenance page, then the archive."""
    server = await serve(giving(PAGE), giving(PAGE), giving(ZIP))
    await download(await open_session(server.url), server.url, tmp_path / "f.zip")
    assert (tmp_path / "f.zip").read_bytes() == ZIP


DIGESTS = {
    "Content-MD5": b64(hashlib.md5(ZIP).digest()),
    "x-ms-blob-content-md5": b64(hashlib.md5(ZIP).digest()),
    "x-amz-checksum-sha256": b64(hashlib.sha256(ZIP).digest()),
    "x-amz-checksum-sha1": b64(hashlib.sha1(ZIP).digest()),
    "x-amz-checksum-crc32": b64(zlib.crc32(ZIP).to_bytes(4, "big")),
    "x-goog-hash": f"crc32c=n03x6A==, md5={b64(hashlib.md5(ZIP).digest())}",
    "Digest": f"SHA-256={b64(hashlib.sha256(ZIP).digest())},SHA={b64(hashlib.sha1(ZIP).digest())}",
    "Repr-Digest": f"sha-512=:{b64(hashlib.sha512(ZIP).digest())}:",
    "Content-Digest": f"sha-256=:{b64(hashlib.sha256(ZIP).digest())}:",
}


@pytest.mark.parametrize("header", DIGESTS)
async def test_file_must_have_the_digest_that_its_server_sends(
    header: str, serve: Serve, open_session: OpenSession, tmp_path: Path
) -> None:
    """Another valid archive with the digest of the first: an error; the first archive: a file."""
    server = await serve(giving(ZIP, {header: DIGESTS[header]}), giving(archive(100), {header: DIGESTS[header]}))
    session = await open_session(server.url, limits=Limits(attempts=1))
    await download(session, server.url, tmp_path / "f.zip")
    with pytest.raises(errors.BadReply, match="is not the one that the server sent"):
        await download(session, server.url, tmp_path / "g.zip")


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": '"00000000000000000000000000000000"'},
        {"x-amz-checksum-sha256": "AAAA-12"},
        {"Content-MD5": "00112233445566778899aabbccddeeff"},
        {"Digest": "unixsum=30637, id-sha-256=x"},
        {"x-goog-hash": f"md5={b64(bytes(16))}", "x-goog-stored-content-encoding": "gzip"},
        {"Repr-Digest": ",,=,::,sha-256=::"},
    ],
    ids=["an ETag", "a checksum of parts", "hex", "others", "of the packed file", "nonsense"],
)
def test_header_that_is_no_digest_of_the_file_is_ignored(headers: dict[str, str]) -> None:
    """By the header's definition, or by its length."""
    assert digests_in(headers) == {}


@given(st.text(max_size=60))
def test_no_header_breaks_the_reading_of_digests(text: str) -> None:
    """Any text in a header."""
    assert isinstance(digests_in({"Digest": text, "Content-MD5": text, "x-goog-hash": text}), dict)


@pytest.mark.parametrize("seed", range(20))
def test_no_archive_breaks_its_check(seed: int, tmp_path: Path) -> None:
    """2,000 archives with changed, truncated or repeated bytes: a problem or none, and no exception."""
    draw, path = random.Random(seed), tmp_path / "f.zip"
    for _ in range(100):
        content = bytearray(archive(30))
        for _ in range(draw.randint(1, 6)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        kept = content[: draw.choice([len(content), draw.randrange(len(content))])]
        path.write_bytes(kept * draw.randint(1, 2))
        assert isinstance(problem_of(str(path), "f.zip", {}, lambda: False), str | None)


def test_too_large_archive_index_is_not_read(tmp_path: Path) -> None:
    """An archive that claims an index of 10 GB, which would be read into memory."""
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 3_000_000_000, 0, 0)
    (tmp_path / "f.zip").write_bytes(end)
    assert problem_of(str(tmp_path / "f.zip"), "f.zip", {}, lambda: False) is None


def test_archive_with_another_compression_is_only_opened(tmp_path: Path) -> None:
    """LZMA uses as much memory as the archive says."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_LZMA) as made:
        made.writestr("a", b"x" * 1000)
    (tmp_path / "f.zip").write_bytes(content.getvalue())
    assert problem_of(str(tmp_path / "f.zip"), "f.zip", {}, lambda: False) is None
