"""The tasks that fetch the result of one job, or of several."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.cache_policies import NO_CACHE

from blocks.fields import default_result_folder
from blocks.reporting.words import result_words
from blocks.runs.job_run import JobCredentials
from graphql_jobs import GraphqlJobsError, Job, JobHandle, JobState, WaitPolicy, require_success
from graphql_jobs.errors import ResultUnavailable
from graphql_jobs.providers.collecting import may_be_fetched_later
from tasks.job_task import job_task

#: Our choice: the results of more jobs would not fit into one run's parameters.
MAX_RESULTS = 20


@job_task(name="fetch result", task_run_name="fetch result of {handle.name}", cache_policy=NO_CACHE)
async def fetch_result(
    credentials: JobCredentials,
    handle: JobHandle,
    job: Job,
    folder: Path | None = None,
    policy: WaitPolicy = WaitPolicy(),
) -> dict[str, Any]:
    """Return the result of a succeeded job as plain JSON: aiWARE engine results, a project's id, an export's file.

    Files are saved in `folder`, by default one in Prefect's home. The policy's outage budget applies. Raises
    `JobFailed`, `JobCancelled`, `ResultUnavailable`.
    """
    require_success(job)
    async with credentials.get_client() as client:
        known = client.handle(handle, "handle")
        result = await client.result(known, job, folder or default_result_folder(), policy.outage_budget_s)
    get_run_logger().info("%s", result_words(job, result))
    return result


@job_task(name="fetch results", cache_policy=NO_CACHE)
async def fetch_results(
    credentials: JobCredentials, ended: Mapping[str, Job | GraphqlJobsError], policy: WaitPolicy = WaitPolicy()
) -> dict[str, dict[str, Any]]:
    """Return the results of the jobs that succeeded, by job id, or none if more than `MAX_RESULTS` succeeded.

    A result is omitted if only the run that submitted the job can fetch it, or if the account may not read it. Raises
    `ResultUnavailable` for a result that can be fetched later.
    """
    done = [how for how in ended.values() if isinstance(how, Job) and how.state is JobState.SUCCEEDED]
    if len(done) > MAX_RESULTS:
        return {}
    async with credentials.get_client() as client:

        async def one(job: Job) -> dict[str, Any]:
            try:
                return await client.result(
                    client.handle(job.job_id), job, default_result_folder(), policy.outage_budget_s
                )
            except ResultUnavailable as unavailable:
                if may_be_fetched_later(unavailable):
                    raise
                get_run_logger().warning("%s", unavailable)
                return {}

        results = await asyncio.gather(*map(one, done), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return {job.job_id: made for job, made in zip(done, results, strict=True) if isinstance(made, dict) and made}
