"""The pause that a server asked for, kept by all that talk to it (guarantee 6)."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from graphql_jobs.errors import RateLimited
from graphql_jobs.transport.retry import spread_s

if TYPE_CHECKING:
    from graphql_jobs.clock import Clock


class ServerDelay:
    """Closed while a server wants to hear nothing. The herd that waits before it is spread when it opens."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends_at = 0.0
        #: Since when it is closed, or was the last time.
        self.active_since = 0.0
        #: What a whole herd, which comes as one, adds to the pause, so that no two processes come back together.
        self._spread_s = 0.0

    def extend(self, pause_s: float) -> None:
        """Stay closed for `pause_s` from now; never shorter than somebody asked before."""
        if not self.is_active():
            self._spread_s, self.active_since = spread_s(), self._clock.now()
        self._ends_at = max(self._ends_at, self._clock.now() + pause_s)

    def remaining_s(self, spread_s: float = 0.0) -> float:
        """How long it stays closed; 0 if it is open."""
        return max(self._ends_at + spread_s - self._clock.now(), 0.0)

    def shared_remaining_s(self) -> float:
        """How long it stays closed for a herd."""
        return self.remaining_s(self._spread_s)

    def delayed_since(self) -> float:
        """Since when it is closed for a herd; inf if it is open."""
        return self.active_since if self.shared_remaining_s() > 0 else inf

    def is_active(self) -> bool:
        """Whether it is closed now."""
        return self.remaining_s() > 0

    async def wait(self, at_most_s: float) -> float:
        """Return 0 when it is open, or at once the time that it stays closed if that is more than `at_most_s`."""
        while (remaining_s := self.remaining_s()) > 0:  # it may be closed for longer while we wait
            if remaining_s > at_most_s:
                return remaining_s
            await self._clock.sleep(remaining_s + spread_s())
        return 0.0


def paused(provider: str, operation: str, subject: str, remaining_s: float) -> RateLimited:
    """The error for what is not asked, since the gate stays closed for so long."""
    detail = f"the server asked for a pause that lasts {remaining_s:.0f} s more."
    return RateLimited(provider, operation, subject, detail, remaining_s)
