"""Faults of an open connection in each phase of a request, made by a real server on loopback."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import errors
from graphql_jobs.clock import SystemClock
from graphql_jobs.transport.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aiohttp import web

    from graphql_jobs.transport.operation import Operation
    from tests.graphql_jobs.conftest import OpenSession, Serve, ServeRaw

    Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

#: Real time passes only where a server does not answer: a tenth of a second in each such attempt.
LIMITS = Limits(connect_s=0.1, read_s=0.1, request_s=5, attempts=2)
GOOD = b'{"data": {"job": {"id": "1"}}}'


async def request_of(reader: asyncio.StreamReader) -> bytes:
    """Read one whole request, head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = (line.lower().split(b":") for line in head.split(b"\r\n"))
    return head + await reader.readexactly(next(int(line[1]) for line in lines if line[0] == b"content-length"))


def answer(body: bytes, length: int | None = None) -> bytes:
    """A JSON answer that announces `length` bytes."""
    promised = len(body) if length is None else length
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (promised, body)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def reset_at_accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset before the request is read."""
    reset(writer)


async def reset_after_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset after the request was read, and perhaps carried out."""
    await request_of(reader)
    reset(writer)


async def closed_without_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the connection."""
    await request_of(reader)
    writer.close()


async def no_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the request and never answer."""
    await request_of(reader)
    await asyncio.Event().wait()


async def body_cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Announce a hundred bytes and send thirty."""
    await request_of(reader)
    writer.write(answer(GOOD, 100))
    await writer.drain()
    writer.close()


async def body_stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Announce a hundred bytes, send thirty, and stop."""
    await request_of(reader)
    writer.write(answer(GOOD, 100))
    await writer.drain()
    await asyncio.Event().wait()


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Not HTTP."""
    await request_of(reader)
    writer.write(b"\x00\x01 what?\r\n\r\n")
    await writer.drain()
    writer.close()


async def garbage_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """HTTP with an invalid chunked body."""
    await request_of(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    await writer.drain()
    writer.close()


SENT: Mapping[str, Talk] = {
    talk.__name__: talk
    for talk in (reset_at_accept, reset_after_request, closed_without_answer, no_answer, body_cut, body_stalls)
} | {"garbage": garbage, "garbage_chunks": garbage_chunks}


@pytest.mark.parametrize("fault", SENT)
async def test_a_fault_after_sending_is_a_lost_connection_and_a_read_is_sent_again(
    fault: str, serve_raw: ServeRaw, open_session: OpenSession, operation: Operation
) -> None:
    """Reset, disconnect, silence, a truncated body, garbage: `ConnectionLost`, transient, with unknown outcome."""
    server = await serve_raw(SENT[fault])
    session = await open_session(server.url, limits=LIMITS)
    with pytest.raises(errors.ConnectionLost) as caught:
        await session.read(operation, {"id": "1"})
    assert caught.value.transient
    assert not caught.value.unexecuted
    assert len(server.connections) == 2


@pytest.mark.parametrize("fault", SENT)
async def test_a_create_is_sent_once_when_it_may_have_happened(
    fault: str, serve_raw: ServeRaw, open_session: OpenSession, creation: Operation
) -> None:
    """The same faults: one request, and `SubmissionUnknown`."""
    server = await serve_raw(SENT[fault])
    session = await open_session(server.url, limits=LIMITS)
    with pytest.raises(errors.SubmissionUnknown):
        await session.create(creation, {"input": {}}, "x")
    assert len(server.connections) == 1


class UpAfterTwo(SystemClock):
    """The service starts to listen during the second delay between two attempts."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.delays = 0

    async def sleep(self, delay_s: float) -> None:
        """Return immediately, and start the service at the second call."""
        self.delays += 1
        if self.delays == 2:
            self.listener.listen()


async def test_create_is_sent_again_after_connection_refused(open_session: OpenSession, creation: Operation) -> None:
    """Refused twice, then the service is up: one request arrives, and the job is created."""
    bodies: list[bytes] = []

    async def create(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodies.append(await request_of(reader))
        writer.write(answer(b'{"data": {"createJob": {"id": "7"}}}'))
        await writer.drain()
        writer.close()

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/graphql"
    session = await open_session(url, clock=UpAfterTwo(listener))
    creating = asyncio.create_task(session.create(creation, {"input": {}}))
    while listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0:  # noqa: ASYNC110 (a socket, no event)
        await asyncio.sleep(0)
    async with await asyncio.start_server(create, sock=listener):
        assert await creating == {"id": "7"}
    assert len(bodies) == 1


async def test_the_total_timeout_of_a_sent_request_is_a_lost_connection(
    serve_raw: ServeRaw, open_session: OpenSession, operation: Operation
) -> None:
    """Single bytes keep resetting the read timeout; `request_s` ends the request."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)  # real time: the test is about a slow server

    server = await serve_raw(trickle)
    session = await open_session(server.url, limits=Limits(read_s=5, request_s=0.2, attempts=1))
    with pytest.raises(errors.ConnectionLost):
        await session.read(operation, {"id": "1"})


async def test_a_kept_alive_connection_that_closed_while_idle_is_replaced(
    serve_raw: ServeRaw, open_session: OpenSession, operation: Operation
) -> None:
    """The server disconnects after each answer without notice: the next request opens a new connection."""

    async def one_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(answer(GOOD))
        await writer.drain()
        writer.close()

    server = await serve_raw(one_answer)
    session = await open_session(server.url, limits=Limits(attempts=1))
    connector: Any = session._connections.http().connector
    for number in (1, 2, 3):
        assert (await session.read(operation, {"id": "1"})).data == {"job": {"id": "1"}}
        while any(peer.is_connected() for pool in connector._conns.values() for peer, _ in pool):  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert len(server.connections) == number


async def test_bug_is_not_taken_for_an_outage(serve: Serve, open_session: OpenSession, operation: Operation) -> None:
    """Variables that cannot be JSON are the caller's mistake: not retried, and not a `RequestFailed`."""
    server = await serve({"data": {"job": None}})
    session = await open_session(server.url)
    with pytest.raises(Exception) as caught:  # noqa: PT011 (gql's own class; what matters is what it is not)
        await session.read(operation, {"id": object()})
    assert not isinstance(caught.value, errors.RequestFailed)
    assert server.count == 0


async def test_cancelling_a_request_leaves_the_session_usable(
    serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """The first request is cancelled before its answer; the second gets its answer."""
    arrived = asyncio.Event()

    async def think(request: web.Request) -> web.StreamResponse:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    server = await serve(think, {"data": {"job": {"id": "2"}}})
    session = await open_session(server.url)
    task = asyncio.create_task(session.read(operation, {"id": "1"}))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await session.read(operation, {"id": "2"})).data == {"job": {"id": "2"}}
