"""The rate limit that aiWARE documents: a window of 10 seconds, in which refused requests count too."""

from collections import deque

from graphql_jobs.emulator.clock import Clock

# Source: docs/providers/aiware.md#errors. The number of requests per window is not published, so it is a setting.
WINDOW_S = 10.0


class RateWindow:
    """Counts the requests of one provider's callers over the last ten seconds of the emulator's clock."""

    def __init__(self, clock: Clock, limit: int | None) -> None:
        self._clock = clock
        self._limit = limit
        self._seen_at: deque[float] = deque()

    def is_exceeded(self) -> bool:
        """Count one request. Return whether it exceeds the limit, if any."""
        if self._limit is None:
            return False
        now_at = self._clock.now()
        self._seen_at.append(now_at)
        while self._seen_at[0] <= now_at - WINDOW_S:
            self._seen_at.popleft()
        return len(self._seen_at) > self._limit
