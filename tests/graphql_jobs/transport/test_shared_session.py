"""Guarantee 5: one session per event loop, endpoint and credential; the first user opens it, the last closes it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs.errors import InvalidInput
from graphql_jobs.providers.aiware import AiwareClient
from graphql_jobs.providers.aiware.reader import DIALECT
from graphql_jobs.providers.datasaur import DatasaurClient
from graphql_jobs.transport.auth import BearerToken, ClientCredentials
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.shared_session import shared_session

if TYPE_CHECKING:
    from graphql_jobs.transport.operation import Operation
    from graphql_jobs.transport.rate_limit import RateLimit, RateWindow
    from graphql_jobs.transport.session import Session
    from tests.graphql_jobs.conftest import Serve

URL = "http://127.0.0.1:9/graphql"
GOOD: dict[str, Any] = {"data": {"job": {"id": "1"}}}


async def test_equal_endpoint_and_credential_share_a_session() -> None:
    """Two token objects with one token: one session."""
    assert shared_session(URL, BearerToken("a"), DIALECT) is shared_session(URL, BearerToken("a"), DIALECT)


async def test_another_endpoint_or_credential_has_its_own_session() -> None:
    """Another address, another token, another way to sign in: four sessions."""
    sessions = {
        id(shared_session(url, auth, DIALECT))
        for url, auth in (
            (URL, BearerToken("a")),
            (URL, BearerToken("b")),
            (URL + "2", BearerToken("a")),
            (URL, ClientCredentials("http://h", "id", "a")),
        )
    }
    assert len(sessions) == 4


def test_two_event_loops_do_not_share() -> None:
    """aiohttp's connections belong to their loop."""

    async def get() -> Session:
        return shared_session(URL, BearerToken("a"), DIALECT)

    assert asyncio.run(get()) is not asyncio.run(get())


def test_rate_limit_is_shared_by_the_process() -> None:
    """Prefect runs tasks in threads in separate event loops: four loops, 30 requests each: at most 40 in any second."""
    limits = Limits(requests_per_s=40)
    sent_at: list[float] = []

    class Noting(deque[float]):
        def append(self, at: float) -> None:
            sent_at.append(at)
            super().append(at)

    async def rate_limit() -> RateLimit:
        return shared_session(URL, BearerToken("of-the-process"), DIALECT, limits).rate_limit

    async def send() -> None:
        own = await rate_limit()
        for _ in range(30):
            assert await own.take()

    asyncio.run(rate_limit()).window._sent_at = Noting(maxlen=40)
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(asyncio.run, send()) for _ in range(4)]:
            future.result()
    assert len(sent_at) == 120
    assert all(later - earlier >= 1.0 for earlier, later in zip(sent_at, sent_at[40:], strict=False))


def test_each_rate_has_its_own_window() -> None:
    """Within a loop the first rate applies to all; a block in another loop may have another rate."""

    async def window(rate: float) -> RateWindow:
        return shared_session(URL, BearerToken("two-rates"), DIALECT, Limits(requests_per_s=rate)).rate_limit.window

    windows = [asyncio.run(window(rate)) for rate in (2, 3, 2)]
    assert windows[0] is windows[2]
    assert windows[0] is not windows[1]


def test_shared_session_outside_of_async_code_is_refused() -> None:
    """Without an event loop there is no session: the error says so, and what to do."""
    with pytest.raises(InvalidInput, match="async"):
        shared_session(URL, BearerToken("a"), DIALECT)


async def test_the_last_user_closes_the_session(serve: Serve, operation: Operation) -> None:
    """Two users: it works after the first has left, is closed after the second, and can be opened again."""
    server = await serve(GOOD)
    first = shared_session(server.url, BearerToken("a"), DIALECT)
    second = shared_session(server.url, BearerToken("a"), DIALECT)
    async with second:
        async with first:
            await first.read(operation, {"id": "1"})
        assert (await second.read(operation, {"id": "1"})).data == GOOD["data"]
    with pytest.raises(RuntimeError, match="async with"):
        await first.read(operation, {"id": "1"})
    async with first:
        await second.read(operation, {"id": "1"})
    assert server.count == 3


async def test_a_failure_inside_closes_the_session_too(serve: Serve) -> None:
    """The block of the only user raises."""
    session = shared_session((await serve(GOOD)).url, BearerToken("a"), DIALECT)
    with pytest.raises(ZeroDivisionError):
        async with session:
            raise ZeroDivisionError
    assert (session._connections.users, session._connections.transports) == (0, {})


async def test_session_can_be_opened_and_closed_by_many_tasks(serve: Serve, operation: Operation) -> None:
    """Fifty tasks enter, send a request and leave, in any order."""
    server = await serve(GOOD)

    async def use(number: int) -> None:
        session = shared_session(server.url, BearerToken("a"), DIALECT)
        for _ in range(number % 4):
            await asyncio.sleep(0)
        async with session:
            await session.read(operation, {"id": str(number)})

    await asyncio.gather(*(use(number) for number in range(50)))
    session = shared_session(server.url, BearerToken("a"), DIALECT)
    assert (session._connections.users, session._connections.transports, server.count) == (0, {}, 50)


async def test_a_token_outlives_the_connection(serve: Serve, operation: Operation) -> None:
    """Closed and opened again: no second sign-in."""
    tokens, api = await serve({"access_token": "T", "expires_in": 3600}), await serve(GOOD)
    for _ in range(3):
        async with shared_session(api.url, ClientCredentials(tokens.url, "id", "s"), DIALECT) as session:
            await session.read(operation, {"id": "1"})
    assert (tokens.count, api.count) == (1, 3)


async def test_clients_of_one_installation_share_a_session() -> None:
    """A lenient and a strict client: one session, and each reads answers in its own way."""
    strict = AiwareClient.connect("https://api.h/", BearerToken("a"))
    lenient = AiwareClient.connect("https://api.h", BearerToken("a"), lenient=True)
    assert strict.session is lenient.session
    assert (strict.lenient, lenient.lenient) == (False, True)
    assert strict.session.url == "https://api.h/v3/graphql"
    assert DatasaurClient.connect("https://app.h", BearerToken("a")).session.url == "https://app.h/graphql"


async def test_a_bad_address_is_refused_before_there_is_a_session() -> None:
    """Both providers refuse it, and the error does not show the address."""
    for client in (AiwareClient, DatasaurClient):
        with pytest.raises(InvalidInput, match="base_url"):
            client.connect("ftp://h", BearerToken("a"))


def test_nothing_is_left_unclosed(serve: Serve, recwarn: pytest.WarningsRecorder) -> None:
    """An event loop that ran clients leaves no connector and no session."""

    async def use() -> None:
        async with AiwareClient.connect("http://127.0.0.1:9", BearerToken("a")):
            pass

    asyncio.run(use())
    gc.collect()
    assert not recwarn.list


def test_sessions_of_a_closed_event_loop_are_freed() -> None:
    """Two concurrent requests waited for one token, and the loop ended: the session is freed too."""

    async def use() -> weakref.ref[Session]:
        session = shared_session(URL, ClientCredentials("http://h", "id", "s"), DIALECT)

        async def post_form(url: str, form: object, basic: object) -> dict[str, object]:
            await asyncio.sleep(0)
            return {"access_token": "T"}

        await asyncio.gather(*(session.auth.token(post_form, session.clock) for _ in range(2)))
        return weakref.ref(session)

    gone = asyncio.run(use())
    gc.collect()
    assert gone() is None
