"""Setting the wall clock forward or back changes nothing that is under way (guarantee 3)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import errors, wait
from graphql_jobs.clock import SystemClock
from graphql_jobs.providers.aiware.reader import DIALECT
from graphql_jobs.store import LocalStore
from graphql_jobs.transport.auth import BearerToken, ClientCredentials
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.session import Session
from graphql_jobs.waiting.checkpoints import Checkpoint, Checkpoints
from graphql_jobs.waiting.policy import Deadlines, Schedule, WaitPolicy
from tests.graphql_jobs.waits import DOWN, handle, job

if TYPE_CHECKING:
    from graphql_jobs.transport.operation import Operation
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import OpenSession, Scripted, Serve

HOURS = pytest.mark.parametrize("by_s", [-3 * 3600.0, 3 * 3600.0, -1e9, 1e9])
GOOD: dict[str, Any] = {"data": {"job": {"id": "1"}}}


@HOURS
async def test_clock_change_does_not_move_a_deadline(by_s: float, scripted: Scripted, clock: FakeClock) -> None:
    """Deadline 60 s, and the clock is set by three hours after 30 s: the wait ends after 60 s."""
    client = scripted(lambda one, at_s: job(one))
    began_at = clock.monotonic()
    clock.call_later(30, lambda: setattr(clock, "set_by_s", by_s))
    with pytest.raises(errors.WaitTimedOut):
        await wait(client, handle("a"), WaitPolicy(Schedule(5, 0, 5), Deadlines(total_s=60)))
    assert 60 <= clock.monotonic() - began_at <= 61


@HOURS
async def test_clock_change_does_not_move_the_outage_budget(by_s: float, scripted: Scripted, clock: FakeClock) -> None:
    """Outage budget 60 s, and the clock is set after 30 s: given up after 60 s."""
    client = scripted(lambda one, at_s: DOWN)
    began_at = clock.monotonic()
    clock.call_later(30, lambda: setattr(clock, "set_by_s", by_s))
    with pytest.raises(errors.ProviderLost):
        await wait(client, handle("a"), WaitPolicy(Schedule(5, 0, 5), outage_budget_s=60))
    assert 60 <= clock.monotonic() - began_at <= 62


@HOURS
async def test_clock_change_does_not_change_a_retry_after_delay(
    by_s: float, serve: Serve, open_session: OpenSession, clock: FakeClock, operation: Operation
) -> None:
    """`Retry-After: 40`, and the clock is set after 20 s: the request is sent again after 40 s."""
    server = await serve((429, "", {"Retry-After": "40"}), GOOD)
    session, began_at = await open_session(server.url), clock.monotonic()
    clock.call_later(20, lambda: setattr(clock, "set_by_s", by_s))
    await session.read(operation, {"id": "1"})
    assert 40 <= clock.monotonic() - began_at <= 42


@HOURS
async def test_clock_change_does_not_move_the_renewal_of_a_token(
    by_s: float, serve: Serve, open_session: OpenSession, clock: FakeClock, operation: Operation
) -> None:
    """A token for 600 s: used after 300 s and renewed after 600 s with any setting of the clock."""
    tokens = await serve({"access_token": "one", "expires_in": 600}, {"access_token": "two", "expires_in": 600})
    server = await serve(GOOD)
    session = await open_session(server.url, ClientCredentials(tokens.url, "id", "s3cret"))
    await session.read(operation, {"id": "1"})
    clock.set_by_s = by_s
    for passes_s in (300, 300):
        await clock.sleep(passes_s)
        await session.read(operation, {"id": "1"})
    assert [headers["Authorization"][-3:] for headers in server.headers] == ["one", "one", "two"]


@HOURS
async def test_clock_change_does_not_change_the_rate_limit(
    by_s: float, serve: Serve, open_session: OpenSession, clock: FakeClock, operation: Operation
) -> None:
    """Two per second, and the clock is set after the second request: the third is sent a second later."""
    server = await serve(GOOD)
    session = await open_session(server.url, limits=Limits(requests_per_s=2))
    for _ in range(2):
        await session.read(operation, {"id": "1"})
    clock.set_by_s, began_at = by_s, clock.monotonic()
    await session.read(operation, {"id": "1"})
    assert 1 <= clock.monotonic() - began_at <= 1.2


@pytest.mark.parametrize("limit", ["total_s", "running_s", "unchanged_s"])
async def test_deadline_does_not_count_from_a_clock_that_was_ahead(
    limit: str, scripted: Scripted, clock: FakeClock
) -> None:
    """The last attempt recorded instants of tomorrow: this one gives up after its 60 s."""
    client, store, ahead = scripted(lambda one, at_s: job(one)), LocalStore(), clock.now() + 86_400
    await Checkpoints(store).keep({"a": Checkpoint(ahead, ahead, ahead)})
    began_at, policy = clock.monotonic(), WaitPolicy(Schedule(5, 0, 5), Deadlines(**{limit: 60.0}))
    with pytest.raises(errors.WaitTimedOut):
        await wait(client, handle("a"), policy, checkpoints=Checkpoints(store))
    assert 60 <= clock.monotonic() - began_at <= 61


def test_time_of_a_session_goes_on_when_the_machines_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's clock is set back by a day: the session's clock is not."""
    session, real = Session("http://127.0.0.1/graphql", BearerToken("t"), DIALECT), time.time
    before = session.clock.now()
    assert abs(before - real()) < 5
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)
    assert 0 <= session.clock.now() - before < 60
    assert SystemClock().now() < before
