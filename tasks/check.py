"""The tasks that read the current status of one job, or of several."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from blocks.runs.job_run import JobCredentials
from graphql_jobs import Job
from graphql_jobs.errors import InvalidInput
from graphql_jobs.handle import Seen

# A status must not be cached. Requests are retried in the session, and nowhere else.


@task(name="check job", task_run_name="check {job_id}", cache_policy=NO_CACHE)
async def check_job(credentials: JobCredentials, job_id: str) -> Job:
    """The job in its current state. Raises `JobNotFound` or `RequestFailed`."""
    async with credentials.get_client() as client:
        [seen] = (await client.check([job_id])).values()
    if not isinstance(seen, Job):
        raise seen
    get_run_logger().info("%s job %s: %s", seen.provider, seen.job_id, seen.describe())
    return seen


@task(name="check jobs", cache_policy=NO_CACHE)
async def check_jobs(credentials: JobCredentials, job_ids: Sequence[str]) -> dict[str, Seen]:
    """The job of each id, or the error that kept it from being read. One bad id does not affect the others.

    100 jobs take one request. Raises `InvalidInput` for an empty list or a malformed id, and nothing else.
    """
    if isinstance(job_ids, str):  # a string is a sequence of strings
        raise InvalidInput("job_ids", "it is one string; give a list of ids.")
    if not job_ids:
        raise InvalidInput("job_ids", "the list is empty.")
    async with credentials.get_client() as client:
        return await client.check(job_ids)
