"""What happens after a job's end: the result is tried for as long as an outage is tolerated, and told as such.

The job is done, and paid for: a failure here must not read as one of its submission.
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

#: The next answer would be the same. All else may pass, as it may for a wait whose job was seen before: a sign-in that
#: is refused, a proxy's page, a certificate.
_FOR_GOOD = (TooMuchAtOnce, RequestRefused, NotFound, NotAllowed)

AGAIN = (
    "Run this flow run again (Retry) once that is mended: it goes on with this job (an export is made again) and "
    "fetches the result."
)


async def collected(call: Callable[[], Awaitable[T]], provider: str, job_id: str, budget: OutageBudget) -> T:
    """What `call` fetches of a job that is done. Raises `ResultUnavailable`, whose message holds the cause."""
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
    """Whether the same call may succeed later, without anybody's doing."""
    cause = unavailable.__cause__
    return isinstance(cause, RequestFailed) and not isinstance(cause, _FOR_GOOD)
