"""Collecting what a job made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from blocks.job_run import JobCredentials
from blocks.settings import default_result_folder
from graphql_jobs import Job, JobHandle, WaitPolicy, require_success


@task(name="fetch result", task_run_name="fetch result of {handle.job_id}", cache_policy=NO_CACHE)
async def fetch_result(
    credentials: JobCredentials,
    handle: JobHandle,
    job: Job,
    folder: Path | None = None,
    policy: WaitPolicy = WaitPolicy(),
) -> dict[str, Any]:
    """What a succeeded job made, as plain JSON: an aiWARE job's engine results, a new project's id, an export's file.

    Files go into `folder`, by default one in Prefect's home. An outage is tolerated as by a wait with that `policy`.
    Raises `JobFailed`, `JobCancelled`, `ResultUnavailable`.
    """
    require_success(job)
    async with credentials.get_client() as client:
        known = client.handle(handle, "handle")
        result = await client.result(known, job, folder or default_result_folder(), policy.outage_budget_s)
    get_run_logger().info("Job %s made: %s", handle.job_id, ", ".join(result) or "nothing to fetch")
    return result
