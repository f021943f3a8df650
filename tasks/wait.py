"""The tasks that wait for one job, or for any number of jobs in one task run."""

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

#: When a wait for several jobs ends: when all have ended, or with the first that does not succeed, or succeeds.
Until = Literal["all ended", "first failure", "first success"]
#: The end of one wait: the job in its terminal state, or the error that ended the wait.
Ended = Job | GraphqlJobsError
#: The same by job id.
Outcomes = dict[str, Ended]

#: Our choice: up to so many jobs each have a line in the log. Of more, only jobs that did not succeed and every tenth
#: of the way have one.
_LOGGED_ONE_BY_ONE = 20


@task(name="wait for job", task_run_name="wait for {job.job_id}", cache_policy=NO_CACHE)
async def wait_for_job(credentials: JobCredentials, job: JobHandle, policy: WaitPolicy = WaitPolicy()) -> Job:
    """The job in its terminal state. Call `require_success` to raise an error for a job that did not succeed.

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
    """The end of each job, by job id, in the order of the ends. A job that is given twice is waited for once.

    One task run and few requests serve any number of jobs. A job that missed a deadline is in the result with its
    `WaitTimedOut`. With "first failure", the wait ends with the first job that does not succeed, with "first success"
    with the first that succeeds; the other jobs are not in the result. Raises `InvalidInput` for an empty list or a
    malformed id.
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
    """Yield each job's id and its end, as soon as it ends. A job that is given twice is waited for once.

        async for job_id, ended in jobs_as_they_end(credentials, jobs):
            ...

    One task run waits for all of them. It completes when you leave the loop, also before the last job ends. Raises what
    `wait_for_jobs` raises. This is not a generator task: those of Prefect 3.8 fail if you leave the loop early.
    """
    ends: asyncio.Queue[tuple[str, Ended] | None] = asyncio.Queue()
    stopped = asyncio.Event()
    run_id = await root_run_id()
    waiting = asyncio.create_task(_put_ends(credentials, jobs, policy, ends, stopped))
    try:
        while True:
            async with cancelling_with(run_id):  # not around the caller's code, which runs at `yield`
                end = await ends.get()
            if end is None:
                break
            yield end
    finally:
        stopped.set()
        await waiting


@task(name="wait for jobs", cache_policy=NO_CACHE)
async def _put_ends(
    credentials: JobCredentials,
    jobs: Sequence[JobHandle | str],
    policy: WaitPolicy,
    ends_seen: asyncio.Queue[tuple[str, Ended] | None],
    stopped: asyncio.Event,
) -> None:
    """Put each end into `ends_seen`, and None after the last one, until `stopped`."""
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
                    ends_seen.put_nowait(end)
                else:
                    break
    finally:
        stop.cancel()
        ends_seen.put_nowait(None)


async def _ends(
    credentials: JobCredentials, jobs: Sequence[JobHandle | str], policy: WaitPolicy
) -> AsyncGenerator[tuple[str, Ended]]:
    if isinstance(jobs, str):  # a string is a sequence of strings
        raise InvalidInput("job_ids", "it is one string; give a list of ids.")
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
                if total <= _LOGGED_ONE_BY_ONE or not succeeded(ended) or number % (total // 10) == 0:
                    words = ended.describe() if isinstance(ended, Job) else str(ended)
                    logger.info("%d of %d ended: job %s: %s", number, total, handle.job_id, words)
                yield handle.job_id, ended


def succeeded(ended: Ended) -> bool:
    """Whether the wait ended with a job that succeeded."""
    return isinstance(ended, Job) and ended.state is JobState.SUCCEEDED
