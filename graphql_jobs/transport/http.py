"""What one HTTP exchange did, recorded per request, and answers bounded in size.

gql keeps response headers on the transport, where concurrent requests overwrite each other's, and loses the status of
an error answer that holds JSON; an `Exchange` of its own travels with each request instead.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from gql.transport.aiohttp import AIOHTTPTransport

from graphql_jobs.numbers import decoded_answer
from graphql_jobs.parsing import decoded, is_shallow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from types import SimpleNamespace

    from graphql_jobs.transport.limits import Limits

#: Our choice: a page of 100 jobs with 30 tasks each is 1 MiB; an engine's transcript of a long recording some MiB.
MAX_REPLY_BYTES = 32 * 1024 * 1024
#: Our choice: eight times what aiohttp takes by default. A gateway's security policy and session can have 12 kB.
MAX_HEADER_BYTES = 64 * 1024
#: Our choice: an error in words of its own is shorter.
_ERROR_BYTES = 16 * 1024
_CHUNK_BYTES = 64 * 1024
_AS_STRICT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS

# At DEBUG gql's transport logs whole requests, variables and so secrets included: never from this package.
logging.getLogger("gql.transport.aiohttp").setLevel(logging.INFO)


@dataclass(slots=True)
class Exchange:
    """One request's fate: whether its head was written, and what status and headers came back."""

    sent: bool = False
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: The answer to a request that was refused, until `refusal` has read it.
    response: BoundedResponse | None = None

    def refusal(self) -> dict[str, Any]:
        """The JSON object that a refused request was answered with, if its body was read and is small; else empty."""
        response, self.response = self.response, None  # an exchange outlives its answer, which may be large
        body = response.small_body() if response else b""
        try:
            said = decoded(body.decode())
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}


class ReplyTooLarge(Exception):
    """The answer is larger than its bound; the rest was not read."""


class BoundedResponse(aiohttp.ClientResponse):
    """A response whose `read` (and so `text` and `json`) stops at `MAX_REPLY_BYTES`, decompressed."""

    _refused: ReplyTooLarge | None = None

    def get_encoding(self) -> str:
        """JSON is UTF-8 (RFC 8259 8.1), whatever the server says: some of Python's codecs take quadratic time."""
        return "utf-8"

    async def read(self) -> bytes:
        """The body. Raises `ReplyTooLarge`, and again when it is read again, as gql does after a failure."""
        if self._refused:
            raise self._refused
        if self._body is None:
            if self._is_surely_small():
                return await super().read()
            try:
                self._body = b"".join([chunk async for chunk in bounded_chunks(self, MAX_REPLY_BYTES)])
            except ReplyTooLarge as refusal:
                self._refused = refusal
                raise
        return self._body

    def small_body(self) -> bytes:
        """The body, if it was read and has the size of an error; else nothing."""
        return self._body if self._body and len(self._body) <= _ERROR_BYTES else b""

    def _is_surely_small(self) -> bool:
        """aiohttp reads no more than the announced length; a compressed body can be larger than that."""
        length = self.content_length
        return length is not None and length <= MAX_REPLY_BYTES and "Content-Encoding" not in self.headers


async def bounded_chunks(response: aiohttp.ClientResponse, max_bytes: int) -> AsyncIterator[bytes]:
    """The body in pieces. Raises `ReplyTooLarge` before handing out more than `max_bytes` in all."""
    seen = 0
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        seen += len(chunk)
        if seen > max_bytes:
            response.close()
            raise ReplyTooLarge(f"more than {max_bytes} bytes")
        yield chunk


def encoded(value: Any) -> str:
    """JSON text that says what the standard library's would. Raises `TypeError` for what it refuses, too.

    orjson takes a fortieth of the time for a request that names five hundred jobs, but writes null for NaN, and refuses
    half of a surrogate pair, a number of more than 64 bits and a key that is no text. What is nested deeply could kill
    the process (`MAX_DEPTH`).
    """
    if not is_shallow(value):
        return json.dumps(value)
    try:
        text = orjson.dumps(value, option=_AS_STRICT).decode()
    except TypeError:
        return json.dumps(value)
    return json.dumps(value) if "null" in text else text


def new_transport(url: str, limits: Limits, *, reuses: bool = True) -> AIOHTTPTransport:
    """gql over aiohttp with our bounds, encoder, decoder and records, and without cookies.

    Unless it `reuses` connections, each request has one of its own: a connection that was kept alive may be closed by
    the server just when a request is written to it, and then nobody can tell whether it was read.
    """
    timeout = aiohttp.ClientTimeout(
        total=limits.request_s, connect=limits.connect_s, sock_connect=limits.connect_s, sock_read=limits.read_s
    )
    return AIOHTTPTransport(
        url,
        ssl=True,
        json_serialize=encoded,
        json_deserialize=decoded_answer,
        client_session_args={
            "timeout": timeout,
            "response_class": BoundedResponse,
            "trace_configs": [tracing()],
            "cookie_jar": aiohttp.DummyCookieJar(),
            "connector": aiohttp.TCPConnector(force_close=not reuses),
            "max_line_size": MAX_HEADER_BYTES,
            "max_field_size": MAX_HEADER_BYTES,
        },
    )


def tracing() -> aiohttp.TraceConfig:
    """Fills the `Exchange` that a request carries as its `trace_request_ctx`."""
    config = aiohttp.TraceConfig()

    async def on_sent(
        session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestHeadersSentParams
    ) -> None:
        if exchange := _exchange(context):
            exchange.sent = True

    async def on_end(
        session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        if exchange := _exchange(context):
            exchange.status = params.response.status
            exchange.headers = params.response.headers
            if params.response.status >= 400 and isinstance(params.response, BoundedResponse):
                exchange.response = params.response

    config.on_request_headers_sent.append(on_sent)
    config.on_request_end.append(on_end)
    return config


def _exchange(context: SimpleNamespace) -> Exchange | None:
    exchange = context.trace_request_ctx
    return exchange if isinstance(exchange, Exchange) else None
