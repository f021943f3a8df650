"""The session: Retry-After delays, the status of each request, bounded answers, concurrent use."""

from __future__ import annotations

import asyncio
import gzip
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from graphql_jobs import errors
from graphql_jobs.clock import instant
from graphql_jobs.providers.aiware.reader import DIALECT
from graphql_jobs.transport import http as wire
from graphql_jobs.transport.auth import BearerToken
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.session import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from graphql_jobs.transport.operation import Operation
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import OpenSession, Serve

GOOD: dict[str, Any] = {"data": {"job": {"id": "1"}}}
MADE: dict[str, Any] = {"data": {"createJob": {"id": "7"}}}


async def test_a_request_has_its_token_and_its_variables(
    serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """POST with the document, its name, the variables and a bearer token; no cookies."""
    server = await serve((200, GOOD, {"Set-Cookie": "a=b"}), GOOD)
    session = await open_session(server.url)
    for _ in range(2):
        await session.read(operation, {"id": "1"})
    expected = {"query": operation.text, "operationName": "ReadJob", "variables": {"id": "1"}}
    assert server.bodies == [expected, expected]
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer t0k3n-of-test"}
    assert not any("Cookie" in headers for headers in server.headers)


@pytest.mark.parametrize("body", [{"errors": [{"message": "slow"}]}, {"message": "slow"}, "<h1>slow</h1>"])
async def test_retry_after_is_waited_for(
    body: Any, serve: Serve, open_session: OpenSession, clock: FakeClock, operation: Operation
) -> None:
    """429 with `Retry-After: 7`, with and without JSON errors: 7 to 8 seconds, then the answer."""
    server = await serve((429, body, {"Retry-After": "7"}), GOOD)
    began_at = clock.now()
    await (await open_session(server.url)).read(operation, {"id": "1"})
    assert 7 <= clock.now() - began_at <= 9
    assert server.count == 2


async def test_a_date_in_retry_after_is_waited_for(
    serve: Serve, open_session: OpenSession, clock: FakeClock, creation: Operation
) -> None:
    """Until 15 s after the server's own date; and a create may be sent again after 429."""
    then, later_on = (format_datetime(instant(1e9 + seconds), usegmt=True) for seconds in (0, 15))
    head = {"Date": then, "Retry-After": later_on}
    server = await serve((429, "", head), MADE)
    began_at = clock.now()
    assert await (await open_session(server.url)).create(creation, {"input": {}}) == {"id": "7"}
    assert 15 <= clock.now() - began_at <= 17
    assert server.count == 2


async def test_delay_without_retry_after_is_our_own(
    serve: Serve, open_session: OpenSession, clock: FakeClock, operation: Operation
) -> None:
    """Always 429 without `Retry-After`: six attempts, with short delays."""
    server = await serve((429, ""))
    with pytest.raises(errors.RateLimited) as caught:
        await (await open_session(server.url)).read(operation, {"id": "1"})
    assert server.count == Limits().attempts
    assert caught.value.retry_after_s is None
    assert 5 <= sum(clock.slept) <= 20
    assert all(0 <= delay_s <= 4 for delay_s in clock.slept)


async def test_delay_beyond_the_retry_budget_is_left_to_the_caller(
    serve: Serve, open_session: OpenSession, clock: FakeClock, operation: Operation
) -> None:
    """A year is cut to an hour, and the request does not wait that long: one request; the next fails unsent."""
    server = await serve((429, "", {"Retry-After": "31536000"}))
    session = await open_session(server.url)
    for _ in range(2):
        with pytest.raises(errors.RateLimited) as caught:
            await session.read(operation, {"id": "1"})
        assert caught.value.retry_after_s == 3600
    assert server.count == 1
    assert clock.slept == []


@pytest.mark.parametrize("text", ["-3", "0", "nan", "soon"])
async def test_senseless_retry_after_does_not_stop_the_session(
    text: str, serve: Serve, open_session: OpenSession, clock: FakeClock, operation: Operation
) -> None:
    """Negative, NaN, not a number: the request is sent again soon, and succeeds."""
    server = await serve((429, "", {"Retry-After": text}), GOOD)
    began_at = clock.now()
    await (await open_session(server.url)).read(operation, {"id": "1"})
    assert clock.now() - began_at <= 4


async def test_delay_applies_to_all_requests_of_the_session(
    serve: Serve, open_session: OpenSession, clock: FakeClock, operation: Operation
) -> None:
    """Guarantee 6: the server asks for 30 s: neither of two concurrent requests is sent before that."""
    sent_at: list[float] = []

    async def note(request: web.Request) -> web.StreamResponse:
        sent_at.append(clock.now())
        if len(sent_at) == 1:
            return web.Response(status=429, headers={"Retry-After": "30"})
        return web.json_response(GOOD)

    server = await serve(note)
    session = await open_session(server.url)
    began_at = clock.now()
    await asyncio.gather(session.read(operation, {"id": "1"}), later(session, operation, sent_at))
    assert len(sent_at) == 3
    assert all(at - began_at >= 30 for at in sent_at[1:])


async def test_rate_limit_without_a_delay_delays_all_requests_of_the_session(
    serve: Serve, open_session: OpenSession, clock: FakeClock, operation: Operation
) -> None:
    """`THROTTLED` in the errors and no `Retry-After`: a second request is sent a second later at the earliest."""
    throttled = {"errors": [{"message": "slow down", "extensions": {"code": "THROTTLED"}}]}
    server = await serve((200, throttled), (200, GOOD))
    session, began_at = await open_session(server.url), clock.now()
    with pytest.raises(errors.RateLimited):
        await session._send(operation, {"id": "1"}, "job 1", "token")
    await session.read(operation, {"id": "2"})
    assert 1 <= clock.now() - began_at <= 3
    assert server.count == 2


async def test_delay_that_is_extended_again_and_again_is_not_waited_for_without_end(
    serve: Serve, open_session: OpenSession, clock: FakeClock, operation: Operation
) -> None:
    """Other requests extend it by 20 s every 15 s: the request fails within the retry budget of 60 s, unsent."""
    server = await serve(GOOD)
    session, began_at = await open_session(server.url), clock.now()

    async def extend() -> None:
        while clock.now() - began_at < 1000:
            session.server_delay.extend(20)
            await clock.sleep(15)

    others = asyncio.create_task(extend())
    await asyncio.sleep(0)
    with pytest.raises(errors.RateLimited):
        await session.read(operation, {"id": "1"})
    others.cancel()
    assert clock.now() - began_at <= 60
    assert server.count == 0


async def later(session: Session, operation: Operation, sent_at: list[float]) -> None:
    """A request that begins after the first was refused."""
    while not sent_at or not session.server_delay.active_since:  # noqa: ASYNC110 (the session has no event)
        await asyncio.sleep(0)
    await session.read(operation, {"id": "2"})


def noting(clock: FakeClock) -> tuple[list[float], Callable[[web.Request], Awaitable[web.StreamResponse]]]:
    """The instants at which requests arrive, and a step of a server that records them."""
    came_at: list[float] = []

    async def note(request: web.Request) -> web.StreamResponse:
        came_at.append(clock.now())
        return web.json_response(GOOD)

    return came_at, note


async def test_extended_delay_is_waited_for_to_its_end(
    serve: Serve, open_session: OpenSession, clock: FakeClock, operation: Operation
) -> None:
    """A delay of 10 s is extended to 40 s: nothing is sent before 40 s."""
    sent_at, note = noting(clock)
    session = await open_session((await serve(note)).url)
    began_at = clock.now()
    session.server_delay.extend(10)
    sleep = clock.sleep

    async def told_more(delay_s: float) -> None:
        session.server_delay.extend(began_at + 40 - clock.now())
        await sleep(delay_s)

    clock.sleep = told_more  # type: ignore[method-assign]
    await session.read(operation, {"id": "1"})
    assert sent_at[0] - began_at >= 40


async def test_requests_after_a_delay_are_spread(
    serve: Serve, open_session: OpenSession, operation: Operation, clock: FakeClock
) -> None:
    """Twenty requests wait for a delay of 10 s: they are sent one by one, within the second after it."""
    sent_at, note = noting(clock)
    session = await open_session((await serve(note)).url)
    began_at = clock.now()
    session.server_delay.extend(10)
    await asyncio.gather(*(session.read(operation, {"id": "1"}) for _ in range(20)))
    assert all(10 <= at - began_at <= 11 for at in sent_at)
    assert len(set(sent_at)) > 15


async def test_each_of_many_concurrent_requests_has_its_own_status(
    serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """200 concurrent requests and four statuses: each request has the result and the delay of its own status."""
    kinds = (None, errors.RequestRefused, errors.SignInFailed, errors.RateLimited)

    async def by_id(request: web.Request) -> web.StreamResponse:
        number = int((await request.json())["variables"]["id"])
        await asyncio.sleep(0.001 * (number % 7))  # real time: changes the order of the answers
        head = {"Retry-After": str(100 + number)} if number % 4 == 3 else {}
        return web.json_response(
            {"data": {"job": {"id": str(number)}}}, status=(200, 400, 403, 429)[number % 4], headers=head
        )

    session = await open_session((await serve(by_id)).url, limits=Limits(budget_s=1))
    results = await asyncio.gather(
        *(session._send(operation, {"id": str(number)}, "", "t") for number in range(200)), return_exceptions=True
    )
    for number, result in enumerate(results):
        kind = kinds[number % 4]
        if kind is None:
            assert not isinstance(result, BaseException)
            assert result.data["job"]["id"] == str(number)
            continue
        assert type(result) is kind
        assert isinstance(result, errors.RequestFailed)
        assert result.retry_after_s == (100 + number if kind is errors.RateLimited else None)


@pytest.mark.parametrize("status", [200, 404])
async def test_an_answer_beyond_the_bound_is_not_read(
    status: int, serve: Serve, open_session: OpenSession, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound of 10 kB and an answer of a megabyte: `TooMuchAtOnce` for a good status, sent once."""
    monkeypatch.setattr(wire, "MAX_REPLY_BYTES", 10_000)
    server = await serve((status, {"data": {"job": {"id": "x" * 1_000_000}}}))
    with pytest.raises(errors.RequestFailed) as caught:
        await (await open_session(server.url)).read(operation, {"id": "1"})
    assert type(caught.value) is (errors.AnswerTooLarge if status == 200 else errors.BadEndpoint)
    assert server.count == 1


async def test_a_small_answer_that_unpacks_to_a_large_one_is_not_read(
    serve: Serve, open_session: OpenSession, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gzip bomb: 50 kB on the wire, 50 MB unpacked, a bound of 1 MB."""
    monkeypatch.setattr(wire, "MAX_REPLY_BYTES", 1_000_000)
    bomb = gzip.compress(b'{"data": {"job": "' + b"0" * 50_000_000 + b'"}}')
    assert len(bomb) < 100_000

    async def explode(request: web.Request) -> web.StreamResponse:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"}, content_type="application/json")

    server = await serve(explode)
    with pytest.raises(errors.TooMuchAtOnce):
        await (await open_session(server.url)).read(operation, {"id": "1"})
    assert server.count == 1


async def test_an_answer_at_the_bound_is_read(
    serve: Serve, open_session: OpenSession, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly as many bytes as allowed."""
    text = '{"data": {"job": {"id": "1"}}}'
    monkeypatch.setattr(wire, "MAX_REPLY_BYTES", len(text))
    server = await serve(text)
    assert (await (await open_session(server.url)).read(operation, {"id": "1"})).data == GOOD["data"]


async def test_a_session_is_opened_before_it_is_used(operation: Operation) -> None:
    """Use outside of `async with` is the caller's mistake, and the error says so."""
    session = Session("http://127.0.0.1:9/graphql", BearerToken("x"), DIALECT)
    with pytest.raises(RuntimeError, match="async with"):
        await session.read(operation, {})


@pytest.mark.parametrize("path", [[{}], [["x"]], "job", 7, [None], {"a": 1}, ["job", {"b": []}]])
async def test_a_hostile_path_of_an_error_is_no_crash(
    path: object, serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """The path of an error is a list of names and numbers, or any other JSON of a hostile server."""
    answer: Mapping[str, Any] = {"data": {"job": {"id": "1"}}, "errors": [{"message": "x", "path": path}]}
    server = await serve(dict(answer))
    assert (await (await open_session(server.url)).read(operation, {"id": "1"})).data == GOOD["data"]
