"""The task that cancels one job at its provider."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from prefect import get_run_logger
from prefect.cache_policies import NO_CACHE

from blocks.runs.job_run import JobCredentials
from graphql_jobs import CancelOutcome
from graphql_jobs.titles import job_name
from tasks.cancelling.jobs import LeftAlone, shows_at, until_seen
from tasks.job_task import job_task


@job_task(left=(LeftAlone,), name="cancel job", task_run_name="cancel job {job_id}", cache_policy=NO_CACHE)
async def cancel_job(
    credentials: JobCredentials,
    job_id: str,
    submitted_at: datetime | None = None,
    before: Callable[[str], Awaitable[None]] | None = None,
) -> CancelOutcome:
    """Cancel the job, and poll it until the provider shows that it is cancelled.

    With `submitted_at` (see `JobHandle`), the cancel of a job that the provider does not show yet is retried until the
    job must be visible. `before` is called with the id just before each cancel is sent, and may raise. Raises
    `CancelRefused` if the provider refuses (aiWARE, once a task runs) or has no cancel (Datasaur): the job continues.
    """
    async with credentials.get_client() as client:
        give_up_at = shows_at(client, submitted_at) if submitted_at else 0.0

        async def ask_for_it() -> CancelOutcome:
            [outcome] = (await client.cancel_many([job_id], before)).values()
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        outcome = await until_seen(ask_for_it, client.session.clock, give_up_at)
    get_run_logger().info("%s: %s", job_name(client.provider, job_id), outcome.message)
    return outcome
