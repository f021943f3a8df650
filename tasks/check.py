"""The tasks that read the current status of one job, or of several."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import get_run_logger
from prefect.cache_policies import NO_CACHE

from blocks.runs.job_run import JobCredentials
from graphql_jobs import Job
from graphql_jobs.errors import InvalidInput
from graphql_jobs.handle import Seen
from tasks.job_task import job_task

# A status must not be cached. Only the session retries requests.


@job_task(name="check job", task_run_name="check {job_id}", cache_policy=NO_CACHE)
async def check_job(credentials: JobCredentials, job_id: str) -> Job:
    """Return the job in its current state. Raises `JobNotFound` or `RequestFailed`."""
    async with credentials.get_client() as client:
        [seen] = (await client.check([job_id])).values()
    if not isinstance(seen, Job):
        raise seen
    get_run_logger().info("%s: %s", seen.name, seen.describe())
    return seen


@job_task(name="check jobs", cache_policy=NO_CACHE)
async def check_jobs(credentials: JobCredentials, job_ids: Sequence[str]) -> dict[str, Seen]:
    """Return the job of each id, or the error of its poll. One bad id does not affect the others.

    100 jobs need one request. Raises only `InvalidInput`, for an empty list or a malformed id.
    """
    if isinstance(job_ids, str):  # a string is a sequence of strings
        raise InvalidInput("job_ids", "it is one string; give a list of ids.")
    if not job_ids:
        raise InvalidInput("job_ids", "the list is empty.")
    async with credentials.get_client() as client:
        return await client.check(job_ids)
