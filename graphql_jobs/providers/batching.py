"""How many jobs one request asks for: learned from what the server takes."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from graphql_jobs.errors import (
    BadEndpoint,
    NotAllowed,
    NotFound,
    OperationFailed,
    RateLimited,
    RequestRefused,
    ServerFailed,
    SignInFailed,
    TimedOut,
    TooMuchAtOnce,
    Unreachable,
)

if TYPE_CHECKING:
    from graphql_jobs.errors import RequestFailed

logger = logging.getLogger(__name__)

#: Our choice: a full batch that was answered lets the next be larger by this share of the client's maximum.
_GROWTH_SHARE = 0.1
#: Our choice: after so many full batches, a size that was refused before is tried again.
_BATCHES_UNTIL_RETRIAL = 100

# No other request would fare better.
ENDPOINT_WIDE = (Unreachable, RateLimited, SignInFailed, NotAllowed, BadEndpoint)
# A smaller request may pass.
MAY_BE_TOO_MUCH = (TooMuchAtOnce, TimedOut)
# Nothing may pass; or a smaller request, or all but one.
MAY_BE_AN_OUTAGE = (ServerFailed, TimedOut)
# All may pass but one.
MAY_BE_A_MEMBER = (TooMuchAtOnce, RequestRefused, NotFound, OperationFailed)
#: Our choice: with halves, one job that is never answered would hold up a hundred others for seven time-outs.
PARTS_OF_TIMED_OUT = 10
MAY_PASS_IN_PARTS = (*MAY_BE_AN_OUTAGE, *MAY_BE_A_MEMBER)


class BatchSize:
    """The learned size of a session's batches, in jobs: halved by a refusal, grown again slowly by success.

    It grows towards the size that was refused last in ever smaller steps and does not reach it until many batches have
    passed, so that a server with a fixed limit is not asked in vain over and over. Each client has its own maximum.
    """

    def __init__(self) -> None:
        self._size = math.inf  # nothing was refused yet: as large as each client allows
        self._refused_size = math.inf
        self._full_batches = 0
        self._warned_size = math.inf

    def at_most(self, max_batch: int) -> int:
        """The size for a client whose own maximum is `max_batch`."""
        return max(1, int(min(self._size, max_batch)))

    def shrink(self, asked: int, reason: RequestFailed) -> None:
        """`asked` jobs were too many for one request. Batches that were on their way at once count as one."""
        self._full_batches = 0
        self._refused_size = min(self._refused_size, asked)
        size = max(1, asked // 2)
        if size >= self._size:
            return
        self._size = size
        is_news = size <= self._warned_size / 2  # else it is the limit of before, found again or more exactly
        self._warned_size = size if is_news else self._warned_size
        level = logging.WARNING if is_news else logging.INFO
        logger.log(level, "Asking for %d jobs at once from now on, since %d were too many: %s", size, asked, reason)

    def grow(self, max_batch: int) -> None:
        """A full batch was answered."""
        if self._size >= max_batch:
            return
        self._full_batches += 1
        if self._full_batches > _BATCHES_UNTIL_RETRIAL:
            self._refused_size, self._full_batches = math.inf, 0
        before = self.at_most(max_batch)
        step = max(1, int(max_batch * _GROWTH_SHARE))
        room = min(self._refused_size - self._size, 2 * step)
        self._size = min(self._size + room // 2, max_batch)
        if (size := self.at_most(max_batch)) > before:
            logger.debug("Asking for %d jobs at once from now on.", size)

    def learned(self) -> tuple[float, float]:
        """What to give to `unlearn`."""
        return self._size, self._refused_size

    def unlearn(self, learned: tuple[float, float]) -> None:
        """Back to what was known before: a job that is too much by itself was to blame, and not the number of them."""
        self._size, self._refused_size = learned
