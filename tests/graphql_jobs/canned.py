"""A session whose answers come from this process: their bytes and headers are read like those of a server."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self, cast

from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportConnectionFailed, TransportError
from multidict import CIMultiDict, CIMultiDictProxy

from graphql_jobs.parsing import decoded
from graphql_jobs.transport.http import BoundedResponse
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.session import Session
from tests.clocks import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from graphql import ExecutionResult

    from graphql_jobs.transport.auth import Auth
    from graphql_jobs.transport.diagnosis import Dialect

Answer = tuple[int, "Mapping[str, str]", bytes]


class CannedResponse(BoundedResponse):
    """A response that was read."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.reason, self._body = status, "", body
        self._headers = CIMultiDictProxy(CIMultiDict(headers))
        self._cache: dict[str, Any] = {}
        self._request_info, self._history = cast("Any", None), ()
        self._closed, self._connection, self._in_context = True, None, True

    def __del__(self, _warnings: Any = None) -> None:
        """There is no connection to close."""


class CannedTransport(AIOHTTPTransport):
    """Returns `answers` one after the other, then fails as if the server had stopped."""

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__("http://canned.invalid", json_deserialize=decoded)
        self.answers = answers
        self.session = cast("Any", self)  # of aiohttp's session only `request` is used

    def next_response(self, exchange: Any) -> CannedResponse:
        """The next answer, recorded in the exchange as the trace does."""
        response = CannedResponse(*(self.answers.pop(0) if self.answers else (503, {}, b"")))
        exchange.sent, exchange.status, exchange.headers = True, response.status, response.headers
        return response

    async def execute(self, request: Any, *, extra_args: Any = None, upload_files: bool = False) -> ExecutionResult:
        """Like gql's own method, without sending anything."""
        try:
            return await self._prepare_result(self.next_response(extra_args["trace_request_ctx"]))
        except TransportError:
            raise
        except Exception as error:
            raise TransportConnectionFailed(str(error)) from error

    @asynccontextmanager
    async def request(self, *args: Any, trace_request_ctx: Any, **kwargs: Any) -> AsyncIterator[CannedResponse]:
        """Like aiohttp's method."""
        yield self.next_response(trace_request_ctx)


class CannedSession(Session):
    """Sends nothing."""

    def __init__(self, auth: Auth, dialect: Dialect, answers: list[Answer]) -> None:
        limits = Limits(attempts=1, budget_s=0.001)
        super().__init__("http://canned.invalid/graphql", auth, dialect, limits, FakeClock())
        transport: Any = CannedTransport(answers)
        self._connections.transports = {True: transport, False: transport}

    async def __aenter__(self) -> Self:
        """The session is already open."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """The session stays open."""
