"""The rate limit of a session applies to each request, after the delay, and leaves no create unknown."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from graphql_jobs import errors
from graphql_jobs.clock import instant
from graphql_jobs.emulator import Behaviour, Emulator, ManualClock
from graphql_jobs.job import Job
from graphql_jobs.providers.aiware import AiwareClient, reader
from graphql_jobs.transport.auth import BearerToken, ClientCredentials
from graphql_jobs.transport.download import download
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.session import Session
from tests.conftest import driven
from tests.graphql_jobs.transport.test_rate_limit import HeldClock, most_in, settle

if TYPE_CHECKING:
    from pathlib import Path

    from graphql_jobs.transport.operation import Operation
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import OpenSession, Serve

GOOD: dict[str, Any] = {"data": {"job": {"id": "1"}}}
MADE: dict[str, Any] = {"data": {"createJob": {"id": "7"}}}


@pytest.fixture
def sent_at(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> list[float]:
    """The instants at which requests of any kind are passed to aiohttp."""
    instants: list[float] = []
    request = aiohttp.ClientSession._request

    async def noted(self: aiohttp.ClientSession, *args: Any, **kwargs: Any) -> aiohttp.ClientResponse:
        instants.append(clock.now())
        return await request(self, *args, **kwargs)

    monkeypatch.setattr(aiohttp.ClientSession, "_request", noted)
    return instants


class Moody:
    """A service with its sign-in and its files: every third request fails, and the first token is revoked early."""

    def __init__(self) -> None:
        self.count = 0
        self.tokens = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer by the request's path and its number."""
        self.count += 1
        if request.path == "/token":
            self.tokens += 1
            return web.json_response({"access_token": f"T{self.tokens}", "expires_in": 3600})
        if self.count % 3 == 0:
            is_busy = self.count % 2 == 0
            return web.Response(status=429 if is_busy else 502, headers={"Retry-After": "2"} if is_busy else {})
        if request.path == "/file":
            return web.Response(body=b"zip")
        is_revoked = self.count > 20 and request.headers["Authorization"] == "Bearer T1"
        return web.Response(status=401) if is_revoked else web.json_response(GOOD)


async def test_rate_limit_applies_to_every_request_of_a_session(
    serve: Serve, open_session: OpenSession, operation: Operation, sent_at: list[float], tmp_path: Path
) -> None:
    """Reads, retries, sign-ins after 401 and downloads, forty concurrently: at most two in any second."""
    server = await serve(Moody())
    root = server.url.removesuffix("/graphql")
    auth = ClientCredentials(f"{root}/token", "id", "s")
    session = await open_session(server.url, auth, limits=Limits(requests_per_s=2, budget_s=1e6, attempts=20))
    reads = (session.read(operation, {"id": "1"}) for _ in range(30))
    files = (download(session, f"{root}/file", tmp_path / str(number)) for number in range(10))
    await asyncio.gather(*reads, *files)
    assert len(sent_at) == server.count > 50
    assert {"/token", "/graphql", "/file"} == set(server.paths)
    assert server.paths.count("/token") == 2
    assert most_in(1.0, sent_at) == 2


@pytest.mark.parametrize(("requests_per_s", "is_refused"), [(2, False), (None, True)])
async def test_service_with_a_rate_limit_never_refuses(requests_per_s: float | None, is_refused: bool) -> None:
    """The service takes 20 requests in 10 s: at two per second none of 50 is refused, without a limit some are."""
    behaviour = Behaviour(requests_per_window=20)
    async with Emulator(clock=ManualClock(), seed=7, behaviour=behaviour) as emulator:
        job_id, auth = emulator.aiware.plant().id, BearerToken(emulator.accounts.aiware_token)
        limits = Limits(requests_per_s=requests_per_s)
        async with Session(f"{emulator.url}/v3/graphql", auth, reader.DIALECT, limits, driven(emulator)) as session:
            for _ in range(50):
                assert isinstance((await AiwareClient(session).check([job_id]))[job_id], Job)
        assert (429 in [record.status for record in emulator.ledger.requests]) == is_refused


async def test_without_a_rate_limit_nothing_waits(
    serve: Serve, open_session: OpenSession, clock: FakeClock, operation: Operation
) -> None:
    """A hundred concurrent reads, no delay."""
    server = await serve(GOOD)
    session = await open_session(server.url)
    await asyncio.gather(*(session.read(operation, {"id": "1"}) for _ in range(100)))
    assert (server.count, clock.slept) == (100, [])


