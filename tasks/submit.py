"""The task that submits a job, once."""

from __future__ import annotations

from math import inf

from prefect import get_run_logger
from prefect.cache_policies import NO_CACHE

from blocks.runs.job_run import JobCredentials
from blocks.runs.submit import submit_from_here, was_submitted_before
from graphql_jobs import JobHandle, JobSpec, OnUnknown
from tasks import names
from tasks.cancelling.layers import cancelling_with_the_run
from tasks.job_task import job_task


@job_task(name="submit job", task_run_name=names.submission, cache_policy=NO_CACHE, retries=0)
async def submit_job(
    credentials: JobCredentials,
    spec: JobSpec,
    key: str | None = None,
    on_unknown: OnUnknown = "fail",
    force_resubmit: bool = False,
    wait_at_most_s: float = inf,
) -> JobHandle:
    """Submit the job that `spec` describes, or adopt the job of an earlier attempt of this run or of the same `key`.

    Returns the job's handle: plain JSON with which any process can wait. A job that failed or was cancelled is not
    adopted, except by a run that was suspended and is resumed. Raises `InvalidInput` before anything is sent,
    `RequestFailed` if surely no job was started, and `SubmissionUnknown` if that is unknown; with
    `on_unknown="resubmit"` the job is sent again instead, at the risk of a second one. A person's cancel of the run
    cancels the job.
    """
    async with credentials.get_client() as client, cancelling_with_the_run():
        began_at = client.session.clock.now()
        handle = await submit_from_here(
            credentials,
            client,
            spec,
            key=key,
            on_unknown=on_unknown,
            force_resubmit=force_resubmit,
            wait_at_most_s=wait_at_most_s,
        )
    words = "Continuing with" if was_submitted_before(handle, began_at) else "Submitted"
    get_run_logger().info("%s %s (%s).", words, handle.name, handle.operation)
    return handle
