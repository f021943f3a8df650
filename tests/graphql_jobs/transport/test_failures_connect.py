"""Faults before a request is sent, and peers that are not the service."""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from graphql_jobs import errors
from graphql_jobs.transport.limits import Limits
from tests.graphql_jobs.certificates import self_signed

if TYPE_CHECKING:
    from graphql_jobs.transport.operation import Operation
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import OpenSession, Serve, ServeRaw

#: Real time passes only where a server does not answer: a tenth of a second in each such attempt.
LIMITS = Limits(connect_s=0.1, read_s=0.1, request_s=5, attempts=2)


async def refused(serve_raw: ServeRaw) -> str:
    """The address of a port without a listener."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}/graphql"


async def unknown_host(serve_raw: ServeRaw) -> str:
    """A name that never resolves (RFC 6761 6.4)."""
    return "http://nobody.invalid/graphql"


async def handshake_hangs(serve_raw: ServeRaw) -> str:
    """TCP connects, and TLS never answers."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    return (await serve_raw(silent)).url.replace("http:", "https:")


NOT_SENT = {made.__name__: made for made in (refused, unknown_host, handshake_hangs)}


@pytest.mark.parametrize("fault", NOT_SENT)
async def test_a_fault_before_sending_is_safe_to_repeat(
    fault: str, serve_raw: ServeRaw, open_session: OpenSession, operation: Operation, creation: Operation
) -> None:
    """Refused, unknown host, a hanging handshake: `Unreachable` for reads and creates."""
    session = await open_session(await NOT_SENT[fault](serve_raw), limits=LIMITS)
    for attempt in (session.read(operation, {"id": "1"}), session.create(creation, {"input": {}})):
        with pytest.raises(errors.Unreachable) as caught:
            await attempt
        assert caught.value.transient
        assert caught.value.unexecuted


async def test_waiting_for_a_free_connection_too_long_is_not_sent(
    serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """Both connections are in use: the next request gets none in time: `Unreachable`, and it was not sent."""
    hold, release = asyncio.Event(), asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        if server.count == 2:
            hold.set()
        await release.wait()
        return web.json_response({"data": {"job": {"id": "1"}}})

    server = await serve(hang)
    session = await open_session(server.url, limits=Limits(connect_s=1, read_s=60, attempts=1))
    connector: Any = session._connections.http().connector
    connector._limit = 2  # a busy machine may not open the default of a hundred within a second
    tasks = [asyncio.create_task(session.read(operation, {"id": "1"})) for _ in range(2)]
    async with asyncio.timeout(30):
        await hold.wait()
    with pytest.raises(errors.Unreachable):
        await session.read(operation, {"id": "1"})
    assert server.count == 2
    release.set()
    assert len(await asyncio.gather(*tasks)) == 2


async def plain_http(serve_raw: ServeRaw) -> str:
    """A server that speaks HTTP where TLS is expected."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    return (await serve_raw(plain)).url.replace("http:", "https:")


async def untrusted_certificate(serve_raw: ServeRaw) -> str:
    """A server with a self-signed certificate."""

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(self_signed())
        file.flush()
        context.load_cert_chain(file.name)
    return (await serve_raw(never, ssl=context)).url.replace("http:", "https:")


WRONG_PEERS = {made.__name__: made for made in (plain_http, untrusted_certificate)}


@pytest.mark.parametrize("fault", WRONG_PEERS)
async def test_a_wrong_peer_is_permanent(
    fault: str,
    serve_raw: ServeRaw,
    open_session: OpenSession,
    clock: FakeClock,
    operation: Operation,
    creation: Operation,
) -> None:
    """Certificate and TLS errors: `BadEndpoint`, nothing sent, never retried."""
    session = await open_session(await WRONG_PEERS[fault](serve_raw), limits=Limits(attempts=3))
    for attempt in (session.read(operation, {}), session.create(creation, {})):
        with pytest.raises(errors.BadEndpoint) as caught:
            await attempt
        assert not caught.value.transient
        assert caught.value.unexecuted
        assert clock.slept == []