async def test_read_waits_for_its_turn_without_a_limit(
    serve: Serve, open_session: OpenSession, clock: FakeClock, operation: Operation
) -> None:
    """One request in 100 s, and a retry budget of a minute: three reads take more than 200 s, and none fails."""
    session = await open_session((await serve(GOOD)).url, limits=Limits(requests_per_s=0.01))
    began_at = clock.now()
    replies = await asyncio.gather(*(session.read(operation, {"id": "1"}) for _ in range(3)))
    assert all(reply.data == GOOD["data"] for reply in replies)
    assert clock.now() - began_at == pytest.approx(220, abs=1e-3)


async def test_delay_that_begins_while_a_request_waits_for_its_turn_applies_to_it(
    serve: Serve, open_session: OpenSession, clock: FakeClock, operation: Operation, sent_at: list[float]
) -> None:
    """A delay of 40 s begins while a request waits for its turn: the request is sent after the delay."""
    session = await open_session((await serve(GOOD)).url, limits=Limits(requests_per_s=1))
    await session.read(operation, {"id": "1"})
    began_at, sleep = clock.now(), clock.sleep

    async def told_to_stay_away(delay_s: float) -> None:
        clock.sleep = sleep  # type: ignore[method-assign]
        session.server_delay.extend(40)
        await sleep(delay_s)

    clock.sleep = told_to_stay_away  # type: ignore[method-assign]
    await session.read(operation, {"id": "2"})
    assert 40 <= sent_at[-1] - began_at <= 42


async def test_delay_applies_to_a_sign_in(
    serve: Serve, open_session: OpenSession, clock: FakeClock, operation: Operation, sent_at: list[float]
) -> None:
    """A delay begins while the sign-in waits for its turn: the sign-in waits too."""
    server = await serve({"access_token": "T", "expires_in": 3600}, GOOD)
    auth = ClientCredentials(server.url.replace("graphql", "token"), "id", "s")
    session = await open_session(server.url, auth, limits=Limits(requests_per_s=1))
    await session.rate_limit.take()
    began_at, sleep = clock.now(), clock.sleep

    async def told_to_stay_away(delay_s: float) -> None:
        clock.sleep = sleep  # type: ignore[method-assign]
        session.server_delay.extend(40)
        await sleep(delay_s)

    clock.sleep = told_to_stay_away  # type: ignore[method-assign]
    await session.read(operation, {"id": "1"})
    assert len(sent_at) == 2
    assert all(at - began_at >= 40 for at in sent_at)


async def test_download_does_not_wait_for_the_delay_of_the_endpoint(
    serve: Serve, open_session: OpenSession, clock: FakeClock, tmp_path: Path
) -> None:
    """The file is on another host, and its URL expires: it is downloaded during a delay of an hour."""
    server = await serve("zip")
    session = await open_session(server.url, limits=Limits(requests_per_s=1))
    session.server_delay.extend(3600)
    await download(session, server.url, tmp_path / "file")
    assert (server.count, clock.slept) == (1, [])


async def test_create_whose_turn_comes_too_late_is_refused(
    serve: Serve, open_session: OpenSession, creation: Operation
) -> None:
    """One request in 100 s and one just sent; a submission may take 120 s: the error says that nothing was sent."""
    server = await serve(MADE)
    session = await open_session(server.url, limits=Limits(requests_per_s=0.01))
    assert await session.create(creation, {"input": {}}) == {"id": "7"}
    with pytest.raises(errors.RateLimited, match=r"requests_per_s=0\.01") as caught:
        await session.create(creation, {"input": {}})
    assert caught.value.unexecuted
    assert caught.value.retry_after_s == pytest.approx(110, abs=1)
    assert server.count == 1


async def test_a_create_that_is_cancelled_in_the_queue_was_not_sent(
    serve: Serve, open_session: OpenSession, creation: Operation, caplog: pytest.LogCaptureFixture
) -> None:
    """The log does not say that a job may exist, and its turn is free."""
    server, clock = await serve(MADE), HeldClock()
    session = await open_session(server.url, limits=Limits(requests_per_s=0.1), clock=clock)
    await session.rate_limit.take()
    creating = asyncio.create_task(session.create(creation, {"input": {}}))
    await settle()
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    assert "may exist" not in caplog.text
    assert server.count == 0
    assert session.rate_limit.wait_s() <= 11


async def test_unknown_submission_names_the_instant_of_sending(
    serve: Serve, open_session: OpenSession, clock: FakeClock, creation: Operation
) -> None:
    """50 s in the queue, then 502: the search for the job begins at the right instant."""
    session = await open_session((await serve((502, ""))).url, limits=Limits(requests_per_s=0.02, attempts=1))
    await session.rate_limit.take()
    began_at = clock.now()
    with pytest.raises(errors.SubmissionUnknown) as caught:
        await session.create(creation, {"input": {}})
    assert caught.value.sent_at == instant(began_at + 55).isoformat(timespec="seconds")
