"""Cancelling a job at its provider."""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from blocks.job_run import JobCredentials
from graphql_jobs import CancelOutcome


@task(name="cancel job", task_run_name="cancel {job_id}", cache_policy=NO_CACHE)
async def cancel_job(credentials: JobCredentials, job_id: str) -> CancelOutcome:
    """Cancel the job and read it until that shows.

    Raises `CancelRefused` where the provider would not (aiWARE, once a task runs) or cannot (Datasaur): it is left
    running there.
    """
    async with credentials.get_client() as client:
        outcome = await client.cancel(job_id)
    get_run_logger().info("Job %s: %s", job_id, outcome.message)
    return outcome
