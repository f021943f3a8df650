"""Time, behind a protocol that tests can implement.

Deadlines are measured from instants that outlive the process, so they need the wall clock, which may be set while a
process waits. So a session reads it once (`SteadyClock`) and adds the monotonic time since then.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer(Protocol):
    """A scheduled callback."""

    def cancel(self) -> object:
        """Cancel the call."""
        ...


class Clock(Protocol):
    """Wall-clock time, since instants outlive the process (guarantee 3), and a monotonic time."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds since an unspecified instant: only differences are meaningful."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Return after `delay_s` seconds."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` in the running event loop after `delay_s` seconds, unless the timer is cancelled by then."""
        ...


#: This clock does not stop while the machine sleeps: CLOCK_BOOTTIME on Linux, CLOCK_MONOTONIC on macOS.
_UPTIME = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since an unspecified instant."""
        return time.monotonic() if _UPTIME is None else time.clock_gettime(_UPTIME)

    async def sleep(self, delay_s: float) -> None:
        """Return after `delay_s` seconds."""
        await asyncio.sleep(delay_s)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` after `delay_s` seconds."""
        return asyncio.get_running_loop().call_later(delay_s, callback)


class SteadyClock:
    """A clock whose wall-clock time cannot be set: the first reading of `clock`, and the time since then.

    `ahead_s`: by how much `clock` is ahead of the right time.
    """

    def __init__(self, clock: Clock, ahead_s: float = 0.0) -> None:
        self._clock = clock
        self._offset_s = clock.now() - clock.monotonic() - ahead_s

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock.monotonic() + self._offset_s

    def monotonic(self) -> float:
        """Seconds since an unspecified instant."""
        return self._clock.monotonic()

    async def sleep(self, delay_s: float) -> None:
        """Return after `delay_s` seconds."""
        await self._clock.sleep(delay_s)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` after `delay_s` seconds."""
        return self._clock.call_later(delay_s, callback)


def instant(epoch_s: float) -> datetime:
    """Return epoch seconds as an aware datetime in UTC."""
    return datetime.fromtimestamp(epoch_s, UTC)
