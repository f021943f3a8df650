"""Cancelling aiWARE jobs: one request for each, and then all are read together until the cancels show."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from graphql_jobs import errors
from graphql_jobs.handle import CancelOutcome
from graphql_jobs.job import Job, JobState
from graphql_jobs.many import each
from graphql_jobs.parsing import text_or_none
from graphql_jobs.providers.aiware import documents, reader

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from graphql_jobs.handle import Seen
    from graphql_jobs.providers.base import JobClient

#: Our choice: how often, and how many seconds apart, jobs are read after their cancel was accepted.
_READS = 10
_DELAY_S = 1.0


async def cancel_many(
    client: JobClient, job_ids: Sequence[str], before: Callable[[str], Awaitable[None]] | None = None
) -> dict[str, CancelOutcome | Exception]:
    """As `JobClient.cancel_many`. aiWARE refuses once a task runs (KB 4164): `CancelRefused`."""
    asked = await each(list(dict.fromkeys(job_ids)), partial(_ask, client, before))
    outcomes: dict[str, CancelOutcome | Exception] = {}
    refusals: dict[str, errors.RequestFailed | None] = {}
    for job_id, answer in asked.items():
        if isinstance(answer, Exception):
            outcomes[job_id] = answer
        else:
            refusals[job_id] = answer[0]
    left = list(refusals)
    for number in range(1, _READS + 1):
        if not left:
            break
        if number > 1:
            await client.session.clock.sleep(_DELAY_S)
        seen = await client.check(left)
        outcomes |= {
            job_id: outcome
            for job_id in left
            if (outcome := _judged(job_id, refusals[job_id], seen[job_id], is_last=number == _READS))
        }
        left = [job_id for job_id in left if job_id not in outcomes]
    return {job_id: outcomes[job_id] for job_id in asked}


async def _ask(
    client: JobClient, before: Callable[[str], Awaitable[None]] | None, job_id: str
) -> tuple[errors.RequestFailed | None]:
    """Send the cancel. Gives None if it was accepted, else the refusal: in a tuple, since both are answers.

    A cancel may be sent any number of times, so it is sent like a read.
    """
    try:
        reply = await client.session.read(
            documents.CANCEL_JOB, {"id": job_id}, f"job {job_id}", partial(before, job_id) if before else None
        )
    except errors.RequestFailed as failure:
        if failure.transient or isinstance(failure, errors.SignInFailed | errors.NotAllowed | errors.BadEndpoint):
            raise
        return (failure,)
    told = reply.data.get("cancelJob")
    if isinstance(told, dict) and text_or_none(told, "id"):
        return (None,)  # an error that names no field, or a part of the answer, does not take it back
    odd = client.session.bad_answer("cancelJob", f"job {job_id}", "the answer does not say that it was cancelled.")
    return (reply.error_at("cancelJob") or odd,)


def _judged(
    job_id: str, refusal: errors.RequestFailed | None, seen: Seen, *, is_last: bool
) -> CancelOutcome | Exception | None:
    """What came of the cancel, by a read after it; None if it may still show."""
    if isinstance(seen, errors.JobNotFound) and not refusal:
        return CancelOutcome(job_id, True, "cancelled, and gone since.")
    if not isinstance(seen, Job):
        return seen
    if seen.state is JobState.CANCELLED:
        return CancelOutcome(job_id, True, f"cancelled (status {seen.raw_status!r}).", seen)
    if seen.state.is_terminal:
        return errors.CancelRefused(reader.PROVIDER, job_id, f"it had already ended: {seen.describe()}.")
    if not refusal and not is_last:
        return None
    if isinstance(refusal, errors.BadReply):
        return refusal  # nobody knows whether it was cancelled
    words = f"refused by the provider ({refusal.detail})" if refusal else "accepted, but without effect so far"
    detail = f"the cancel was {words}; left running at aiWARE: {seen.describe()}."
    return errors.CancelRefused(reader.PROVIDER, job_id, detail)
