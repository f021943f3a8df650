"""How many requests may be sent in a second, by all of a process that talk to an endpoint with one credential."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from contextlib import asynccontextmanager
from threading import Lock
from typing import TYPE_CHECKING

from graphql_jobs.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from graphql_jobs.clock import Clock

logger = logging.getLogger(__name__)

#: What the budget is counted over, and our choice of a margin: requests that left a second apart may arrive closer.
_SECOND_S = 1.0
_MARGIN_SHARE = 0.1
#: Our choice: more is no limit to speak of.
MAX_REQUESTS_PER_S = 10_000.0
#: Our choice: shorter pauses are not worth waking up for, and could be lost in the rounding of an instant.
_SHORTEST_PAUSE_S = 0.001
#: Our choice: so many requests that are sent one after the other take a quarter of a submission's time at most, if each
#: submission sends two. The rest of the time is for answers, and for the requests of others.
_SUBMISSION_SHARE = 0.25
_REQUESTS = 2


class RateWindow:
    """The requests that were sent of late, for one budget; the event loops of a process may share it across threads.

    No more than `requests_per_s` are sent in any second. It slides, so that as many may go at once. A rate below one is
    one request in so many seconds; the fraction of a rate above one is cut off, since 1.5 would mean two in some
    seconds. None: no limit. Raises `InvalidInput`.
    """

    def __init__(self, requests_per_s: float | None) -> None:
        if requests_per_s is not None and not 0 < requests_per_s <= MAX_REQUESTS_PER_S:
            raise InvalidInput("requests_per_s", f"it must be above 0 and at most {MAX_REQUESTS_PER_S:g}.")
        self.requests_per_s = requests_per_s
        rate = requests_per_s or 1.0
        self.at_once = max(int(rate), 1)
        self._length_s = _SECOND_S / min(rate, 1.0) * (1 + _MARGIN_SHARE)
        self._sent_at: deque[float] = deque(maxlen=self.at_once)
        self._waiting = 0
        self._submissions = 0
        self._lock = Lock()

    def queue(self, change: int) -> None:
        """One more waits for its turn, or one less."""
        with self._lock:
            self._waiting += change

    def begin_submission(self, submission_s: float) -> bool:
        """Whether another submission may begin, since all that have begun can be sent in time; then it has begun."""
        at_once = max(int((self.requests_per_s or 1.0) * submission_s * _SUBMISSION_SHARE / _REQUESTS), 1)
        with self._lock:
            may_begin = self._submissions < at_once
            self._submissions += may_begin
            return may_begin

    def end_submission(self) -> None:
        """A submission that had begun was sent, or will not be."""
        with self._lock:
            self._submissions -= 1

    def take(self, clock: Clock) -> float:
        """0, and one request may be sent at once; or how long until one may be."""
        with self._lock:
            now = clock.monotonic()
            if (free_in_s := self._free_in_s(now, 0)) <= 0:
                self._sent_at.append(now)
            return free_in_s

    def wait_s(self, clock: Clock) -> float:
        """How long a request that comes now would wait for its turn, if all before it are sent."""
        with self._lock:
            windows, place = divmod(self._waiting, self.at_once)
            return windows * self._length_s + self._free_in_s(clock.monotonic(), place)

    def _free_in_s(self, now: float, place: int) -> float:
        """Until the request that is `place` behind the next one may go."""
        if (older := len(self._sent_at) - self.at_once + place) < 0:
            return 0.0
        return max(self._sent_at[older] + self._length_s - now, 0.0)


class RateLimit:
    """Whose turn it is to send a request, among all of one event loop: in the order in which they were asked for."""

    def __init__(self, clock: Clock, window: RateWindow) -> None:
        self._clock = clock
        self.window = window
        # Not a lock, which would keep its event loop alive after the last wait, and `sharing` with it.
        self._queue: deque[asyncio.Future[None]] = deque()

    def wait_s(self) -> float:
        """How long a request that comes now would wait for its turn, if all before it are sent."""
        if self.window.requests_per_s is None:
            return 0.0
        return self.window.wait_s(self._clock)

    @asynccontextmanager
    async def submission(self, submission_s: float) -> AsyncIterator[None]:
        """Lets so many submissions in at once as can be sent within `submission_s`; the others wait for their turn."""
        if self.window.requests_per_s is None:
            yield
            return
        pause_s = max(submission_s * _SUBMISSION_SHARE / 2, _SHORTEST_PAUSE_S)
        if not (has_begun := self.window.begin_submission(submission_s)):
            logger.info("A submission waits for its turn: requests_per_s=%g is spent.", self.window.requests_per_s)
        while not has_begun:
            await self._clock.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 (spreads load, guards nothing)
            has_begun = self.window.begin_submission(submission_s)
        try:
            yield
        finally:
            self.window.end_submission()

    async def take(self, is_active: Callable[[], bool] = lambda: False) -> bool:
        """Return True when one request may be sent, at once; False, with nothing taken, if `is_active` by then."""
        if self.window.requests_per_s is None:
            return not is_active()
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self.window.queue(1)
        try:
            if self._queue[0] is not turn:
                await turn
            return await self._take(is_active)
        finally:  # also when it is cancelled: the next one's turn comes
            self._queue.remove(turn)
            self.window.queue(-1)
            if self._queue and not self._queue[0].done():
                self._queue[0].set_result(None)

    async def _take(self, is_active: Callable[[], bool]) -> bool:
        while not is_active():
            if (free_in_s := self.window.take(self._clock)) <= 0:
                return True
            await self._clock.sleep(max(free_in_s, _SHORTEST_PAUSE_S))
        return False
