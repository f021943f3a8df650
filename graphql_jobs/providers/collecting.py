"""Fetch the result of a job that has ended, with retries for as long as an outage is tolerated.

The job is done and paid for, so a failure here must not look like a failure of its submission.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from graphql_jobs.errors import (
    NotAllowed,
    NotFound,
    RequestFailed,
    RequestRefused,
    ResultUnavailable,
    TooMuchAtOnce,
)
from graphql_jobs.transport.part_file import FileProblem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from graphql_jobs.transport.retry import OutageBudget

T = TypeVar("T")

#: The next answer would be the same. Other failures may end, as in a wait whose job was seen before: a sign-in that
#: is refused, a proxy's error page, a bad certificate.
_FOR_GOOD = (TooMuchAtOnce, RequestRefused, NotFound, NotAllowed)

AGAIN = (
    "Retry this flow run once that is corrected: it continues with this job (an export is repeated) and "
    "fetches the result."
)


async def collected(call: Callable[[], Awaitable[T]], provider: str, job_id: str, budget: OutageBudget) -> T:
    """Return the result that `call` fetches. Raises `ResultUnavailable`, whose message has the cause."""
    try:
        return await budget.outlast(call, lambda failure: not isinstance(failure, _FOR_GOOD))
    except RequestFailed as failure:
        tried = f" Tried for {budget.budget_s:.0f} s." if budget.budget_s and not isinstance(failure, _FOR_GOOD) else ""
        raise ResultUnavailable(
            provider, job_id, f"the job is done, but its result could not be fetched: {failure}{tried} {AGAIN}"
        ) from failure
    except FileProblem as problem:
        raise ResultUnavailable(
            provider, job_id, f"the job is done, but its file could not be stored: {problem} {AGAIN}"
        ) from problem


def may_be_fetched_later(unavailable: ResultUnavailable) -> bool:
    """Whether the same call may succeed later, without a correction."""
    cause = unavailable.__cause__
    return isinstance(cause, RequestFailed) and not isinstance(cause, _FOR_GOOD)
