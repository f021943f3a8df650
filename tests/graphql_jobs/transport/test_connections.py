"""Connections: long headers are read, and creates have a separate connection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import errors
from graphql_jobs.transport.http import MAX_HEADER_BYTES
from graphql_jobs.transport.limits import Limits

if TYPE_CHECKING:
    import asyncio

    from graphql_jobs.transport.operation import Operation
    from tests.graphql_jobs.conftest import OpenSession, Serve, ServeRaw

GOOD: dict[str, Any] = {"data": {"job": {"id": "1"}, "createJob": {"id": "7"}}}


@pytest.mark.parametrize("length", [12_000, MAX_HEADER_BYTES - 1000])
async def test_long_header_is_read(length: int, serve: Serve, open_session: OpenSession, operation: Operation) -> None:
    """A gateway's security policy of 12 kB: the answer is read as usual."""
    server = await serve((200, GOOD, {"Content-Security-Policy": "x" * length}))
    assert (await (await open_session(server.url)).read(operation, {"id": "1"})).data == GOOD["data"]


async def test_header_beyond_the_bound_is_named(
    serve: Serve, open_session: OpenSession, operation: Operation, creation: Operation
) -> None:
    """70 kB: the error says that a header is too long, not that the connection was lost; a create is unknown."""
    server = await serve((200, GOOD, {"Content-Security-Policy": "s3cret" * 12_000}))
    session = await open_session(server.url, limits=Limits(attempts=1))
    with pytest.raises(errors.BadReply, match="it has a header longer than 65536 bytes") as caught:
        await session.read(operation, {"id": "1"})
    assert "s3cret" not in str(caught.value)
    with pytest.raises(errors.SubmissionUnknown, match="header"):
        await session.create(creation, {"input": {}})


async def test_too_many_headers_are_named(serve: Serve, open_session: OpenSession, operation: Operation) -> None:
    """Three hundred headers: the error says so, not that the connection was lost."""
    server = await serve((200, GOOD, {f"X-{number}": "a" for number in range(300)}))
    with pytest.raises(errors.BadReply, match="too many headers"):
        await (await open_session(server.url, limits=Limits(attempts=1))).read(operation, {"id": "1"})


async def test_create_does_not_use_a_connection_that_the_server_may_have_closed(
    serve_raw: ServeRaw, open_session: OpenSession, operation: Operation, creation: Operation
) -> None:
    """The server drops each kept-alive connection at its second request: the create is answered."""
    made: list[bytes] = []

    async def first_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = (line.lower().split(b":") for line in head.split(b"\r\n"))
        length = int(next(line[1] for line in lines if line[0] == b"content-length"))
        made.append(await reader.readexactly(length))
        body = json.dumps(GOOD).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
        writer.write(body)
        await writer.drain()
        await reader.read(1)
        writer.transport.abort()

    server = await serve_raw(first_only)
    session = await open_session(server.url, limits=Limits(attempts=1))
    await session.read(operation, {"id": "1"})
    for _ in range(3):
        assert await session.create(creation, {"input": {}}) == {"id": "7"}
    assert (len(made), len(server.connections)) == (4, 4)
