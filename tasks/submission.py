"""Submitting a job."""

from __future__ import annotations

from uuid import UUID

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from blocks.job_run import JobCredentials
from graphql_jobs import GraphqlJobsError, JobHandle, JobSpec


class RetryRefused(GraphqlJobsError):
    """This flow run ran before and may have submitted its job then: running it again could start, and bill, another."""

    def __init__(self, run_count: int) -> None:
        super().__init__(run_count)
        self.run_count = run_count

    def __str__(self) -> str:
        return (
            f"This is attempt {self.run_count} of this run, and an earlier one may have submitted its job, so that "
            "nothing was submitted now. If the log of the earlier attempt names a job, wait for it with the flow "
            "wait-for-jobs; to start another job, start a new run."
        )


async def require_first_attempt() -> None:
    """Raise `RetryRefused` if the flow run that this is called in ran before: a retry must not submit twice (law 2)."""
    if flow_run.id is None:
        return
    async with get_client() as client:
        run_count = (await client.read_flow_run(UUID(flow_run.id))).run_count
    if run_count > 1:
        raise RetryRefused(run_count)


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
