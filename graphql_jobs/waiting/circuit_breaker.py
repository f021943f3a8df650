"""The circuit breaker of an endpoint: while it gives no answers, it is probed with one request at a time. Pure."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphql_jobs.errors import RequestFailed

#: Our choices: delays between two probes double from the first to the longest. The longest is what an end is seen late
#: by after an outage; where asking again is not expected to help (a rejected sign-in), it is longer.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 2.5
LONGEST_REFUSED_PAUSE_S = 60.0
#: Our choice: one request that fails may hold a job that cannot be polled; the second in a row makes an outage.
_FAILURES = 2


class CircuitBreaker:
    """Open during an outage. A delay that the server asks for is an outage too, but is not probed."""

    def __init__(self) -> None:
        #: What the last failed request of the outage said; None while the breaker is closed.
        self.failure: RequestFailed | None = None
        #: Since when there are no answers; inf while there are.
        self.since = inf
        self.probe_at = -inf
        self._pause_s = 0.0
        self._failures = 0  # without an answer in between

    @property
    def is_open(self) -> bool:
        """Whether only probes may be sent."""
        return self.failure is not None

    def delay(self, now: float) -> None:
        """Take in that the server asks for a delay."""
        self.since = min(self.since, now)

    def fail(self, failure: RequestFailed, now: float) -> bool:
        """Take in a request that failed as a whole. Whether the breaker opens with it."""
        self._failures += 1
        if self._failures < _FAILURES:
            return False
        opens = not self.is_open
        longest_s = LONGEST_PAUSE_S if failure.transient else LONGEST_REFUSED_PAUSE_S
        self._pause_s = FIRST_PAUSE_S if opens else min(2 * self._pause_s, longest_s)
        self.delay(now)
        self.failure, self.probe_at = failure, now + self._pause_s
        return opens

    def answer(self, asked_at: float) -> float:
        """Take in an answer. Since when the outage lasted that ends with it; inf if none does.

        An answer that was asked for before an outage closes the breaker, and does not end the outage.
        """
        self.failure, self.probe_at, self._failures = None, -inf, 0
        if asked_at < self.since:
            return inf
        since, self.since = self.since, inf
        return since

    def reset(self) -> None:
        """Forget all."""
        self.answer(inf)
