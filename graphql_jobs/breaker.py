"""When to ask an endpoint again that gives no answers: one request at a time, at growing distances. Pure."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphql_jobs.errors import RequestFailed

#: Our choices: pauses between two probes double from the first to the longest. The longest is what an end is seen late
#: by after an outage; where asking again is not expected to help (a rejected sign-in), it is longer.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 2.5
LONGEST_REFUSED_PAUSE_S = 60.0
#: Our choice: one request that fails may hold a job that cannot be asked for; the second in a row makes an outage.
_FAILURES = 2


class Breaker:
    """Open during an outage of an endpoint. Instants are the clock's monotonic ones."""

    def __init__(self) -> None:
        self.failure: RequestFailed | None = None
        self.since = 0.0
        self.probe_at = -inf
        self._pause_s = 0.0
        self._failures = 0  # without an answer in between

    @property
    def is_open(self) -> bool:
        """Whether there is an outage."""
        return self.failure is not None

    def fail(self, failure: RequestFailed, now: float) -> bool:
        """Take in a request that failed as a whole. Whether an outage begins with it."""
        self._failures += 1
        if self._failures < _FAILURES:
            return False
        is_first = not self.is_open
        if is_first:
            self.since, self._pause_s = now, FIRST_PAUSE_S
        else:
            longest_s = LONGEST_PAUSE_S if failure.transient else LONGEST_REFUSED_PAUSE_S
            self._pause_s = min(2 * self._pause_s, longest_s)
        self.failure, self.probe_at = failure, now + self._pause_s
        return is_first

    def close(self) -> None:
        """The endpoint answers."""
        self.failure, self.probe_at, self._failures = None, -inf, 0
