"""When a wait for several jobs ends."""

from __future__ import annotations

from collections.abc import AsyncIterable

from blocks.runs.suspended_wait import Until
from graphql_jobs import GraphqlJobsError, Job, JobState
from graphql_jobs.errors import JobNotFound

#: The end of one wait: the job in its final state, or the error that ended the wait.
Ended = Job | GraphqlJobsError
#: The same by job id.
Outcomes = dict[str, Ended]


async def outcomes_until(ends: AsyncIterable[tuple[str, Ended]], until: Until) -> Outcomes:
    """Return the ends by job id, in order, up to the one that `until` names."""
    outcomes: Outcomes = {}
    async for job_id, ended in ends:
        outcomes[job_id] = ended
        if until == ("first success" if succeeded(ended) else "first failure"):
            break
    return outcomes


def succeeded(ended: Ended) -> bool:
    """Whether the wait ended with a job that succeeded."""
    return isinstance(ended, Job) and ended.state is JobState.SUCCEEDED


def is_due(when: str, ended: Outcomes) -> bool:
    """Whether the downstream deployments start: "all succeeded", "any succeeded" or "always"."""
    successes = [succeeded(how) for how in ended.values()]
    return when == "always" or (any(successes) if when == "any succeeded" else all(successes))


def with_advice(lost: JobNotFound, advice: str) -> JobNotFound:
    """The same error, with a sentence about what the user can do."""
    return JobNotFound(lost.provider, lost.job_id, f"{lost.detail} {advice}".strip())
