"""The tasks that wait for one job, or for any number of jobs in one task run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial

from prefect import get_run_logger
from prefect.cache_policies import NO_CACHE

from blocks.reporting.reporter import Reporter
from blocks.reporting.words import counted
from blocks.runs.job_run import JobCredentials
from blocks.runs.root_run import checkpoints_of_this_run, root_run_id
from blocks.runs.suspended_wait import OnFailure, Until
from graphql_jobs import GraphqlJobsError, Job, JobClient, JobHandle, WaitPolicy, wait, wait_many
from graphql_jobs.errors import InvalidInput, JobNotFound
from tasks import names
from tasks.cancelling.layers import cancelling_with, cancelling_with_the_run
from tasks.job_task import job_task
from tasks.suspending.suspend import SUSPEND_AFTER_S, Suspending
from tasks.until import Ended, Outcomes, outcomes_until, succeeded, with_advice

#: Our choice: the maximum number of jobs that are each logged, and whose start is an event. With more, the log has jobs
#: that did not succeed, and every tenth of the progress.
_LOGGED_ONE_BY_ONE = 20

_IF_LOST = (
    "A retry of this run would wait for the same job. If the job was deleted, submit it again in a new run (with "
    "force_resubmit, if the job has a key)."
)


@job_task(
    ends=lambda job: {job.job_id: job},
    name="wait for job",
    task_run_name=names.wait_for_one,
    cache_policy=NO_CACHE,
)
async def wait_for_job(
    credentials: JobCredentials,
    job: JobHandle,
    policy: WaitPolicy = WaitPolicy(),
    *,
    suspend: bool = False,
    suspend_after_s: float = SUSPEND_AFTER_S,
    on_failure: OnFailure = "resume",
) -> Job:
    """Return the job in its final state. Call `require_success` to raise an error for a job that did not succeed.

    With `suspend`, a wait that has not ended after `suspend_after_s` seconds suspends the flow run, which then holds no
    process and no slot. A watcher (`flows/watch_suspended_runs.py`) resumes the run when the job has ended: **the flow
    runs again from its top**, `submit_job` adopts the job, and the wait returns at once. A Prefect task before the wait
    runs again too, unless its result is persisted and cached. With `on_failure="fail"`, a run whose job did not succeed
    fails without a process. A run that cannot be suspended waits in its process: one without a deployment, or a wait in
    an inner flow.

    Raises `JobNotFound` or a `WaitStopped`: `WaitTimedOut`, `ProviderLost` or `CheckRefused`. If a person cancels the
    run meanwhile, the jobs that it submitted are cancelled too.
    """
    async with credentials.get_client() as client, cancelling_with_the_run():
        handle = client.handle(job, "job")
        async with Reporter([handle], await root_run_id(), may_resume=suspend) as reporter:
            waiting = partial(_wait_for_one, client, handle, reporter)
            if not suspend:
                return await waiting(policy)
            return await Suspending(credentials, [handle], policy, if_lost=_IF_LOST).wait(
                waiting, suspend_after_s, on_failure
            )


async def _wait_for_one(client: JobClient, handle: JobHandle, reporter: Reporter, policy: WaitPolicy) -> Job:
    logger = get_run_logger()

    def changed(seen: Job) -> None:
        logger.info("%s: %s", seen.name, seen.describe())
        reporter.changed(seen)

    try:
        job = await wait(client, handle, policy, on_change=changed, checkpoints=await checkpoints_of_this_run())
    except GraphqlJobsError as stopped:
        ended = with_advice(stopped, _IF_LOST) if isinstance(stopped, JobNotFound) else stopped
        reporter.ended(handle.job_id, ended)
        raise ended from None
    reporter.ended(handle.job_id, job)
    return job


@job_task(ends=lambda ended: ended, name="wait for jobs", task_run_name=names.wait_for_many, cache_policy=NO_CACHE)
async def wait_for_jobs(
    credentials: JobCredentials,
    jobs: Sequence[JobHandle | str],
    policy: WaitPolicy = WaitPolicy(),
    until: Until = "all ended",
    *,
    suspend: bool = False,
    suspend_after_s: float = SUSPEND_AFTER_S,
    on_failure: OnFailure = "resume",
) -> Outcomes:
    """Return the end of each job, by job id, in the order of the ends. A job that is listed twice is waited for once.

    One task run and few requests serve any number of jobs. A job that missed a deadline is in the result with its
    `WaitTimedOut`. With "first failure", the wait ends with the first job that does not succeed, with "first success"
    with the first that succeeds; the other jobs are not in the result. `suspend`, `suspend_after_s` and `on_failure`:
    see `wait_for_job`. Raises `InvalidInput` for an empty list or a malformed id.
    """

    async with cancelling_with_the_run(), credentials.get_client() as client:
        handles = _handles(client, jobs)
        async with Reporter(handles, await root_run_id(), may_resume=suspend) as reporter:

            async def waiting(policy: WaitPolicy) -> Outcomes:
                async with aclosing(_ends(client, handles, policy, reporter)) as ends:
                    return await outcomes_until(ends, until)

            if not suspend:
                return await waiting(policy)
            return await Suspending(credentials, handles, policy, until).wait(waiting, suspend_after_s, on_failure)


async def jobs_as_they_end(
    credentials: JobCredentials, jobs: Sequence[JobHandle | str], policy: WaitPolicy = WaitPolicy()
) -> AsyncGenerator[tuple[str, Ended]]:
    """Yield each job's id and its end, as soon as it ends. A job that is listed twice is waited for once.

        async for job_id, ended in jobs_as_they_end(credentials, jobs):
            ...

    One task run waits for all of them. It completes when you leave the loop, also before the last job ends. Raises as
    `wait_for_jobs` does. This is not a generator task: those of Prefect 3.8 fail if you leave the loop early.
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


