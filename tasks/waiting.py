"""Waiting for jobs in line, in one task run for any number of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from blocks.job_run import JobCredentials
from blocks.memory import sights_of_this_run
from graphql_jobs import GraphqlJobsError, Job, JobHandle, JobState, WaitPolicy, wait, wait_many
from graphql_jobs.errors import InvalidInput

#: When a wait for many is over: when all have ended, or with the first that did not succeed.
Until = Literal["all ended", "first failure"]
#: Each job's id with the job in its terminal state, or with why there is none to show.
Outcomes = dict[str, Job | GraphqlJobsError]


@task(name="wait for job", task_run_name="wait for {job.job_id}", cache_policy=NO_CACHE)
async def wait_for_job(credentials: JobCredentials, job: JobHandle, policy: WaitPolicy = WaitPolicy()) -> Job:
    """The job in its terminal state, good or bad: ask `require_success` whether it succeeded.

    Raises `JobNotFound` or a `WaitStopped`: `WaitTimedOut`, `ProviderLost` or `CheckRefused`.
    """
    logger = get_run_logger()
    async with credentials.get_client() as client:
        return await wait(
            client,
            client.handle(job, "job"),
            policy,
            on_change=lambda seen: logger.info("%s job %s: %s", seen.provider, seen.job_id, seen.describe()),
            sights=await sights_of_this_run(),
        )


@task(name="wait for jobs", cache_policy=NO_CACHE)
async def wait_for_jobs(
    credentials: JobCredentials,
    jobs: Sequence[JobHandle | str],
    policy: WaitPolicy = WaitPolicy(),
    until: Until = "all ended",
) -> Outcomes:
    """How each job ended, by its id; a job that is named twice is waited for once.

    With "first failure" the others are missing once a job ended otherwise than well. Raises `InvalidInput` for an
    empty list or an id that cannot be one.
    """
    if isinstance(jobs, str):  # which is a sequence of texts, too
        raise InvalidInput("job_ids", "it is one text; give a list of ids.")
    if not jobs:
        raise InvalidInput("job_ids", "the list is empty.")
    logger = get_run_logger()
    outcomes: Outcomes = {}
    async with credentials.get_client() as client:
        handles = [client.handle(job, "job_ids") for job in jobs]
        total = len({handle.job_id for handle in handles})
        logger.info("Waiting for %d %s jobs.", total, client.provider)
        async for handle, ended in wait_many(client, handles, policy, sights=await sights_of_this_run()):
            outcomes[handle.job_id] = ended
            words = ended.describe() if isinstance(ended, Job) else str(ended)
            logger.info("%d of %d ended: job %s: %s", len(outcomes), total, handle.job_id, words)
            if until == "first failure" and not succeeded(ended):
                break
    return outcomes


def succeeded(ended: Job | GraphqlJobsError) -> bool:
    """Whether a wait ended with a job that did what it was to do."""
    return isinstance(ended, Job) and ended.state is JobState.SUCCEEDED
