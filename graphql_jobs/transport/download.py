"""Download a file from a provider's URL, without credentials, with limits and checks. The file is whole or absent."""

from __future__ import annotations

import asyncio
import re
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from yarl import URL

from graphql_jobs import errors
from graphql_jobs.transport.file_check import digests_in, problem_of
from graphql_jobs.transport.http import ReplyTooLarge, timeout_of
from graphql_jobs.transport.part_file import PartFile, local_errors
from graphql_jobs.transport.retry import OutageBudget, is_transient
from graphql_jobs.urls import base_url

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import aiohttp

    from graphql_jobs.transport.diagnosis import Kind
    from graphql_jobs.transport.session import Session

#: Our choice: only an error or an attack exceeds it.
MAX_FILE_BYTES = 10 * 1024**3
#: The lifetime of a pre-signed URL (docs/providers/datasaur.md#exports). A large file takes long.
MAX_DOWNLOAD_S = 6 * 3600.0
#: Our choice: a bucket that was moved, behind a gateway, needs three.
MAX_REDIRECTS = 5
#: Our choice: how long a file may be missing (404) after its job's end (docs/providers/datasaur.md#exports).
_NOT_THERE_YET_S = 60.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CHUNK_BYTES = 64 * 1024
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15})")
#: The meanings of a file store's statuses. 416: the file was replaced by a shorter one.
_KINDS: Mapping[int, Kind] = {
    401: errors.NotAllowed,
    403: errors.NotAllowed,
    404: errors.NotFound,
    405: errors.RequestRefused,
    410: errors.NotFound,
    416: errors.BadReply,
}


async def download(
    session: Session, url: str, to: Path, max_bytes: int = MAX_FILE_BYTES, budget: OutageBudget | None = None
) -> int:
    """Stream `url` into the file `to` and return its size in bytes.

    The URL is the server's and pre-signed: it is sent byte for byte, without an Authorization header,
    and no message shows it. Up to `MAX_REDIRECTS` redirects are followed, but none from https to http. An interrupted
    download resumes where it stopped, if the file store supports that. `to` appears only when the file is whole: its
    length and digest are those that the server sent, and a .zip is an archive with complete members. A file that is
    not whole is fetched again up to `Limits.attempts` times.

    Transient failures are retried until the `budget` is spent; without one, like those of any request. Raises
    `RequestFailed`, and `FileProblem` for errors of the local disk.
    """
    part = PartFile(to)
    transfer = _Transfer(session, url, part, max_bytes, budget or OutageBudget(0.0, session.clock))
    async with part:
        await transfer.run()
        part.publish()
        return part.size


def exact_address(url: str) -> URL:
    """Return `url` as it will be sent: byte for byte, since a signature may cover this exact text.

    Only characters that cannot be sent are changed: a blank becomes %20, non-ASCII letters are percent-encoded
    (RFC 3987 3.1), and a host with such letters gets its IDNA form. Raises `ValueError` if it is not a URL, or has a
    user name.
    """
    text = url.strip().replace(" ", "%20")
    if not text.isprintable() or any(character.isspace() for character in text):
        raise ValueError("white space or control characters")
    parts = urlsplit(text)
    base_url(f"{parts.scheme}://{parts.netloc}", "file_url")
    if not parts.netloc.isascii():
        host = (parts.hostname or "").encode("idna").decode()
        text = text.replace(parts.netloc, host if parts.port is None else f"{host}:{parts.port}", 1)
    return URL(_NOT_ASCII.sub(lambda letters: quote(letters[0]), text), encoded=True)


