"""The budget: never more requests in a second than it allows, in the order in which they were asked for."""

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
    """Whoever sleeps does so until the test lets time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.sleepers: list[asyncio.Event] = []

    async def sleep(self, delay_s: float) -> None:
        """Return when the test says so."""
        self.slept.append(delay_s)
        self.sleepers.append(event := asyncio.Event())
        await event.wait()

    async def wake(self, after_s: float) -> None:
        """Let time pass, and everybody who sleeps look again."""
        self.now_s += after_s
        while self.sleepers:
            self.sleepers.pop().set()
        await settle()


async def settle() -> None:
    """Let all tasks run until each waits for something."""
    for _ in range(20):
        await asyncio.sleep(0)


async def sent_by(budget: RateLimit, clock: FakeClock, names: Sequence[str], sent: list[tuple[str, float]]) -> None:
    """Send one request for each name, all asked for at once."""

    async def send(name: str) -> None:
        assert await budget.take()
        sent.append((name, clock.now()))

    await asyncio.gather(*(send(name) for name in names))


def most_in(window_s: float, instants: Sequence[float]) -> int:
    """The largest number of instants within any window."""
    return max((sum(at <= other < at + window_s for other in instants) for at in instants), default=0)


@given(st.floats(0.05, 50), st.lists(st.floats(0, 3), max_size=60), st.integers(1, 5))
def test_no_second_holds_more_than_the_budget(rate: float, pauses_s: list[float], together: int) -> None:
    """Any rate, any pattern of requests: at most `rate` in any second, at most one in 1 / `rate` seconds below one."""

    async def run() -> list[tuple[str, float]]:
        clock = FakeClock()
        budget, sent = RateLimit(clock, RateWindow(rate)), list[tuple[str, float]]()
        for pause_s in pauses_s:
            clock.now_s += pause_s
            await sent_by(budget, clock, ["x"] * together, sent)
        return sent

    sent = asyncio.run(run())
    assert len(sent) == len(pauses_s) * together
    assert most_in(max(1.0, 1 / rate), [at for _, at in sent]) <= max(1, int(rate))


async def test_no_limit_is_no_wait() -> None:
    """None: a thousand at once."""
    clock, sent = FakeClock(), list[tuple[str, float]]()
    await sent_by(RateLimit(clock, RateWindow(None)), clock, ["x"] * 1000, sent)
    assert (len(sent), clock.slept) == (1000, [])


async def test_a_whole_budget_may_go_at_once_and_the_next_after_a_second() -> None:
    """Five per second and twelve requests: five, five and two, a second and the margin apart."""
    clock, sent = FakeClock(), list[tuple[str, float]]()
    began_at = clock.now()
    await sent_by(RateLimit(clock, RateWindow(5)), clock, ["x"] * 12, sent)
    assert [at - began_at for _, at in sent] == pytest.approx([0] * 5 + [1.1] * 5 + [2.2] * 2, abs=1e-5)


async def test_a_rate_below_one_is_one_request_in_so_many_seconds() -> None:
    """0.2 per second: one in five seconds, and the margin."""
    clock, sent = FakeClock(), list[tuple[str, float]]()
    began_at = clock.now()
    await sent_by(RateLimit(clock, RateWindow(0.2)), clock, "abc", sent)
    assert [at - began_at for _, at in sent] == pytest.approx([0, 5.5, 11], abs=1e-5)


async def test_who_asks_first_goes_first() -> None:
    """Thirty requests, two per second: in the order in which they were asked for."""
    clock, sent = FakeClock(), list[tuple[str, float]]()
    names = [str(number) for number in range(30)]
    await sent_by(RateLimit(clock, RateWindow(2)), clock, names, sent)
    assert [name for name, _ in sent] == names


@pytest.mark.parametrize("cancelled", [[1], [2], [1, 2], [3, 2], [3]])
async def test_a_cancelled_wait_leaves_nothing_behind(cancelled: list[int]) -> None:
    """The first who waits, or one in the queue: those behind move up, and as much is sent as if he had never asked."""
    clock, sent = HeldClock(), list[tuple[str, float]]()
    budget = RateLimit(clock, RateWindow(1))
    tasks = [asyncio.create_task(sent_by(budget, clock, str(number), sent)) for number in range(5)]
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
    assert budget.wait_s() == 0


async def test_who_finds_the_gate_shut_takes_nothing() -> None:
    """Three wait, and the gate shuts: all three are sent away at once, and one that comes later has the second."""
    clock, shut = HeldClock(), False
    budget = RateLimit(clock, RateWindow(1))
    assert await budget.take(lambda: shut)
    waits = [asyncio.create_task(budget.take(lambda: shut)) for _ in range(3)]
    await settle()
    shut = True
    await clock.wake(1.1)
    assert [wait.done() and wait.result() for wait in waits] == [False] * 3
    assert all(wait.done() for wait in waits)
    assert budget.wait_s() == 0
    assert not await RateLimit(clock, RateWindow(None)).take(lambda: shut)


async def test_the_wait_of_one_more_is_known() -> None:
    """Two per second, two sent, five in the queue: the next would go in the fourth second."""
    clock = HeldClock()
    window = RateWindow(2)
    budget, elsewhere = (RateLimit(clock, window) for _ in range(2))  # of another event loop
    assert budget.wait_s() == 0
    waits = [asyncio.create_task(budget.take()) for _ in range(7)]
    await settle()
    assert budget.wait_s() == elsewhere.wait_s() == pytest.approx(3 * 1.1, abs=1e-5)
    for _ in range(3):
        await clock.wake(1.1)
    assert all([await wait for wait in waits])
    assert RateLimit(clock, RateWindow(None)).wait_s() == 0


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), 1e300])
def test_a_budget_that_cannot_be_is_refused(rate: float) -> None:
    """Zero would wait for ever: the parameter is named."""
    with pytest.raises(InvalidInput, match="requests_per_s"):
        RateWindow(rate)
