"""Cancelling the jobs of one client together, and what is to be said of each."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import TypeVar

from graphql_jobs import CancelOutcome, GraphqlJobsError, Job, JobClient, JobHandle
from graphql_jobs.clock import Clock, instant
from graphql_jobs.errors import CancelRefused, JobNotFound
from tasks.flow_runs import Submission

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Our choices: how long the first layers look for a job that does not show, and how long the delays between two tries
#: are, from and to; the last layer looks until it is sure.
LOOK_S = 5.0
DELAYS_S = (1.0, 5.0)


@dataclass(frozen=True, slots=True)
class Target:
    """A job that is to be cancelled."""

    handle: JobHandle
    submission: Submission
    #: A forced job has replaced it: no other run waits for it.
    is_late: bool = False

    @property
    def submitted_at(self) -> datetime:
        """When it was submitted, as far as is known."""
        assert self.submission.record  # noqa: S101 (it named the job)
        return self.handle.submitted_at or instant(self.submission.record.at)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a job; whether that will not change any more; whether our cancel was seen to have its effect."""

    sentence: str
    is_final: bool = False
    confirmed: bool = False


class LeftAlone(Exception):
    """A job is not to be cancelled any more. The text says why."""


async def until_seen(ask: Callable[[], Awaitable[T]], clock: Clock, give_up_at: float) -> T:
    """What `ask` gives, which is called again while the provider does not show the job (guarantee 10).

    Raises `JobNotFound` once `give_up_at` has come.
    """
    delay_s, longest_s = DELAYS_S
    while True:
        try:
            return await ask()
        except JobNotFound:
            now = clock.now()
            if now >= give_up_at:
                raise
        await clock.sleep(min(delay_s, give_up_at - now))
        delay_s = min(2 * delay_s, longest_s)


def shows_at(client: JobClient, submitted_at: datetime) -> float:
    """The instant (epoch seconds) from which a job that is not to be seen is not there."""
    return min(submitted_at.timestamp(), client.session.clock.now()) + client.visibility_s


async def cancel_together(
    client: JobClient, targets: Collection[Target], before: Callable[[Target], Awaitable[None]], *, is_last: bool
) -> dict[str, Done]:
    """Cancel the jobs, and give by their ids what became of each. Raises for none of them.

    `before` is called each time that a job's cancel is about to be sent, and may raise `LeftAlone`. Jobs that the
    provider does not show are tried again: for 5 s, or, if this `is_last`, until they would have to show.
    """
    clock = client.session.clock
    give_up_at = inf if is_last else clock.now() + LOOK_S
    shown_at = {target.handle.job_id: shows_at(client, target.submitted_at) for target in targets}
    by_id = {target.handle.job_id: target for target in targets}
    left = list(by_id)
    done: dict[str, Done] = {}
    delay_s, longest_s = DELAYS_S
    while left:
        outcomes = await client.cancel_many(left, lambda job_id: before(by_id[job_id]))
        ended = await _ended(client, outcomes)
        now = clock.now()
        for job_id, outcome in outcomes.items():
            if not isinstance(outcome, JobNotFound) or now >= min(shown_at[job_id], give_up_at):
                is_sure = now >= shown_at[job_id]
                done[job_id] = _done(client, job_id, ended.get(job_id, outcome), is_last=is_last, is_sure=is_sure)
        left = [job_id for job_id in left if job_id not in done]
        if left:
            next_at = min(give_up_at, *(shown_at[job_id] for job_id in left))
            await clock.sleep(min(delay_s, next_at - now))
            delay_s = min(2 * delay_s, longest_s)
    return done


async def _ended(client: JobClient, outcomes: Mapping[str, CancelOutcome | Exception]) -> dict[str, Job]:
    """The jobs that had ended, by one read, of those that a provider without a cancel refused."""
    refused = [job_id for job_id, outcome in outcomes.items() if isinstance(outcome, CancelRefused)]
    if client.can_cancel or not refused:
        return {}
    seen = await client.check(refused)
    return {job_id: job for job_id, job in seen.items() if isinstance(job, Job) and job.state.is_terminal}


def _done(
    client: JobClient, job_id: str, outcome: CancelOutcome | Job | Exception, *, is_last: bool, is_sure: bool
) -> Done:
    what = f"{client.provider} job {job_id}"
    match outcome:
        case CancelOutcome():
            return Done(f"{what}: {outcome.message}", outcome.confirmed, outcome.confirmed)
        case Job():
            return Done(f"{what}: it had already ended: {outcome.describe()}.", True)
        case LeftAlone():
            return Done(f"{what}: {outcome}")
        case CancelRefused():
            return Done(str(outcome), is_last or not client.can_cancel)
        case JobNotFound() if is_sure:
            return Done(f"{what}: it is not there any more.", is_last)
        case JobNotFound():
            return Done(f"{what}: not to be seen yet, so it was not cancelled so far.")
    return unknown(what, outcome)


def unknown(what: str, error: Exception) -> Done:
    """What is to be said where an error got into the way."""
    if not isinstance(error, GraphqlJobsError):
        logger.error("%s could not be cancelled.", what, exc_info=error)
    why = str(error) if isinstance(error, GraphqlJobsError) else type(error).__name__
    return Done(f"{what}: it is not known whether it was cancelled: {why}")
