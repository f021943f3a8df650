"""The circuit breaker of an endpoint: during an outage, only one request at a time probes it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphql_jobs.errors import RequestFailed

#: Our choices: the intervals between probes double from the first to the longest, which is the maximum delay until the
#: end of an outage is seen. If a retry is not expected to succeed (a rejected sign-in), the longest is longer.
FIRST_INTERVAL_S = 0.5
LONGEST_INTERVAL_S = 2.5
LONGEST_REFUSED_INTERVAL_S = 60.0
#: Our choice: one failed request may be due to a job that cannot be polled. The second in a row is an outage.
_FAILURES = 2


@dataclass
class CircuitBreaker:
    """A breaker that is open during an outage. A delay by the server is also an outage, but is not probed."""

    #: The last failure of the outage; None while the breaker is closed.
    failure: RequestFailed | None = None
    #: When the answers stopped; inf while there are answers.
    since: float = inf
    probe_at: float = -inf
    _interval_s: float = 0.0
    _failures: int = 0  # without an answer in between

    def delay(self, now: float) -> None:
        """Record that the server asks for a delay."""
        self.since = min(self.since, now)

    def fail(self, failure: RequestFailed, now: float) -> bool:
        """Record a request that failed as a whole. Return whether it opens the breaker."""
        self._failures += 1
        if self._failures < _FAILURES:
            return False
        opens = self.failure is None
        longest_s = LONGEST_INTERVAL_S if failure.transient else LONGEST_REFUSED_INTERVAL_S
        self._interval_s = FIRST_INTERVAL_S if opens else min(2 * self._interval_s, longest_s)
        self.delay(now)
        self.failure, self.probe_at = failure, now + self._interval_s
        return opens

    def answer(self, asked_at: float) -> None:
        """Close the breaker. This also ends the outage, unless the request was sent before it began."""
        self.failure, self.probe_at, self._failures = None, -inf, 0
        if asked_at >= self.since:
            self.since = inf
