"""What becomes of a job whose deadline has passed: left as it is, or cancelled, unless another run waits for it too."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from blocks.job_run import JobCredentials
from blocks.memory import RunMemory, root_run_id
from graphql_jobs import GraphqlJobsError, JobHandle
from graphql_jobs.errors import WaitTimedOut
from graphql_jobs.record import Record, read_record
from tasks.cancellation import cancel_job
from tasks.clean_up import note_cancelled
from tasks.owners import submissions_of, who_waits_too

logger = logging.getLogger(__name__)

#: What to do with a job whose deadline has passed.
OnTimeout = Literal["leave", "cancel"]


@dataclass(frozen=True, slots=True)
class _Kept:
    """The submission of a job in what a run remembers."""

    run_id: UUID
    key: str
    home: RunMemory
    record: Record


async def after_timeout(
    timeout: WaitTimedOut, credentials: JobCredentials, handle: JobHandle, on_timeout: OnTimeout
) -> WaitTimedOut:
    """The same error, with what became of the job."""
    if on_timeout == "leave":
        return timeout
    try:
        said = await _cancel(credentials, handle)
    except GraphqlJobsError as failure:
        said = f"It was to be cancelled: {failure}"
    return WaitTimedOut(timeout.provider, timeout.job_ids, timeout.waited_s, timeout.detail, said)


async def _cancel(credentials: JobCredentials, handle: JobHandle) -> str:
    try:
        kept = await _find(handle.job_id)
        other = await _stop_waiting(kept) if kept else None
    except Exception as error:  # whatever Prefect's client raises: a job that another may wait for is not cancelled
        why = f"it cannot be told whether another run waits for it too: {type(error).__name__}"
        return f"It was to be cancelled, and was left running, since {why}."
    if other:
        return f"It was left running, since {other}."
    outcome = await cancel_job(credentials, handle.job_id, handle.submitted_at)
    if kept and outcome.confirmed:
        await _note(kept, outcome.message)
    return f"It was cancelled: {outcome.message}"


async def _find(job_id: str) -> _Kept | None:
    """The submission of which this job came; None outside of a run, or if a person edited what it remembers."""
    run_id = await root_run_id()
    for key, home in (await submissions_of(run_id)).items() if run_id else ():
        try:
            record = read_record(await home.read(key))
        except GraphqlJobsError:  # another submission's entries, edited by hand
            continue
        if run_id and record.handle and record.handle.job_id == job_id:
            return _Kept(run_id, key, home, record)
    return None


async def _stop_waiting(kept: _Kept) -> str:
    """Leave the job to the others that wait for it, and say who that is; empty if there is none."""
    await kept.home.remove_user(kept.key, kept.run_id)  # first, so that of two that give up together one is the last
    return await who_waits_too(kept.key, kept.home, kept.run_id)


async def _note(kept: _Kept, message: str) -> None:
    """Write the cancel down, for the next attempt; that it fails must not hide what happened."""
    try:
        of = f"{kept.run_id}/deadline"
        await note_cancelled(kept.home, kept.key, kept.record, of, message, confirmed=True)
    except Exception:  # whatever Prefect's client raises
        logger.exception("That the job of key %s was cancelled could not be written down.", kept.key)
