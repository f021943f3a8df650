"""Retries of calls after transient failures: which failures, after what delay, for how long.

Polling a job is separate (`waiting`).
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exception, wait_random_exponential

from graphql_jobs.errors import OperationFailed, RequestFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from graphql_jobs.clock import Clock
    from graphql_jobs.transport.limits import Limits

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Our choices for one request: the maximum of the first delay and of all. A poll should succeed soon after an
#: outage.
_FIRST_DELAY_S = 0.5
_MAX_DELAY_S = 4.0
#: Our choices for an outage: the limits of the delay between attempts. A result should arrive soon after an outage.
_MIN_OUTAGE_DELAY_S = 2.0
_MAX_OUTAGE_DELAY_S = 30.0
#: Our choice: the time over which clients with the same `Retry-After` are spread.
_SPREAD_S = 1.0
#: Our choice: an outage of an hour does not end a job.
OUTAGE_BUDGET_S = 3600.0
#: Epoch seconds as a float are exact to a microsecond.
_ROUNDING_S = 0.001


async def retried(
    call: Callable[[], Awaitable[T]], predicate: Callable[[BaseException], bool], limits: Limits, clock: Clock
) -> T:
    """Return the result of `call`, which is repeated after errors that `predicate` accepts.

    `call` is made up to `limits.attempts` times, and no delay starts that would end after `limits.budget_s`. The delay
    is random and grows; the server's `Retry-After` is added to it. Raises the last error.
    """
    give_up_at = clock.monotonic() + limits.budget_s

    def stop(state: RetryCallState) -> bool:
        return state.attempt_number >= limits.attempts or clock.monotonic() + state.upcoming_sleep > give_up_at

    backoff = wait_random_exponential(multiplier=_FIRST_DELAY_S, max=_MAX_DELAY_S)
    return await _repeated(call, predicate, wait_exception(_asked_s) + backoff, stop, clock)


def is_transient(error: BaseException) -> bool:
    """Whether a read may succeed when it is sent again. After an error of the operation, only the next poll retries."""
    return isinstance(error, RequestFailed) and error.transient and not isinstance(error, OperationFailed)


def surely_undone(error: BaseException) -> bool:
    """Whether a create may be sent again: a retry may succeed, and nothing was executed (guarantee 2)."""
    return isinstance(error, RequestFailed) and error.transient and error.unexecuted


def spread_s() -> float:
    """Return a random addition to a delay that many clients share, so they do not return at once."""
    return random.uniform(0, _SPREAD_S)  # noqa: S311 (spreads load, guards nothing)


class OutageBudget:
    """How long failures are tolerated after a job's end. Only time without progress counts.

    `budget_s` is measured with the monotonic clock. With 0, the first failure is final.
    """

    def __init__(self, budget_s: float, clock: Clock) -> None:
        self.budget_s = budget_s
        self.clock = clock
        self._progress_at = clock.monotonic()

    @property
    def left_s(self) -> float:
        """Return the remaining seconds."""
        return self._progress_at + self.budget_s - self.clock.monotonic()

    def progressed(self) -> None:
        """Restart the budget, since new data arrived."""
        self._progress_at = self.clock.monotonic()

    async def outlast(self, call: Callable[[], Awaitable[T]], may_pass: Callable[[RequestFailed], bool]) -> T:
        """Return the result of `call`, which is repeated after failures that `may_pass`, until the budget is spent.

        The last attempt is made when the budget ends, or after the server's `Retry-After`, even if that ends later.
        """

        def predicate(error: BaseException) -> bool:
            return isinstance(error, RequestFailed) and may_pass(error)

        def wait(state: RetryCallState) -> float:
            """Return about the time since the last progress, so the delay grows with the outage."""
            asked_s = wait_exception(_asked_s)(state)
            idle_s = min(max(self.budget_s - self.left_s, _MIN_OUTAGE_DELAY_S), _MAX_OUTAGE_DELAY_S)
            jittered_s = random.uniform(idle_s / 2, idle_s)  # noqa: S311 (spreads load, guards nothing)
            return asked_s + spread_s() if asked_s else min(jittered_s, self.left_s)

        return await _repeated(call, predicate, wait, lambda state: self.left_s < _ROUNDING_S, self.clock)


def _asked_s(error: BaseException) -> float:
    """Return the server's `Retry-After` delay, or 0 if it sent none."""
    return getattr(error, "retry_after_s", None) or 0.0


async def _repeated(
    call: Callable[[], Awaitable[T]],
    predicate: Callable[[BaseException], bool],
    wait: Callable[[RetryCallState], float],
    stop: Callable[[RetryCallState], bool],
    clock: Clock,
) -> T:
    async def attempt() -> T:  # tenacity awaits only a coroutine function
        return await call()

    # One per call: a shared one mixes the exceptions of calls.
    retrying = AsyncRetrying(
        retry=retry_if_exception(predicate),
        wait=wait,
        stop=stop,
        sleep=clock.sleep,
        before_sleep=_log_retry,
        reraise=True,
    )
    return await retrying(attempt)


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    logger.warning("Attempt %d: %s Retrying in %.1f s.", state.attempt_number, error, state.upcoming_sleep)
