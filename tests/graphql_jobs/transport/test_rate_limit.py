"""The rate limit: never more requests in a second than it allows, and in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs.errors import InvalidInput
from graphql_jobs.transport.rate_limit import RateLimit, RateWindow
from tests.clocks import FakeClock

if TYPE_CHECKING:
    from collections.abc import Sequence


class HeldClock(FakeClock):
    """A clock on which a sleep ends only when the test lets time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.sleepers: list[asyncio.Event] = []

    async def sleep(self, delay_s: float) -> None:
        """Return when the test says so."""
        self.slept.append(delay_s)
        self.sleepers.append(event := asyncio.Event())
        await event.wait()

    async def wake(self, after_s: float) -> None:
        """Let time pass, and end all sleeps."""
        self.now_s += after_s
        while self.sleepers:
            self.sleepers.pop().set()
        await settle()


async def settle() -> None:
    """Let all tasks run until each of them waits."""
    for _ in range(20):
        await asyncio.sleep(0)


async def sent_by(limit: RateLimit, clock: FakeClock, names: Sequence[str], sent: list[tuple[str, float]]) -> None:
    """Send one request for each name, all concurrently."""

    async def send(name: str) -> None:
        assert await limit.take()
        sent.append((name, clock.now()))

    await asyncio.gather(*(send(name) for name in names))


def most_in(window_s: float, instants: Sequence[float]) -> int:
    """The largest number of instants within any window."""
    return max((sum(at <= other < at + window_s for other in instants) for at in instants), default=0)


@given(st.floats(0.05, 50), st.lists(st.floats(0, 3), max_size=60), st.integers(1, 5))
def test_no_second_holds_more_requests_than_the_rate_limit(rate: float, gaps_s: list[float], together: int) -> None:
    """Any rate and pattern: at most `rate` in any second, or one in 1 / `rate` seconds for a rate below one."""

    async def run() -> list[tuple[str, float]]:
        clock = FakeClock()
        limit, sent = RateLimit(clock, RateWindow(rate)), list[tuple[str, float]]()
        for gap_s in gaps_s:
            clock.now_s += gap_s
            await sent_by(limit, clock, ["x"] * together, sent)
        return sent

    sent = asyncio.run(run())
    assert len(sent) == len(gaps_s) * together
    assert most_in(max(1.0, 1 / rate), [at for _, at in sent]) <= max(1, int(rate))


async def test_no_rate_limit_means_no_wait() -> None:
    """None: a thousand concurrent requests."""
    clock, sent = FakeClock(), list[tuple[str, float]]()
    await sent_by(RateLimit(clock, RateWindow(None)), clock, ["x"] * 1000, sent)
    assert (len(sent), clock.slept) == (1000, [])


async def test_requests_of_one_second_may_be_sent_at_once() -> None:
    """Five per second and twelve requests: five, five and two, a second and the margin apart."""
    clock, sent = FakeClock(), list[tuple[str, float]]()
    began_at = clock.now()
    await sent_by(RateLimit(clock, RateWindow(5)), clock, ["x"] * 12, sent)
    assert [at - began_at for _, at in sent] == pytest.approx([0] * 5 + [1.1] * 5 + [2.2] * 2, abs=1e-5)


async def test_rate_below_one_is_one_request_per_interval() -> None:
    """0.2 per second: one in five seconds, plus the margin."""
    clock, sent = FakeClock(), list[tuple[str, float]]()
    began_at = clock.now()
    await sent_by(RateLimit(clock, RateWindow(0.2)), clock, "abc", sent)
    assert [at - began_at for _, at in sent] == pytest.approx([0, 5.5, 11], abs=1e-5)


async def test_requests_are_sent_in_their_order() -> None:
    """Thirty requests, two per second: sent in the order of their calls."""
    clock, sent = FakeClock(), list[tuple[str, float]]()
    names = [str(number) for number in range(30)]
    await sent_by(RateLimit(clock, RateWindow(2)), clock, names, sent)
    assert [name for name, _ in sent] == names


@pytest.mark.parametrize("cancelled", [[1], [2], [1, 2], [3, 2], [3]])
async def test_cancelled_request_leaves_the_queue(cancelled: list[int]) -> None:
    """The first waiting request, or one in the queue, is cancelled: the others are sent as if it never existed."""
    clock, sent = HeldClock(), list[tuple[str, float]]()
    limit = RateLimit(clock, RateWindow(1))
    tasks = [asyncio.create_task(sent_by(limit, clock, str(number), sent)) for number in range(5)]
    await settle()
    for number in cancelled:
        tasks[number].cancel()
    await settle()
    for _ in range(4):
        await clock.wake(1.1)
    left = [str(number) for number in range(5) if number not in cancelled]
    assert [name for name, _ in sent] == left
    assert most_in(1.0, [at for _, at in sent]) == 1
    await asyncio.gather(*tasks, return_exceptions=True)
    await clock.wake(1.1)
    assert limit.wait_s() == 0


async def test_delayed_request_takes_no_turn() -> None:
    """Three requests wait when a delay begins: all return without a turn, which a later request can take."""
    clock, delayed = HeldClock(), False
    limit = RateLimit(clock, RateWindow(1))
    assert await limit.take(lambda: delayed)
    waits = [asyncio.create_task(limit.take(lambda: delayed)) for _ in range(3)]
    await settle()
    delayed = True
    await clock.wake(1.1)
    assert [wait.done() and wait.result() for wait in waits] == [False] * 3
    assert all(wait.done() for wait in waits)
    assert limit.wait_s() == 0
    assert not await RateLimit(clock, RateWindow(None)).take(lambda: delayed)


async def test_wait_of_a_new_request_is_known() -> None:
    """Two per second, two sent, five in the queue: the next would go in the fourth second."""
    clock = HeldClock()
    window = RateWindow(2)
    limit, elsewhere = (RateLimit(clock, window) for _ in range(2))  # of another event loop
    assert limit.wait_s() == 0
    waits = [asyncio.create_task(limit.take()) for _ in range(7)]
    await settle()
    assert limit.wait_s() == elsewhere.wait_s() == pytest.approx(3 * 1.1, abs=1e-5)
    for _ in range(3):
        await clock.wake(1.1)
    assert all([await wait for wait in waits])
    assert RateLimit(clock, RateWindow(None)).wait_s() == 0


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), 1e300])
def test_bad_rate_is_refused(rate: float) -> None:
    """Zero would wait without end: the error names the parameter."""
    with pytest.raises(InvalidInput, match="requests_per_s"):
        RateWindow(rate)
