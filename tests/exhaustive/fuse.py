"""A process that can be stopped before or after any one of its inputs and outputs, without ending the real process.

All inputs and outputs of the process pass its fuse: each request to a provider (also sign-in and downloads) and each
request to Prefect's API, before it is sent and after it was answered. When the fuse blows, that point raises `Died`,
and so does every later one: a stopped process sends nothing more, not even in an `except` or `finally`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from contextlib import asynccontextmanager
from itertools import compress
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from prefect.context import AsyncClientContext

from graphql_jobs.transport.session import Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    import aiohttp
    from yarl import URL

    from graphql_jobs.clock import Clock
    from graphql_jobs.transport.auth import Auth
    from graphql_jobs.transport.diagnosis import Dialect, Kind
    from graphql_jobs.transport.operation import Operation
    from graphql_jobs.transport.responses import Response

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: The requests that change nothing outside of the process. Any other one is taken for a write.
READS = {
    *("filter", "recall submission", "recall checkpoints", "read deployment", "sign-in", "download"),
    *("job", "jobs", "engineResults", "getJob", "getJobs", "getProject", "getProjects"),
}
EVERY_PAIR = os.environ.get("GRAPHQL_JOBS_ALL_PAIRS") == "1"

_BUSY = 503
_PAUSE_S = 0.1


class Died(BaseException):
    """The process was stopped. Not an `Exception`: no code may handle it."""


class Fuse:
    """Counts the points that a process passes, and blows at the one with the number `blows_at`, from 1."""

    def __init__(self, blows_at: int | None = None) -> None:
        self.points: list[str] = []
        self.blown = False
        #: The request that was about to be sent when the process was stopped: a network may still deliver it.
        self.in_flight: Callable[[], Awaitable[object]] | None = None
        self._blows_at = blows_at

    def point(self, name: str) -> None:
        """Pass this point, or stop here. A stopped process passes none."""
        if self.blown:
            raise Died
        self.points.append(name)
        if len(self.points) == self._blows_at:
            self.blown = True
            raise Died

    async def through(self, name: str, answer: Callable[[], Awaitable[T]]) -> T:
        """A request with its two points; a failure is an answer too."""
        was_alive = not self.blown
        try:
            self.point(f"before {name}")
        except Died:
            self.in_flight = answer if was_alive else self.in_flight
            raise
        try:
            answered = await answer()
        except Exception:  # the process may be stopped after any answer
            self.point(f"after {name}")
            raise
        self.point(f"after {name}")
        return answered


class FusedSession(Session):
    """A provider's session whose requests pass a fuse."""

    def __init__(self, url: str, auth: Auth, dialect: Dialect, clock: Clock, fuse: Fuse) -> None:
        super().__init__(url, auth, dialect, clock=clock)
        self._fuse = fuse

    async def _send(self, operation: Operation, variables: Mapping[str, object], subject: str, token: str) -> Response:
        send = super()._send
        return await self._fuse.through(operation.field, lambda: send(operation, variables, subject, token))

    async def fetch(
        self,
        method: str,
        url: str | URL,
        consume: Callable[[aiohttp.ClientResponse], Awaitable[T]],
        operation: str,
        subject: str,
        kinds: Mapping[int, Kind],
        **request: Any,
    ) -> T:
        """Sign-in and download."""
        fetch = super().fetch
        return await self._fuse.through(
            operation, lambda: fetch(method, url, consume, operation, subject, kinds, **request)
        )


class FusedTransport(httpx.AsyncBaseTransport):
    """The transport to Prefect's API, through the current fuse."""

    def __init__(self, way: httpx.AsyncBaseTransport) -> None:
        self.fuse: Fuse | None = None
        self._way = way

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and read the whole answer."""

        async def answer() -> httpx.Response:
            while True:
                response = await self._way.handle_async_request(request)
                await response.aread()
                if response.status_code != _BUSY:
                    return response
                # Another service of the server writes to SQLite. Prefect's client would send the request again, a step
                # that occurs by chance, so the stops could not be counted.
                logger.warning("Prefect's server is busy.")
                await asyncio.sleep(_PAUSE_S)

        return await (self.fuse.through(_name_of(request), answer) if self.fuse else answer())


@asynccontextmanager
async def fused_prefect() -> AsyncIterator[FusedTransport]:
    """One client of Prefect's API for all code within, since opening one costs more than ten requests."""
    async with AsyncClientContext.get_or_create() as context:
        http = context.client._client
        way, http._transport = http._transport, (transport := FusedTransport(http._transport))
        try:
            yield transport
        finally:
            http._transport = way


def stops_around_writes(points: list[str]) -> list[int]:
    """The numbers of the points at which it makes a difference to stop: the first, the last, and around each write."""
    if EVERY_PAIR:
        return list(range(1, len(points) + 1))
    befores = [number for number, name in enumerate(points, 1) if name.startswith("before")]
    writes = [points[number - 1].removeprefix("before ") not in READS for number in befores]
    around = [now or last for now, last in zip(writes, [True, *writes], strict=False)]
    return [*compress(befores, around), len(points)]


def _name_of(request: httpx.Request) -> str:
    """A readable name: "keep intent", "keep checkpoints", "create_flow_run"."""
    path = request.url.path.rstrip("/")
    if request.method == "POST" and path.endswith("/input"):
        return f"keep {json.loads(json.loads(request.content)['value']).get('kind', 'checkpoints')}"
    if path.endswith("/input/filter"):
        prefix = json.loads(request.content)["prefix"]
        return "recall submission" if prefix.startswith("gqj-") else "recall checkpoints"
    return "read deployment" if request.method == "GET" else path.rpartition("/")[2]
