"""Clocks for tests: sleeping takes no real time, but time passes only while all tasks wait."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

from graphql_jobs.transport.rate_limit import ServerDelay

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphql_jobs.clock import Clock
    from graphql_jobs.emulator import ManualClock
    from graphql_jobs.transport.session import Session

#: This many idle turns of the event loop mean that all tasks are asleep: a request on the loopback interface,
#: with client and server in this loop, needs one turn from the one to the other.
_QUIET_TURNS = 20


class FakeClock:
    """Time stands still while any task works, and then advances to the instant at which the next task wakes."""

    def __init__(self, now_s: float = 1_800_000_000.0) -> None:
        self.now_s = now_s
        #: How far the wall clock was set, forward or back.
        self.set_by_s = 0.0
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._is_watching = False
        self._is_stopped = False

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.monotonic() + self.set_by_s

    def monotonic(self) -> float:
        """The same time; setting the wall clock does not change it."""
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        """Return when `delay_s` seconds have passed."""
        woken = asyncio.get_running_loop().create_future()
        heappush(self._sleepers, (self.monotonic() + max(delay_s, 0.0), next(self._numbers), woken))
        self._watch()
        began_at = self.monotonic()
        await woken
        self.slept.append(self.monotonic() - began_at)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.Task[None]:
        """Call `callback` when `delay_s` seconds have passed."""
        timer = asyncio.get_running_loop().create_task(self.sleep(delay_s))
        timer.add_done_callback(lambda ended: None if ended.cancelled() else callback())
        return timer

    async def advance(self, by_s: float) -> None:
        """Let time pass."""
        self.now_s += by_s

    def stop(self) -> None:
        """Let no time pass until `go_on`, even while all tasks are asleep."""
        self._is_stopped = True

    def go_on(self) -> None:
        """Let time pass again."""
        self._is_stopped = False
        self._watch()

    def _watch(self) -> None:
        if not self._is_watching and not self._is_stopped:
            self._is_watching = True
            asyncio.get_running_loop().call_soon(self._look, 0)

    def _look(self, quiet_turns: int) -> None:
        loop = asyncio.get_running_loop()
        # The loop has no public way to say whether it has anything to do.
        if self._is_stopped:
            self._is_watching = False
            return
        quiet_turns = 0 if loop._ready else quiet_turns + 1  # type: ignore[attr-defined]
        if quiet_turns < _QUIET_TURNS:
            loop.call_soon(self._look, quiet_turns)
            return
        self._waking = loop.create_task(self._wake_next())

    async def _wake_next(self) -> None:
        while self._sleepers and self._sleepers[0][2].done():
            heappop(self._sleepers)
        if self._sleepers:
            wake_at, _, woken = self._sleepers[0]
            await self.advance(max(wake_at - self.monotonic(), 0.0))
            if not woken.done():
                woken.set_result(None)
        self._is_watching = False
        if self._sleepers:
            self._watch()


class DrivenClock(FakeClock):
    """One clock for the waits and the emulator."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self._began_at = clock.now()

    @property
    def slept_s(self) -> float:
        """The seconds that have passed in total."""
        return self._clock.now() - self._began_at

    def monotonic(self) -> float:
        """Seconds since the epoch, by the emulator's clock."""
        return self._clock.now()

    async def advance(self, by_s: float) -> None:
        """Let time pass."""
        self._clock.advance(by_s)


def use_clock(session: Session, clock: Clock) -> None:
    """Let an existing session read the time from this clock, and wait for the server's delays by it."""
    session.clock = clock
    session.server_delay = ServerDelay(clock)
