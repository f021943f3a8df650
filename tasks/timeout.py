"""`on_timeout`: leave a job that missed a deadline running, or cancel it unless another run waits for it."""

from __future__ import annotations

import logging
from functools import partial
from uuid import UUID

from blocks.reporting.events import Change, tell
from blocks.runs.job_run import JobCredentials
from blocks.runs.root_run import root_run_id
from graphql_jobs import GraphqlJobsError, JobHandle
from graphql_jobs.errors import WaitTimedOut
from tasks.cancel import cancel_job
from tasks.cancelling.clean_up import note_cancelled
from tasks.cancelling.jobs import LeftAlone
from tasks.flow_runs import Submission, submissions_of, who_waits_too
from tasks.parameters import OnTimeout

logger = logging.getLogger(__name__)


async def after_timeout(
    timeout: WaitTimedOut, credentials: JobCredentials, handle: JobHandle, on_timeout: OnTimeout
) -> WaitTimedOut:
    """Return the error with a sentence about what happened to the job."""
    run_id = await root_run_id()
    change: Change = "left-running"
    if on_timeout == "leave":
        tell(change, handle, run_id, timeout)
        return timeout
    try:
        said, is_cancelled = await _cancel(credentials, handle, run_id)
        if is_cancelled:
            change = "cancelled"
    except GraphqlJobsError as failure:
        said = f"It was to be cancelled: {failure}"
    tell(change, handle, run_id, why=said)
    return WaitTimedOut(timeout.provider, timeout.job_ids, timeout.waited_s, timeout.detail, said)


async def _cancel(credentials: JobCredentials, handle: JobHandle, run_id: UUID | None) -> tuple[str, bool]:
    """Return what was done, and whether the job was read again and no longer runs."""
    try:
        kept = await _find(run_id, handle.job_id) if run_id else None
        if run_id and kept:  # before the check, so that one of two runs that time out together cancels
            await kept.store.remove_user(kept.key, run_id)
    except (
        Exception
    ) as error:  # any error of Prefect's client: another run may wait for the job, so it is not cancelled
        return _untold(error), False
    before = partial(_require_alone, run_id, kept) if run_id and kept else None
    try:
        outcome = await cancel_job(credentials, handle.job_id, handle.submitted_at, before)
    except LeftAlone as left:
        return f"It was {left}", False
    if kept and outcome.confirmed:
        await _note(f"{run_id}/deadline", kept, outcome.message)
    return f"It was cancelled: {outcome.message}", outcome.confirmed


def _untold(error: Exception) -> str:
    why = f"it is unknown whether another run waits for it too: {type(error).__name__}"
    return f"It was to be cancelled, and was left running, since {why}."


async def _require_alone(run_id: UUID, kept: Submission, job_id: str) -> None:
    """Raise `LeftAlone` if another run waits for the job. Called just before its cancel is sent."""
    try:
        other = await who_waits_too(kept, run_id)
    except Exception as error:  # as above
        raise LeftAlone(_untold(error).removeprefix("It was ")) from None
    if other:
        raise LeftAlone(f"left running, since {other}.")


async def _find(run_id: UUID, job_id: str) -> Submission | None:
    """Return the submission of this job, or None if a person edited the run's entries."""
    for submission in await submissions_of(run_id):
        handle = submission.record.handle if submission.record else None
        if handle and handle.job_id == job_id:
            return submission
    return None


async def _note(of: str, kept: Submission, message: str) -> None:
    """Record the cancel for the next attempt. An error here must not hide the timeout."""
    try:
        await note_cancelled(kept, of, message, confirmed=True)
    except Exception:  # any error of Prefect's client
        logger.exception("The cancel of the job of key %s could not be recorded.", kept.key)
