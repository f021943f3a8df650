"""Collecting what a job made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from blocks.job_run import JobCredentials
from blocks.settings import default_result_folder
from graphql_jobs import Job, JobHandle, require_success


@task(name="fetch result", task_run_name="fetch result of {handle.job_id}", cache_policy=NO_CACHE)
async def fetch_result(
    credentials: JobCredentials, handle: JobHandle, job: Job, folder: Path | None = None
) -> dict[str, Any]:
    """What a succeeded job made, as plain JSON: an aiWARE job's engine results, a new project's id, an export's file.

    Files go into `folder`, by default one in Prefect's home. Raises `JobFailed`, `JobCancelled`, `ResultUnavailable`.
    """
    require_success(job)
    async with credentials.get_client() as client:
        result = await client.result(client.handle(handle, "handle"), job, folder or default_result_folder())
    get_run_logger().info("Job %s made: %s", handle.job_id, ", ".join(result) or "nothing to fetch")
    return result
