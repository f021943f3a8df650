"""How many requests may be sent in a second, by all that share a session."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from graphql_jobs.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphql_jobs.clock import Clock

#: What the budget is counted over, and our choice of a margin: requests that left a second apart may arrive closer.
_SECOND_S = 1.0
_MARGIN_SHARE = 0.1
#: Our choice: more is no limit to speak of.
MAX_REQUESTS_PER_S = 10_000.0
#: Our choice: shorter pauses are not worth waking up for, and could be lost in the rounding of an instant.
_SHORTEST_PAUSE_S = 0.001


class Budget:
    """No more than `requests_per_s` requests in any second, in the order in which they were asked for.

    A sliding window, so that as many may go at once. A rate below one is one request in so many seconds; the fraction
    of a rate above one is cut off, since 1.5 would mean two in some seconds. None: no limit. Raises `InvalidInput`.
    """

    def __init__(self, clock: Clock, requests_per_s: float | None) -> None:
        if requests_per_s is not None and not 0 < requests_per_s <= MAX_REQUESTS_PER_S:
            raise InvalidInput("requests_per_s", f"it must be above 0 and at most {MAX_REQUESTS_PER_S:g}.")
        self._clock = clock
        self.requests_per_s = requests_per_s
        rate = requests_per_s or 1.0
        self._window_s = _SECOND_S / min(rate, 1.0) * (1 + _MARGIN_SHARE)
        self._sent_at: deque[float] = deque(maxlen=max(int(rate), 1))
        # Not a lock, which would keep its event loop alive after the last wait, and `sharing` with it.
        self._queue: deque[asyncio.Future[None]] = deque()

    def wait_s(self) -> float:
        """How long a request that comes now would wait for its turn, if all before it are sent."""
        if self.requests_per_s is None:
            return 0.0
        at_once = self._sent_at.maxlen or 1
        windows, place = divmod(len(self._queue), at_once)
        return windows * self._window_s + self._free_in_s(place)

    async def take(self, is_shut: Callable[[], bool] = lambda: False) -> bool:
        """Return True when one request may be sent, at once; False, with nothing taken, if `is_shut` by then."""
        if self.requests_per_s is None:
            return not is_shut()
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            if self._queue[0] is not turn:
                await turn
            return await self._take(is_shut)
        finally:  # also when it is cancelled: the next one's turn comes
            self._queue.remove(turn)
            if self._queue and not self._queue[0].done():
                self._queue[0].set_result(None)

    async def _take(self, is_shut: Callable[[], bool]) -> bool:
        while not is_shut():
            if (free_in_s := self._free_in_s()) <= 0:
                self._sent_at.append(self._clock.now())
                return True
            await self._clock.sleep(max(free_in_s, _SHORTEST_PAUSE_S))
        return False

    def _free_in_s(self, place: int = 0) -> float:
        """Until the request that is `place` behind the next one may go. A clock that was set back costs one window."""
        now = self._clock.now()
        if self._sent_at and self._sent_at[-1] > now:
            self._sent_at = deque((min(at, now) for at in self._sent_at), self._sent_at.maxlen)
        if (older := len(self._sent_at) - (self._sent_at.maxlen or 1) + place) < 0:
            return 0.0
        return max(self._sent_at[older] + self._window_s - now, 0.0)
