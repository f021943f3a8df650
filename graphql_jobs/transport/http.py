"""HTTP below GraphQL: connections, size-limited responses, and a record of each exchange.

gql keeps response headers on the transport, where concurrent requests overwrite them, and loses the status of an error
response that contains JSON. So each request has its own `Exchange`.
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
from graphql_jobs.parsing import decoded, http_date_or_none, is_shallow
from graphql_jobs.transport.network import Network, is_at

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping
    from types import SimpleNamespace

    from yarl import URL

    from graphql_jobs.transport.limits import Limits

#: Our choice: a page of 100 jobs with 30 tasks each is 1 MiB; an engine's transcript of a long recording is some MiB.
MAX_REPLY_BYTES = 32 * 1024 * 1024
#: Our choice: eight times aiohttp's default. A gateway's security policy and session can have 12 kB.
MAX_HEADER_BYTES = 64 * 1024
#: Our choice: the maximum size of an error's body.
_ERROR_BYTES = 16 * 1024
_CHUNK_BYTES = 64 * 1024
_AS_STRICT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS

# At DEBUG, gql's transport logs whole requests with variables, and so secrets. This prevents it.
logging.getLogger("gql.transport.aiohttp").setLevel(logging.INFO)


@dataclass(slots=True)
class Exchange:
    """One request: whether its head was written, and the status and headers of the response."""

    sent: bool = False
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: The response to a refused request, until `refusal` has read it.
    response: BoundedResponse | None = None

    def skew_s(self, at: float) -> float | None:
        """By how much our clock, which showed `at`, is ahead of the response's `Date`; None without one."""
        date = http_date_or_none(self.headers.get("Date"))
        return at - date.timestamp() if date else None

    def refusal(self) -> dict[str, Any]:
        """Return the JSON object in the response to a refused request, or {} if the body was not read or is large."""
        response, self.response = self.response, None  # an exchange outlives its response, which may be large
        body = response.small_body() if response else b""
        try:
            said = decoded(body.decode())
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}


class ReplyTooLarge(Exception):
    """The response exceeds its size limit; the rest was not read."""


class BoundedResponse(aiohttp.ClientResponse):
    """A response whose `read` (and so `text` and `json`) stops at `MAX_REPLY_BYTES`, decompressed."""

    _refused: ReplyTooLarge | None = None

    def get_encoding(self) -> str:
        """Return UTF-8, the encoding of JSON (RFC 8259 8.1). Some codecs that servers name take quadratic time."""
        return "utf-8"

    async def read(self) -> bytes:
        """Return the body. Raises `ReplyTooLarge`, also on a second read, which gql does after a failure."""
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
        """Return the body if it was read and has the size of an error, else nothing."""
        return self._body if self._body and len(self._body) <= _ERROR_BYTES else b""

    def _is_surely_small(self) -> bool:
        """Whether the body is small: aiohttp reads at most its announced length, but a compressed body may grow."""
        length = self.content_length
        return length is not None and length <= MAX_REPLY_BYTES and "Content-Encoding" not in self.headers


async def bounded_chunks(response: aiohttp.ClientResponse, max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body in chunks. Raises `ReplyTooLarge` before it yields more than `max_bytes` in total."""
    seen = 0
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        seen += len(chunk)
        if seen > max_bytes:
            response.close()
            raise ReplyTooLarge(f"more than {max_bytes} bytes")
        yield chunk


def encoded(value: Any) -> str:
    """Return the same JSON text as the standard library. Raises `TypeError` for the same values.

    orjson takes a fortieth of the time for a request that names five hundred jobs. But it writes null for NaN, refuses
    half of a surrogate pair, a number of more than 64 bits and a key that is not text, and can crash on deeply nested
    values (`MAX_DEPTH`). For these, the standard library is used.
    """
    if not is_shallow(value):
        return json.dumps(value)
    try:
        text = orjson.dumps(value, option=_AS_STRICT).decode()
    except TypeError:
        return json.dumps(value)
    return json.dumps(value) if "null" in text else text


def timeout_of(limits: Limits, total_s: float) -> aiohttp.ClientTimeout:
    """Return the time limits of one request that may take `total_s` in total."""
    connect_s = limits.connect_s
    return aiohttp.ClientTimeout(total_s, connect=connect_s, sock_connect=connect_s, sock_read=limits.read_s)


def new_transport(
    url: str, limits: Limits, tls: ssl.SSLContext | bool = True, *, reuses: bool = True
) -> AIOHTTPTransport:
    """Return gql over aiohttp with our limits, encoder, decoder and records, and without cookies.

    Mutations need a transport that does not reuse connections: a server may close an idle connection just when a
    request is written to it, and then it is not known whether the server read the request.
    """
    return AIOHTTPTransport(
        url,
        ssl=tls,
        json_serialize=encoded,
        json_deserialize=decoded_answer,
        client_session_args={
            "timeout": timeout_of(limits, limits.request_s),
            "response_class": BoundedResponse,
            "trace_configs": [tracing()],
            "cookie_jar": aiohttp.DummyCookieJar(),
            "connector": aiohttp.TCPConnector(force_close=not reuses),
            "max_line_size": MAX_HEADER_BYTES,
            "max_field_size": MAX_HEADER_BYTES,
        },
    )


class Connections:
    """The transports of a session. They are open while the session has users."""

    def __init__(self, url: str, limits: Limits, network: Network = Network()) -> None:
        self._url, self._limits, self._network = url, limits, network
        self._ssl: ssl.SSLContext | bool = True
        self.secrets = network.secrets
        self.users = 0
        #: By whether it reuses connections.
        self.transports: dict[bool, AIOHTTPTransport] = {}

    async def open(self) -> None:
        """Add a user. The first one opens the transports. Raises `InvalidInput` if the certificate cannot be read."""
        if not self.users:
            self._ssl = self._network.ssl()
            self.transports = {
                reuses: new_transport(self._url, self._limits, self._ssl, reuses=reuses) for reuses in (True, False)
            }
            for transport in self.transports.values():
                await transport.connect()  # this only creates the client: nothing is awaited before the user counts
        self.users += 1

    async def close(self) -> bool:
        """Remove a user. The last one closes the transports. Return whether this was the last."""
        self.users -= 1
        if not self.users:
            transports, self.transports = self.transports, {}
            for transport in transports.values():
                await transport.close()
        return not self.users

    def transport(self, *, reuses: bool = True) -> AIOHTTPTransport:
        """Return the transport that reuses connections, or the other one. Raises `RuntimeError` if it is not open."""
        if reuses not in self.transports:
            raise RuntimeError("use the session within `async with`")
        return self.transports[reuses]

    def options(self, url: str | URL, headers: Mapping[str, str], exchange: Exchange) -> dict[str, Any]:
        """Return aiohttp's options for a request to `url`. Only the service gets the extra headers."""
        options = self._network.options(url, self._url, headers)
        return options | {"allow_redirects": False, "trace_request_ctx": exchange}

    def plain_options(self, url: str | URL, headers: Mapping[str, str], exchange: Exchange) -> dict[str, Any]:
        """Return them for a request without gql. Only the service gets our certificate."""
        options = self.options(url, headers, exchange)
        return options | {"ssl": self._ssl} if is_at(url, self._url) else options

    def http(self) -> aiohttp.ClientSession:
        """Return the client for plain HTTP requests."""
        http = self.transport().session
        assert http is not None  # noqa: S101 (an open transport has one; gql types it as optional)
        return http


def tracing() -> aiohttp.TraceConfig:
    """Fill the `Exchange` that a request carries as its `trace_request_ctx`."""
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
