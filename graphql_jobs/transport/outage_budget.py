"""Trying again for as long as an outage is tolerated, as a wait does: for what comes after a job's end."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, TypeVar

from graphql_jobs.errors import RequestFailed
from graphql_jobs.transport.retry import spread_s

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from graphql_jobs.clock import Clock

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Our choice: the longest delay before the next try; a result should come soon after an outage.
_MAX_DELAY_S = 30.0

#: Our choice: an hour of outage is a bad night and not the end of a job.
OUTAGE_BUDGET_S = 3600.0


class OutageBudget:
    """How long failures are tolerated. Only time without progress counts, by a clock that nobody sets back."""

    def __init__(self, budget_s: float, clock: Clock) -> None:
        self.budget_s = budget_s
        self.clock = clock
        self._failures = 0
        self._progress_at = clock.monotonic()

    @property
    def left_s(self) -> float:
        """What is left of it, in seconds."""
        return self._progress_at + self.budget_s - self.clock.monotonic()

    def progressed(self) -> None:
        """Something new arrived: the budget counts from now."""
        self._failures = 0
        self._progress_at = self.clock.monotonic()

    async def outlast(self, call: Callable[[], Awaitable[T]], may_pass: Callable[[RequestFailed], bool]) -> T:
        """What `call` gives, called again after failures that `may_pass`, until the budget is spent."""
        while True:
            try:
                return await call()
            except RequestFailed as failure:
                # A clock that was read as a float of seconds since 1970 is exact to a microsecond.
                if self.left_s < 0.001 or not may_pass(failure):
                    raise
                delay_s = self._delay_s(failure)
                logger.warning("%s Trying again in %.0f s, for at most %.0f s.", failure, delay_s, self.left_s)
                await self.clock.sleep(delay_s)

    def _delay_s(self, failure: RequestFailed) -> float:
        """The delay that the server asked for, also beyond the budget: one more try comes after it."""
        self._failures += 1
        if failure.retry_after_s is not None:
            return failure.retry_after_s + spread_s()
        longest_s = min(2.0 ** min(self._failures, 10), _MAX_DELAY_S)
        return min(random.uniform(longest_s / 2, longest_s), self.left_s)  # noqa: S311 (spreads load, guards nothing)
