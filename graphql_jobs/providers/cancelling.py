"""Cancel several jobs at once: one request for each, then joint polls until the cancels take effect."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Protocol

from graphql_jobs import errors
from graphql_jobs.handle import CancelOutcome
from graphql_jobs.job import Job, JobState
from graphql_jobs.many import each

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from graphql_jobs.handle import Seen
    from graphql_jobs.transport.session import Before, Session

#: Our choices: the number of polls after accepted cancels, and the seconds between them.
_POLLS = 10
_DELAY_S = 1.0


class CancelClient(Protocol):
    """The part of a client that a cancel uses: see `JobClient`."""

    provider: ClassVar[str]
    title: ClassVar[str]
    session: Session

    async def send_cancel(self, job_id: str, before: Before | None) -> errors.RequestFailed | None: ...
    async def check(self, job_ids: Sequence[str]) -> dict[str, Seen]: ...


async def cancel_many(
    client: CancelClient, job_ids: Sequence[str], before: Callable[[str], Awaitable[None]] | None
) -> dict[str, CancelOutcome | Exception]:
    """Implement `JobClient.cancel_many`."""
    answers = await each(job_ids, lambda job_id: _send(client, job_id, partial(before, job_id) if before else None))
    outcomes: dict[str, CancelOutcome | Exception] = {}
    refusals: dict[str, errors.RequestFailed | None] = {}
    for job_id, answer in answers.items():
        if isinstance(answer, Exception):
            outcomes[job_id] = answer
        else:
            refusals[job_id] = answer[0]
    pending = list(refusals)
    for number in range(1, _POLLS + 1):
        if not pending:
            break
        if number > 1:
            await client.session.clock.sleep(_DELAY_S)
        seen = await client.check(pending)
        judge = partial(_outcome, client, is_last=number == _POLLS)
        outcomes |= {one: outcome for one in pending if (outcome := judge(one, refusals[one], seen[one]))}
        pending = [job_id for job_id in pending if job_id not in outcomes]
    return {job_id: outcomes[job_id] for job_id in answers}


async def _send(client: CancelClient, job_id: str, before: Before | None) -> tuple[errors.RequestFailed | None]:
    """Send the cancel. Return None if it was accepted, else the refusal, in a tuple since both are answers."""
    try:
        return (await client.send_cancel(job_id, before),)
    except errors.RequestFailed as failure:
        if failure.transient or isinstance(failure, errors.SignInFailed | errors.NotAllowed | errors.BadEndpoint):
            raise
        return (failure,)


def _outcome(
    client: CancelClient, job_id: str, refusal: errors.RequestFailed | None, seen: Seen, *, is_last: bool
) -> CancelOutcome | Exception | None:
    """Return the outcome of the cancel by a poll after it, or None if it may still take effect."""
    if isinstance(seen, errors.JobNotFound) and not refusal:
        return CancelOutcome(job_id, True, "cancelled, and deleted since.")
    if not isinstance(seen, Job):
        return seen
    if seen.state is JobState.CANCELLED:
        return CancelOutcome(job_id, True, f"cancelled (status {seen.raw_status!r}).", seen)
    if seen.state.is_terminal:
        return errors.CancelRefused(client.provider, job_id, f"it had already ended: {seen.describe()}.", True)
    if not refusal and not is_last:
        return None
    if isinstance(refusal, errors.BadReply):
        return refusal  # it is not known whether it was cancelled
    words = f"refused by the provider ({refusal.detail})" if refusal else "accepted, but without effect so far"
    detail = f"the cancel was {words}; left running at {client.title}: {seen.describe()}."
    return errors.CancelRefused(client.provider, job_id, detail)
