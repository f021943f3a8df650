"""Waiting for jobs in line, in one task run for any number of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Literal

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from blocks.runs.job_run import JobCredentials
from blocks.runs.root_run import checkpoints_of_this_run, root_run_id
from graphql_jobs import GraphqlJobsError, Job, JobHandle, JobState, WaitPolicy, wait, wait_many
from graphql_jobs.errors import InvalidInput
from tasks.cancelling.layers import cancelling_with, cancelling_with_the_run

#: When a wait for many is over: when all have ended, or with the first that did not succeed, or did.
Until = Literal["all ended", "first failure", "first success"]
#: How the wait for one job ended: the job in its terminal state, or why there is none to show.
Ended = Job | GraphqlJobsError
#: The same by the jobs' ids.
Outcomes = dict[str, Ended]

#: Our choice: of so many jobs each end is worth a line in the run's log; of more, only what did not succeed, and every
#: tenth part of the way.
_TOLD_ONE_BY_ONE = 20


@task(name="wait for job", task_run_name="wait for {job.job_id}", cache_policy=NO_CACHE)
async def wait_for_job(credentials: JobCredentials, job: JobHandle, policy: WaitPolicy = WaitPolicy()) -> Job:
    """The job in its terminal state, good or bad: ask `require_success` whether it succeeded.

    Raises `JobNotFound` or a `WaitStopped`: `WaitTimedOut`, `ProviderLost` or `CheckRefused`. If a person cancels the
    run meanwhile, the jobs that it submitted are cancelled too.
    """
    logger = get_run_logger()
    async with credentials.get_client() as client, cancelling_with_the_run():
        return await wait(
            client,
            client.handle(job, "job"),
            policy,
            on_change=lambda seen: logger.info("%s job %s: %s", seen.provider, seen.job_id, seen.describe()),
            checkpoints=await checkpoints_of_this_run(),
        )


@task(name="wait for jobs", cache_policy=NO_CACHE)
async def wait_for_jobs(
    credentials: JobCredentials,
    jobs: Sequence[JobHandle | str],
    policy: WaitPolicy = WaitPolicy(),
    until: Until = "all ended",
) -> Outcomes:
    """How each job ended, by its id, in the order of the ends; a job that is named twice is waited for once.

    One task run, and few requests, for any number of jobs. A job that took too long is among the outcomes with
    `WaitTimedOut`, beside those that ended. With "first failure" the others are missing once a job ended otherwise
    than well, with "first success" once one ended well. Raises `InvalidInput` for an empty list or an id that cannot
    be one.
    """
    outcomes: Outcomes = {}
    async with cancelling_with_the_run(), aclosing(_ends(credentials, jobs, policy)) as ends:
        async for job_id, ended in ends:
            outcomes[job_id] = ended
            if until == ("first success" if succeeded(ended) else "first failure"):
                break
    return outcomes


async def jobs_as_they_end(
    credentials: JobCredentials, jobs: Sequence[JobHandle | str], policy: WaitPolicy = WaitPolicy()
) -> AsyncGenerator[tuple[str, Ended]]:
    """Each job's id with how it ended, as soon as it has; a job that is named twice is waited for once.

        async for job_id, ended in jobs_as_they_end(credentials, jobs):
            ...

    One task run for all of them, which completes when the loop is left, also before the last end. Raises what
    `wait_for_jobs` raises. No generator task: those of Prefect 3.8 fail when the loop is left early.
    """
    ends: asyncio.Queue[tuple[str, Ended] | None] = asyncio.Queue()
    stopped = asyncio.Event()
    run_id = await root_run_id()
    telling = asyncio.create_task(_tell(credentials, jobs, policy, ends, stopped))
    try:
        while True:
            async with cancelling_with(run_id):  # not around the caller's code, which runs at `yield`
                end = await ends.get()
            if end is None:
                break
            yield end
    finally:
        stopped.set()
        await telling


@task(name="wait for jobs", cache_policy=NO_CACHE)
async def _tell(
    credentials: JobCredentials,
    jobs: Sequence[JobHandle | str],
    policy: WaitPolicy,
    told: asyncio.Queue[tuple[str, Ended] | None],
    stopped: asyncio.Event,
) -> None:
    """Put each end into `told`, and None after the last one, until `stopped`."""
    stop = asyncio.create_task(stopped.wait())
    try:
        async with cancelling_with_the_run(), aclosing(_ends(credentials, jobs, policy)) as ends:
            while not stop.done():
                coming = asyncio.ensure_future(anext(ends, None))
                await asyncio.wait({coming, stop}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    coming.cancel()
                    await asyncio.wait({coming})
                elif end := coming.result():
                    told.put_nowait(end)
                else:
                    break
    finally:
        stop.cancel()
        told.put_nowait(None)


async def _ends(
    credentials: JobCredentials, jobs: Sequence[JobHandle | str], policy: WaitPolicy
) -> AsyncGenerator[tuple[str, Ended]]:
    if isinstance(jobs, str):  # which is a sequence of texts, too
        raise InvalidInput("job_ids", "it is one text; give a list of ids.")
    if not jobs:
        raise InvalidInput("job_ids", "the list is empty.")
    logger = get_run_logger()
    async with credentials.get_client() as client:
        handles = [client.handle(job, "job_ids") for job in jobs]
        total, number = len({handle.job_id for handle in handles}), 0
        logger.info("Waiting for %d %s jobs.", total, client.provider)
        async with aclosing(wait_many(client, handles, policy, checkpoints=await checkpoints_of_this_run())) as ends:
            async for handle, ended in ends:
                number += 1
                if total <= _TOLD_ONE_BY_ONE or not succeeded(ended) or number % (total // 10) == 0:
                    words = ended.describe() if isinstance(ended, Job) else str(ended)
                    logger.info("%d of %d ended: job %s: %s", number, total, handle.job_id, words)
                yield handle.job_id, ended


def succeeded(ended: Ended) -> bool:
    """Whether a wait ended with a job that did what it was to do."""
    return isinstance(ended, Job) and ended.state is JobState.SUCCEEDED
