"""When a request may be sent: the server's `Retry-After` delays, and our requests per second.

A session has a `ServerDelay` and a `RateLimit`, and waits for both before each request (guarantee 6).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from contextlib import asynccontextmanager
from math import inf
from threading import Lock
from typing import TYPE_CHECKING

from graphql_jobs.errors import InvalidInput, RateLimited
from graphql_jobs.transport.retry import spread_s

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from graphql_jobs.clock import Clock

logger = logging.getLogger(__name__)

#: Our choice: the delay after a rate limit without `Retry-After`, such as a code in the `errors` of a response.
DEFAULT_DELAY_S = 1.0
#: Our choice: a higher rate is not a limit in practice.
MAX_REQUESTS_PER_S = 10_000.0
#: The window of `requests_per_s`, and our choice of a margin: requests that are sent a second apart may
#: arrive closer together.
_SECOND_S = 1.0
_MARGIN_SHARE = 0.1
#: Our choice: the shortest sleep. A shorter one could be lost in the rounding of an instant.
_MIN_SLEEP_S = 0.001
#: Our choice: sending all concurrent submissions may take at most a quarter of a submission's time, at
#: two requests each. The rest of the time is for responses and other requests.
_SUBMISSION_SHARE = 0.25
_REQUESTS_PER_SUBMISSION = 2


class ServerDelay:
    """The delay that a server asked for with `Retry-After`. It applies to all requests of a session."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends_at = 0.0
        #: When the current or the last delay began, in seconds since the epoch.
        self.active_since = 0.0
        self._spread_s = 0.0

    def extend(self, delay_s: float) -> None:
        """Send nothing for `delay_s` seconds from now. A delay that ends later is not changed."""
        if not self.is_active():
            self._spread_s, self.active_since = spread_s(), self._clock.now()
        self._ends_at = max(self._ends_at, self._clock.now() + delay_s)

    def is_active(self) -> bool:
        """Whether the delay is active."""
        return self.remaining_s() > 0

    def remaining_s(self, spread_s: float = 0.0) -> float:
        """Return the seconds until the delay and `spread_s` after it are over, or 0 without a delay."""
        return max(self._ends_at + spread_s - self._clock.now(), 0.0)

    def shared_remaining_s(self) -> float:
        """Return the same for a poller, with a random addition that is drawn once per delay.

        So two processes do not send all their polls at the same instant.
        """
        return self.remaining_s(self._spread_s)

    def delayed_since(self) -> float:
        """Return when the delay began, for a poller, or inf without a delay."""
        return self.active_since if self.shared_remaining_s() > 0 else inf

    async def wait(self, at_most_s: float) -> float:
        """Wait until the delay is over and return 0. If this takes more than `at_most_s`, return the rest at once.

        The delay may be extended repeatedly meanwhile: `at_most_s` counts from the call.
        """
        wait_until = self._clock.now() + at_most_s
        while (remaining_s := self.remaining_s()) > 0:
            if self._clock.now() + remaining_s > wait_until:
                return remaining_s
            await self._clock.sleep(remaining_s + spread_s())
        return 0.0


def delayed(provider: str, operation: str, subject: str, remaining_s: float) -> RateLimited:
    """Return the error for a request that is not sent because the server's delay is too long."""
    detail = f"the server asked for a delay that lasts another {remaining_s:.0f} s."
    return RateLimited(provider, operation, subject, detail, remaining_s)


class RateWindow:
    """The latest requests under one rate limit, shared by the event loops of a process, across threads.

    At most `requests_per_s` are sent in any second (sliding window), possibly all at once. A rate below one
    means one request in 1 / rate seconds. Above one, the fraction is dropped: 1.5 could mean two in a second. None: no
    limit. Raises `InvalidInput`.
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
        """Count a request that starts (1) or stops (-1) waiting for its turn."""
        with self._lock:
            self._waiting += change

    def begin_submission(self, submission_s: float) -> bool:
        """Start a submission if it and all started ones can be sent in time. Return whether it was started."""
        rate = self.requests_per_s or 1.0
        at_once = max(int(rate * submission_s * _SUBMISSION_SHARE / _REQUESTS_PER_SUBMISSION), 1)
        with self._lock:
            may_begin = self._submissions < at_once
            self._submissions += may_begin
            return may_begin

    def end_submission(self) -> None:
        """End a submission that was sent, or that will not be sent."""
        with self._lock:
            self._submissions -= 1

    def take(self, clock: Clock) -> float:
        """Count a request that is sent now and return 0, or return the seconds until it may be sent."""
        with self._lock:
            now = clock.monotonic()
            if (free_in_s := self._free_in_s(now, 0)) <= 0:
                self._sent_at.append(now)
            return free_in_s

    def wait_s(self, clock: Clock) -> float:
        """Return the seconds until a new request may be sent, after all waiting ones."""
        with self._lock:
            windows, position = divmod(self._waiting, self.at_once)
            return windows * self._length_s + self._free_in_s(clock.monotonic(), position)

    def _free_in_s(self, now: float, position: int) -> float:
        """Return the seconds until the request `position` places behind the next one may be sent."""
        if (older := len(self._sent_at) - self.at_once + position) < 0:
            return 0.0
        return max(self._sent_at[older] + self._length_s - now, 0.0)


class RateLimit:
    """Make the requests of one event loop wait for their turn, in order of arrival."""

    def __init__(self, clock: Clock, window: RateWindow) -> None:
        self._clock = clock
        self.window = window
        self._turn = asyncio.Lock()

    def forget_loop(self) -> None:
        """Drop the lock if no request waits: a lock that was waited for keeps its event loop alive."""
        self._turn = asyncio.Lock()

    def wait_s(self) -> float:
        """Return the seconds until a new request may be sent, after all waiting ones."""
        return 0.0 if self.window.requests_per_s is None else self.window.wait_s(self._clock)

    @asynccontextmanager
    async def submission(self, submission_s: float) -> AsyncIterator[None]:
        """Wait until a submission and all started ones can be sent within `submission_s` seconds."""
        if self.window.requests_per_s is None:
            yield
            return
        delay_s = max(submission_s * _SUBMISSION_SHARE / 2, _MIN_SLEEP_S)
        if not (has_begun := self.window.begin_submission(submission_s)):
            logger.info("A submission waits for its turn: requests_per_s=%g is used up.", self.window.requests_per_s)
        while not has_begun:
            await self._clock.sleep(delay_s * random.uniform(0.5, 1.5))  # noqa: S311 (spreads load, guards nothing)
            has_begun = self.window.begin_submission(submission_s)
        try:
            yield
        finally:
            self.window.end_submission()

    async def take(self, is_delayed: Callable[[], bool] = lambda: False) -> bool:
        """Wait for the turn of one request and return True: send it immediately.

        If `is_delayed` becomes true first, return False and count no request.
        """
        if self.window.requests_per_s is None:
            return not is_delayed()
        self.window.queue(1)
        try:
            async with self._turn:
                while not is_delayed():
                    if (free_in_s := self.window.take(self._clock)) <= 0:
                        return True
                    await self._clock.sleep(max(free_in_s, _MIN_SLEEP_S))
                return False
        finally:
            self.window.queue(-1)
