"""Object stores for tests of downloads: whole archives, truncated ones, and other contents."""

from __future__ import annotations

import asyncio
import io
import random
import zipfile
from typing import TYPE_CHECKING

from aiohttp import web

from graphql_jobs.transport.retry import OutageBudget

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from graphql_jobs.clock import Clock

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def archive(size_bytes: int = 200_000) -> bytes:
    """A zip archive with one incompressible part of the given size."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("REVIEW/a.json", random.Random(7).randbytes(size_bytes))
    return content.getvalue()


ZIP = archive()
PAGE = b"<!DOCTYPE html><html><title>Sign in</title></html>"


def giving(body: bytes, headers: Mapping[str, str] | None = None, status: int = 200) -> Handler:
    """A store that answers with `body`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return answer


class Progress(OutageBudget):
    """A budget that signals when data was written, so that the store can disconnect after that."""

    def __init__(self, budget_s: float, clock: Clock) -> None:
        super().__init__(budget_s, clock)
        self.made = asyncio.Event()

    def progressed(self) -> None:
        """Let the store disconnect."""
        super().progressed()
        self.made.set()


def cutting(
    body: bytes,
    after_bytes: int,
    headers: Mapping[str, str] | None = None,
    status: int = 200,
    start: int = 0,
    progress: Progress | None = None,
) -> Handler:
    """A store that announces the rest of `body`, sends a number of bytes, and disconnects once they are written."""

    async def answer(request: web.Request) -> web.StreamResponse:
        promised = {"Content-Length": str(len(body) - start), **(headers or {})}
        response = web.StreamResponse(status=status, headers=promised)
        await response.prepare(request)
        await response.write(body[start : start + after_bytes])
        if progress:
            await progress.made.wait()
            progress.made.clear()
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def ranged(body: bytes, etag: str = '"1"') -> Handler:
    """A store that answers ranges: the rest of the file if the client has its beginning, else the whole file."""

    async def answer(request: web.Request) -> web.StreamResponse:
        wanted, size = request.headers.get("Range", ""), len(body)
        if not wanted or request.headers.get("If-Range") != etag:
            return web.Response(body=body, headers={"ETag": etag})
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        headers = {"ETag": etag, "Content-Range": f"bytes {start}-{size - 1}/{size}"}
        return web.Response(status=206, body=body[start:], headers=headers)

    return answer