class _Transfer:
    """One download with all its attempts."""

    def __init__(self, session: Session, url: str, part: PartFile, max_bytes: int, budget: OutageBudget) -> None:
        self.session, self.part, self.max_bytes, self.budget = session, part, max_bytes, budget
        self.name = part.to.name
        self.url = self._address(url)
        self.began_at = session.clock.monotonic()
        self.longest = 0  # the most bytes so far: only more bytes are progress
        self.spoiled = 0
        #: The first response's data about the whole file.
        self.validator = ""
        self.total: int | None = None
        self.digests: Mapping[str, bytes] = {}

    async def run(self) -> None:
        await self.budget.outlast(lambda: self.session.retried(self._attempt), self._may_pass)

    def _may_pass(self, failure: errors.RequestFailed) -> bool:
        age_s = self.session.clock.monotonic() - self.began_at
        if isinstance(failure, errors.NotFound):
            return age_s < _NOT_THERE_YET_S
        return is_transient(failure) and self.spoiled < self.session.limits.attempts and age_s < MAX_DOWNLOAD_S

    async def _attempt(self) -> None:
        if not self.validator:
            await self.part.start_over()
        resumes_at = self.part.size
        try:
            await self._follow(self._headers())
            await self._check()
        except errors.RequestFailed as failure:
            self.spoiled += isinstance(failure, errors.BadReply)
            is_refused = bool(resumes_at) and isinstance(failure, errors.RequestRefused | errors.NotAllowed)
            if is_refused or isinstance(failure, errors.BadReply):
                await self.part.start_over()
            if not is_refused:
                raise
            await self._attempt()  # the store may refuse only to send a part of the file

    def _headers(self) -> dict[str, str]:
        # Uncompressed, so that lengths, digests and ranges are those of the file.
        headers = {"Accept-Encoding": "identity"}
        if self.part.size:
            headers |= {"Range": f"bytes={self.part.size}-", "If-Range": self.validator}
        return headers

    async def _follow(self, headers: dict[str, str]) -> None:
        """Request the file, and follow redirects."""
        address = self.url
        for _ in range(MAX_REDIRECTS + 1):
            left_s = self.began_at + MAX_DOWNLOAD_S - self.session.clock.monotonic()
            limits = self.session.limits
            found = await self.session.fetch(
                *("GET", address, self._take, "download", self.name, _KINDS),
                also=_REDIRECTS,
                headers=headers,
                timeout=timeout_of(limits, max(left_s, limits.request_s)),
            )
            if isinstance(found, errors.RequestFailed):
                raise found
            if found is None:
                return
            moved_to = self._address(found, address)
            if address.scheme == "https" and moved_to.scheme != "https":
                raise self._bad("it redirects from https to http.")
            address = moved_to
        raise self._bad(f"it redirects more than {MAX_REDIRECTS} times.")

    async def _take(self, response: aiohttp.ClientResponse) -> str | errors.RequestFailed | None:
        """Return the target of a redirect, an error, or None if the file was written."""
        if response.status in _REDIRECTS:
            return response.headers.get("Location") or self._bad(f"HTTP {response.status} without an address.")
        if response.status == 206:
            if failure := self._misfit(response):
                return failure
        else:
            await self.part.start_over()
            self._note(response)
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            if self.part.size + len(chunk) > self.max_bytes:
                response.close()
                raise ReplyTooLarge(f"more than {self.max_bytes} bytes")
            await self.part.write(chunk)
            if self.part.size > self.longest:
                self.longest = self.part.size
                self.budget.progressed()
        if self.total is not None and self.part.size < self.total:
            return self._failure(errors.ConnectionLost, f"it ended after {self.part.size} of {self.total} bytes.")
        return None

    def _note(self, response: aiohttp.ClientResponse) -> None:
        """Keep the response's data about the whole file. aiohttp checks a compressed response."""
        headers, is_compressed = response.headers, response.headers.get("Content-Encoding", "identity") != "identity"
        etag = headers.get("ETag", "")
        self.validator = "" if is_compressed else headers.get("Last-Modified", "") if etag[:1] != '"' else etag
        self.total = None if is_compressed else response.content_length
        self.digests = {} if is_compressed else digests_in(headers)
        if self.total is not None and self.total > self.max_bytes:
            raise ReplyTooLarge(f"{self.total} bytes, which is more than {self.max_bytes}")

    def _misfit(self, response: aiohttp.ClientResponse) -> errors.RequestFailed | None:
        """Return why this response is not the rest of the file, or None if it is."""
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        is_ours = found and self.part.size and int(found[1]) == self.part.size
        if not found or not is_ours or self.total not in (None, int(found[2])):
            return self._bad("it has another part of the file than requested.")
        self.total = int(found[2])
        return None

    async def _check(self) -> None:
        """Raise `BadReply` unless the file matches its digests, length and name."""
        await self.part.flush()
        stop = Event()
        try:
            with local_errors(self.part.to):
                problem = await asyncio.to_thread(problem_of, self.part.path, self.name, self.digests, stop.is_set)
        finally:
            stop.set()
        if not problem and self.total is not None and self.part.size != self.total:
            problem = f"it has {self.part.size} bytes, not the {self.total} that the server sent"
        if problem:
            raise self._bad(f"{problem}.")

    def _address(self, url: str, seen_at: URL | None = None) -> URL:
        try:
            address = exact_address(urljoin(str(seen_at), url) if seen_at else url)
        except ValueError:  # also InvalidInput and UnicodeError
            raise self._failure(errors.RequestRefused, "the address of the file cannot be used.") from None
        self.session.kept_secrets.keep_query(str(address))
        return address

    def _bad(self, detail: str) -> errors.RequestFailed:
        return self._failure(errors.BadReply, detail)

    def _failure(self, kind: Kind, detail: str) -> errors.RequestFailed:
        return kind(self.session.dialect.provider, "download", self.name, self.session.redact(detail))
