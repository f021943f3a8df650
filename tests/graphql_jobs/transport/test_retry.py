"""Calls are repeated after growing delays until the outage budget is spent."""

from __future__ import annotations

import pytest

from graphql_jobs.errors import RateLimited, ServerFailed
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.retry import OutageBudget, is_transient, retried
from tests.clocks import FakeClock


async def fail() -> None:
    """Always 503."""
    raise ServerFailed("aiware", "job", "job 1", "HTTP 503")


async def test_delay_grows_with_the_outage() -> None:
    """An hour of 503: the first delay is at most 2 s, later ones 15 to 30 s; the last attempt is after the hour."""
    clock = FakeClock()
    began_at = clock.monotonic()
    with pytest.raises(ServerFailed):
        await OutageBudget(3600, clock).outlast(fail, lambda failure: True)
    assert clock.monotonic() - began_at == pytest.approx(3600, abs=0.01)
    assert 1 <= clock.slept[0] <= 2
    assert all(15 <= delay_s <= 30 for delay_s in clock.slept[10:-1])


async def test_retry_after_beyond_the_outage_budget_is_waited_for() -> None:
    """A delay of 100 s with a budget of 60 s: one more attempt is made after it."""
    clock, calls = FakeClock(), list[float]()

    async def call() -> str:
        calls.append(clock.monotonic())
        if len(calls) == 1:
            raise RateLimited("aiware", "job", "job 1", "HTTP 429", 100.0)
        return "done"

    assert await OutageBudget(60, clock).outlast(call, lambda failure: True) == "done"
    assert 100 <= calls[1] - calls[0] <= 101


async def test_no_delay_ends_after_the_retry_budget() -> None:
    """`Retry-After: 7` with budget_s=10: a second attempt after 7 s, and no third, which would be after 14 s."""
    clock, calls = FakeClock(), list[float]()

    async def call() -> None:
        calls.append(clock.monotonic())
        raise RateLimited("aiware", "job", "job 1", "HTTP 429", 7.0)

    with pytest.raises(RateLimited):
        await retried(call, is_transient, Limits(budget_s=10), clock)
    assert len(calls) == 2
    assert 7 <= calls[1] - calls[0] <= 7.5
