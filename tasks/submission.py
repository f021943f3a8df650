"""Submitting a job."""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from blocks.job_run import JobCredentials
from graphql_jobs import JobHandle, JobSpec


@task(name="submit job", task_run_name="submit {spec.__class__.__name__}", cache_policy=NO_CACHE, retries=0)
async def submit_job(credentials: JobCredentials, spec: JobSpec) -> JobHandle:
    """Start the job that `spec` describes and give its handle, plain JSON that any process can wait with.

    Raises `InvalidInput` before anything is sent, `RequestFailed` if surely nothing was started, and
    `SubmissionUnknown` if nobody can tell: then look before you submit again.
    """
    async with credentials.get_client() as client:
        handle = await client.submit(spec)
    get_run_logger().info("%s job %s was submitted (%s).", handle.provider, handle.job_id, handle.operation)
    return handle
