"""A relay on loopback that sees each HTTP request, and can be away. Web sockets pass through."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Awaitable, Callable

    #: Gets a whole request. False: the connection ends instead.
    Hook = Callable[[bytes], Awaitable[bool]]

_HOST = "127.0.0.1"
_LIMIT_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024


async def _pass(_request: bytes) -> bool:
    return True


class Relay:
    """Use as `async with Relay(url) as relay:`. `relay.url` leads to the same server.

    `before` is called before a request is passed on, `after` when its response begins to arrive.
    """

    def __init__(self, url: str, before: Hook = _pass, after: Hook = _pass) -> None:
        self._target = urlsplit(url)
        self._before, self._after = before, after
        self._is_away = False
        self._clients: set[StreamWriter] = set()
        self._resources = AsyncExitStack()
        self.url = ""

    async def __aenter__(self) -> Self:
        server = await asyncio.start_server(self._serve, _HOST, 0, limit=_LIMIT_BYTES)
        self._resources.callback(self.go_away)
        self._resources.callback(server.close)
        port = server.sockets[0].getsockname()[1]
        self.url = urlunsplit(self._target._replace(netloc=f"{_HOST}:{port}"))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._resources.aclose()

    def go_away(self) -> None:
        """End all connections, and accept none."""
        self._is_away = True
        for client in self._clients:
            client.close()

    def come_back(self) -> None:
        """Accept connections again."""
        self._is_away = False

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._clients.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            if not self._is_away:
                to = await asyncio.open_connection(self._target.hostname, self._target.port, limit=_LIMIT_BYTES)
                await self._join((reader, writer), to)
        self._clients.discard(writer)
        writer.close()

    async def _join(self, client: tuple[StreamReader, StreamWriter], server: tuple[StreamReader, StreamWriter]) -> None:
        pending: list[bytes] = []  # the request whose response has not begun

        async def there() -> None:
            while request := await _request(client[0]):
                if not await self._before(request):
                    return
                pending.append(request)
                server[1].write(request)
                if b"\r\nupgrade: websocket" in request.lower():
                    await _copy(client[0], server[1])

        async def back() -> None:
            while chunk := await server[0].read(_CHUNK_BYTES):
                if pending and not await self._after(pending.pop()):
                    return
                client[1].write(chunk)
                await client[1].drain()

        ways = [asyncio.create_task(there()), asyncio.create_task(back())]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        server[1].close()
        await asyncio.gather(*ways, return_exceptions=True)


async def _request(reader: StreamReader) -> bytes:
    """The next request: its head, and the body if its length is given."""
    head = await reader.readuntil(b"\r\n\r\n")
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return head + (await reader.readexactly(int(rest.partition(b"\r\n")[0])) if found else b"")


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