@job_task(ends=lambda ended: ended, name="wait for jobs", task_run_name=names.wait_for_many, cache_policy=NO_CACHE)
async def _put_ends(
    credentials: JobCredentials,
    jobs: Sequence[JobHandle | str],
    policy: WaitPolicy,
    ends_seen: asyncio.Queue[tuple[str, Ended] | None],
    stopped: asyncio.Event,
) -> Outcomes:
    """Put each end into `ends_seen`, and None after the last one, until `stopped`. Return the ends."""
    stop = asyncio.create_task(stopped.wait())
    outcomes: Outcomes = {}
    try:
        async with cancelling_with_the_run(), credentials.get_client() as client:
            handles = _handles(client, jobs)
            async with (
                Reporter(handles, await root_run_id()) as reporter,
                aclosing(_ends(client, handles, policy, reporter)) as ends,
            ):
                while not stop.done():
                    coming = asyncio.ensure_future(anext(ends, None))
                    await asyncio.wait({coming, stop}, return_when=asyncio.FIRST_COMPLETED)
                    if not coming.done():
                        coming.cancel()
                        await asyncio.wait({coming})
                    elif end := coming.result():
                        outcomes[end[0]] = end[1]
                        ends_seen.put_nowait(end)
                    else:
                        break
    finally:
        stop.cancel()
        ends_seen.put_nowait(None)
    return outcomes


async def _ends(
    client: JobClient, handles: Sequence[JobHandle], policy: WaitPolicy, reporter: Reporter
) -> AsyncGenerator[tuple[str, Ended]]:
    logger = get_run_logger()
    total, number = len({handle.job_id for handle in handles}), 0
    logger.info("Waiting for %s.", counted(total, f"{client.title} job"))
    changed = reporter.changed if total <= _LOGGED_ONE_BY_ONE else None
    checkpoints = await checkpoints_of_this_run()
    async with aclosing(wait_many(client, handles, policy, on_change=changed, checkpoints=checkpoints)) as ends:
        async for handle, ended in ends:
            number += 1
            reporter.ended(handle.job_id, ended)
            if total <= _LOGGED_ONE_BY_ONE or not succeeded(ended) or number % (total // 10) == 0:
                words = f"{ended.name}: {ended.describe()}" if isinstance(ended, Job) else str(ended)
                logger.info("%d of %d ended: %s", number, total, words)
            yield handle.job_id, ended


def _handles(client: JobClient, jobs: Sequence[JobHandle | str]) -> list[JobHandle]:
    if isinstance(jobs, str):  # a string is a sequence of strings
        raise InvalidInput("job_ids", "it is one string; give a list of ids.")
    if not jobs:
        raise InvalidInput("job_ids", "the list is empty.")
    return [client.handle(job, "job_ids") for job in jobs]
