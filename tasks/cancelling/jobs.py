"""Cancel several jobs of one client together, with a sentence about each for the person who cancelled."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, retry_if_result, wait_exponential

from graphql_jobs import CancelOutcome, GraphqlJobsError, Job, JobClient, JobHandle
from graphql_jobs.clock import Clock, instant
from graphql_jobs.errors import CancelRefused, JobNotFound
from graphql_jobs.titles import job_name
from tasks.flow_runs import Submission

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Our choice: how long the first two layers retry the cancel of a job that the provider does not show yet. The last
#: layer retries until the job must be visible.
EARLY_LAYER_S = 5.0
#: Our choices: the first delay between two attempts, which doubles, and the longest.
_FIRST_DELAY_S = 1.0
_LONGEST_DELAY_S = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    """A job that is to be cancelled."""

    handle: JobHandle
    submission: Submission
    #: A forced job has replaced it: no other run waits for it.
    is_late: bool = False

    @property
    def submitted_at(self) -> datetime:
        """When it was submitted, if known."""
        assert self.submission.record  # noqa: S101 (it named the job)
        return self.handle.submitted_at or instant(self.submission.record.at)


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a cancel, in a sentence."""

    sentence: str
    #: A later layer would have the same result.
    is_final: bool = False
    #: The job was seen to be cancelled.
    confirmed: bool = False
    #: The job may still run: it was not cancelled, had not ended and exists, or that is not known.
    runs_on: bool = True


class LeftAlone(Exception):
    """A job must no longer be cancelled. The text says why."""


async def until_seen(ask: Callable[[], Awaitable[T]], clock: Clock, give_up_at: float) -> T:
    """Call `ask` until the provider shows the job (guarantee 10). Raises `JobNotFound` from `give_up_at` on."""
    retrying = AsyncRetrying(
        retry=retry_if_exception_type(JobNotFound),
        wait=delays(clock, lambda: give_up_at),
        stop=lambda _: clock.now() >= give_up_at,
        sleep=clock.sleep,
        reraise=True,
    )
    answer: T = await retrying(ask)
    return answer


def delays(clock: Clock, latest_at: Callable[[], float]) -> Callable[[RetryCallState], float]:
    """Return tenacity's delays of 1, 2, 4 and then 5 s; the next attempt is not after `latest_at` (epoch seconds)."""
    growing = wait_exponential(multiplier=_FIRST_DELAY_S, max=_LONGEST_DELAY_S)
    return lambda state: max(min(growing(state), latest_at() - clock.now()), 0)


def shows_at(client: JobClient, submitted_at: datetime) -> float:
    """Return the instant (epoch seconds) at which a job must be visible if it exists."""
    return min(submitted_at.timestamp(), client.session.clock.now()) + client.visibility_s


async def cancel_together(
    client: JobClient, targets: Collection[Target], before: Callable[[Target], Awaitable[None]], *, is_last: bool
) -> dict[str, Done]:
    """Cancel the jobs and return the result for each job id. Raises nothing.

    `before` is called just before each cancel is sent, and may raise `LeftAlone`. A job that the provider does not show
    is retried: for 5 s or, if this `is_last`, until it must be visible.
    """
    clock = client.session.clock
    give_up_at = inf if is_last else clock.now() + EARLY_LAYER_S
    shown_at = {target.handle.job_id: shows_at(client, target.submitted_at) for target in targets}
    by_id = {target.handle.job_id: target for target in targets}
    done: dict[str, Done] = {}

    def left() -> list[str]:
        return [job_id for job_id in by_id if job_id not in done]

    async def attempt() -> bool:
        outcomes = await client.cancel_many(left(), lambda job_id: before(by_id[job_id]))
        ended = await _ended(client, outcomes)
        now = clock.now()
        for job_id, outcome in outcomes.items():
            if not isinstance(outcome, JobNotFound) or now >= min(shown_at[job_id], give_up_at):
                is_sure = now >= shown_at[job_id]
                done[job_id] = _done(client, job_id, ended.get(job_id, outcome), is_last=is_last, is_sure=is_sure)
        return bool(left())

    wait = delays(clock, lambda: min(give_up_at, *(shown_at[job_id] for job_id in left())))
    if by_id:
        await AsyncRetrying(retry=retry_if_result(bool), wait=wait, sleep=clock.sleep)(attempt)
    return done


async def _ended(client: JobClient, outcomes: Mapping[str, CancelOutcome | Exception]) -> dict[str, Job]:
    """Return the refused jobs that had ended, from one request, if the provider cannot cancel."""
    refused = [job_id for job_id, outcome in outcomes.items() if isinstance(outcome, CancelRefused)]
    if client.can_cancel or not refused:
        return {}
    seen = await client.check(refused)
    return {job_id: job for job_id, job in seen.items() if isinstance(job, Job) and job.state.is_terminal}


def _done(
    client: JobClient, job_id: str, outcome: CancelOutcome | Job | Exception, *, is_last: bool, is_sure: bool
) -> Done:
    what = job_name(client.provider, job_id)
    match outcome:
        case CancelOutcome():
            return Done(f"{what}: {outcome.message}", outcome.confirmed, outcome.confirmed, not outcome.confirmed)
        case Job():
            return Done(f"{what}: it had already ended: {outcome.describe()}.", True, runs_on=False)
        case LeftAlone():
            return Done(f"{what}: {outcome}")
        case CancelRefused():
            return Done(str(outcome), is_last or not client.can_cancel, runs_on=not outcome.has_ended)
        case JobNotFound() if is_sure:
            return Done(f"{what}: it no longer exists.", is_last, runs_on=False)
        case JobNotFound():
            return Done(f"{what}: the provider does not show it yet, so it is not cancelled yet.")
    return unknown(what, outcome)


def unknown(what: str, error: Exception) -> Done:
    """Return the result for an error that prevented the cancel."""
    if not isinstance(error, GraphqlJobsError):
        logger.error("%s could not be cancelled.", what, exc_info=error)
    why = str(error) if isinstance(error, GraphqlJobsError) else type(error).__name__
    return Done(f"{what}: it is not known whether it was cancelled: {why}")
