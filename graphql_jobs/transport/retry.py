"""Sending one request again: when, how often, how long. Polling a job is another thing (`waiting`)."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential
from tenacity.wait import wait_base

from graphql_jobs.errors import OperationFailed, RequestFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from graphql_jobs.clock import Clock

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Our choice: those who were told to come back at the same instant come back within this span.
_SPREAD_S = 1.0
#: Our choices: the upper bounds of the first pause and of all. A poll should be back soon after an outage.
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 4.0


async def retried(
    call: Callable[[], Awaitable[T]],
    predicate: Callable[[BaseException], bool],
    attempts: int,
    budget_s: float,
    clock: Clock,
) -> T:
    """Up to `attempts` attempts for errors that `predicate` accepts; no pause is begun that would end after `budget_s`.

    The first attempt is made without tenacity, which costs as much as the rest of a request that succeeds
    (docs/benchmarks.md); after that a fresh `AsyncRetrying`, since a shared one gives a call another call's exception.
    """
    give_up_at = clock.monotonic() + budget_s
    try:
        return await call()
    except Exception as failure:
        if not predicate(failure):
            raise
        first = [failure]

    async def attempt() -> T:
        if first:
            raise first.pop()
        return await call()

    def stop(state: RetryCallState) -> bool:
        return state.attempt_number >= attempts or clock.monotonic() + state.upcoming_sleep > give_up_at

    retrying = AsyncRetrying(
        retry=retry_if_exception(predicate),
        wait=_RetryAfter(),
        stop=stop,
        sleep=clock.sleep,
        before_sleep=_log_retry,
        reraise=True,
    )
    return await retrying(attempt)


def is_transient(error: BaseException) -> bool:
    """Asking again at once may help: enough for a read. An error of the operation itself is left for the next look."""
    return isinstance(error, RequestFailed) and error.transient and not isinstance(error, OperationFailed)


def surely_undone(error: BaseException) -> bool:
    """Sending again may help, and nothing can have happened yet: what a create needs (guarantee 2)."""
    return isinstance(error, RequestFailed) and error.transient and error.unexecuted


def spread_s() -> float:
    """A random addition to a wait that many share."""
    return random.uniform(0, _SPREAD_S)  # noqa: S311 (spreads load, guards nothing)


class _RetryAfter(wait_base):
    """The wait that the server asked for, spread a little, else exponential with full jitter."""

    def __init__(self) -> None:
        self._fallback = wait_random_exponential(multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S)

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked_s = getattr(error, "retry_after_s", None)
        return self._fallback(retry_state) if asked_s is None else float(asked_s) + spread_s()


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    logger.warning("Attempt %d: %s Trying again in %.1f s.", state.attempt_number, error, state.upcoming_sleep)
