"""Fetching a file that a provider points to: without credentials, bounded, and whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from graphql_jobs import errors
from graphql_jobs.endpoint import base_url
from graphql_jobs.wire import bounded_chunks

if TYPE_CHECKING:
    from pathlib import Path

    from graphql_jobs.session import Session

#: Our choice: a bound that only a mistake or an attack passes.
MAX_FILE_BYTES = 10 * 1024**3
#: A large file takes its time; a pre-signed address lives that long (reference/datasaur.md 3.1).
MAX_DOWNLOAD_S = 6 * 3600.0


async def download(session: Session, url: str, to: Path, max_bytes: int = MAX_FILE_BYTES) -> int:
    """Stream `url` into the file `to` and give its size in bytes.

    The address comes from the server and is a pre-signed one: it gets no Authorization header, no redirect is
    followed, and neither it nor its query is shown. `to` appears only when the file is whole. Raises `RequestFailed`.
    """
    try:
        parts = urlsplit(url)
        base_url(f"{parts.scheme}://{parts.netloc}", "file_url")
    except ValueError:  # InvalidInput is one too
        raise session.bad_reply("download", to.name, "the address of the file cannot be used.") from None
    session.kept_secrets.keep_query(url)
    kinds = {404: errors.NotFound, 403: errors.NotAllowed}
    timeout = aiohttp.ClientTimeout(
        total=MAX_DOWNLOAD_S,
        connect=session.limits.connect_s,
        sock_connect=session.limits.connect_s,
        sock_read=session.limits.read_s,
    )
    return await session.retried_read(
        lambda: session.fetch(
            "GET",
            url,
            lambda response: _save(response, to, max_bytes),
            "download",
            to.name,
            kinds,
            timeout=timeout,
        )
    )


async def _save(response: aiohttp.ClientResponse, to: Path, max_bytes: int) -> int:
    await asyncio.to_thread(to.parent.mkdir, parents=True, exist_ok=True)
    # Not in a thread: a cancel while it waits for one would leave file and descriptor behind.
    descriptor, part = tempfile.mkstemp(dir=to.parent, prefix=f".{to.name}.")
    size_bytes = 0
    try:
        with os.fdopen(descriptor, "wb") as file:
            async for chunk in bounded_chunks(response, max_bytes):
                size_bytes += await asyncio.to_thread(file.write, chunk)
        os.replace(part, to)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
    return size_bytes
