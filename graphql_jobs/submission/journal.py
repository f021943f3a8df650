"""The entries of one submission, as one process reads and writes them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Never

from graphql_jobs.clock import instant
from graphql_jobs.errors import InvalidInput, RequestFailed, SubmissionUnknown
from graphql_jobs.submission.record import Record, read_record

if TYPE_CHECKING:
    from graphql_jobs.handle import JobHandle
    from graphql_jobs.providers.base import JobClient
    from graphql_jobs.spec import JobSpec
    from graphql_jobs.store import Entry, Store

logger = logging.getLogger(__name__)

_DIED = "the process that sent it ended before it recorded the answer."
#: Our choice: the length to which a cause is cut.
_CAUSE_CHARACTERS = 500
#: Our choice: the maximum number of attempts to write an entry while other processes write.
_WRITES = 100
#: Our choice: the time limit for recording that an attempt sent nothing.
_VOID_S = 5.0


class Journal:
    """The entries of one key. `by` is the id of this attempt."""

    def __init__(self, store: Store, key: str, by: str) -> None:
        self.key = key
        self.by = by
        self._store = store

    async def read(self) -> Record:
        """Return the record of all entries."""
        return read_record(await self._store.read(self.key))

    async def held_by_others(self) -> set[str]:
        """Return the ids of all jobs, current or earlier, of submissions under other keys of this store."""
        held: set[str] = set()
        for key, entries in (await self._store.read_all()).items():
            if key != self.key:
                try:
                    record = read_record(entries)
                except InvalidInput:  # this concerns the other submission only
                    continue
                held |= record.handled
        return held

    async def append(self, record: Record, entry: Entry) -> bool:
        """Write the entry and update the record. Return False if another process wrote first."""
        entry = {**entry, "by": self.by}
        if not await self._store.append(self.key, record.count, entry):
            return False
        record.apply(entry)
        return True

    async def note(self, record: Record, entry: Entry) -> None:
        """Write an entry that helps the next attempt. A failure is logged and does not hide the outcome."""
        try:
            await self.append(record, entry)
        except Exception:  # any error of the store
            logger.exception("The outcome of submission %s could not be recorded.", self.key)

    async def void_own(self) -> None:
        """Record that this attempt's last intent, if it was written, created nothing.

        Call this if an attempt ends before it sends a create. The entries are read again, since the write of the intent
        may have failed. If the entry cannot be written, that is logged, and the outcome stays unknown.
        """
        try:
            async with asyncio.timeout(_VOID_S):
                record = await self.read()
                if record.is_open and record.by == self.by:
                    await self.append(record, {"kind": "void"})
        except Exception:  # any error of the store
            logger.exception("It could not be recorded that submission %s created nothing.", self.key)

    async def keep(self, record: Record, handle: JobHandle) -> JobHandle:
        """Write the handle of the record's last intent, and return the handle of the job to continue with.

        If it cannot be written, that is logged, and the handle is still returned, since the job runs.
        """
        intent = record.intent
        entry = {"kind": "handle", "handle": handle.to_json(), "intent": intent}
        try:
            for _ in range(_WRITES):
                if await self.append(record, entry):
                    if intent < record.intent:
                        logger.warning("%s became visible late: its key was reused.", handle.name)
                    return handle
                record = await self.read()
                if record.handle and record.handle.job_id == handle.job_id:
                    return handle
                if record.handle and not record.is_replaced(handle.job_id, intent):
                    logger.warning(
                        "%s is a duplicate: %s has the same key and was recorded first. Cancel the duplicate.",
                        *(handle.name, record.handle.job_id),
                    )
                    return record.handle
            logger.error("%s runs, but other processes kept it from being recorded.", handle.name)
        except Exception:  # any error of the store: the job runs and is paid for
            logger.exception("%s runs, but could not be recorded.", handle.name)
        return handle

    async def adopt(self, record: Record, owner: str) -> None:
        """Record that `owner` continues with the job of the record, which another owner submitted.

        A failure is logged: a clean-up after `owner` then leaves the job running as another owner's.
        """
        try:
            for _ in range(_WRITES):
                if not owner or owner in record.holders:
                    return
                if await self.append(record, {"kind": "adopted", "owner": owner}):
                    return
                record = await self.read()
        except Exception:  # any error of the store
            logger.exception("It could not be recorded that %s continues with submission %s.", owner, self.key)

    async def fail_unknown(self, record: Record, failure: BaseException | None, more: str = "") -> Never:
        """Raise `SubmissionUnknown` for the failure of a create, after recording it for the next attempt.

        `failure` is None for the create of a process that was killed. `more` says why a search did not help.
        """
        sent_at, cause = instant(record.at).isoformat(timespec="seconds"), _DIED
        if record.unknown:
            sent_at, cause = record.unknown["sent_at"], record.unknown["cause"]
        elif isinstance(failure, SubmissionUnknown):
            sent_at, cause = failure.sent_at, failure.cause
        elif failure:
            cause = "it took too long."
        cause = f"{cause} {more}".strip() if more not in cause else cause
        if not record.unknown:
            await self.note(record, {"kind": "unknown", "sent_at": sent_at, "cause": cause[:_CAUSE_CHARACTERS]})
        raise submission_unknown(record, cause, sent_at)


def submission_unknown(record: Record, cause: str, sent_at: str | None = None) -> SubmissionUnknown:
    """Return the error for the record's last intent."""
    at = sent_at or instant(record.at).isoformat(timespec="seconds")
    return SubmissionUnknown(record.provider, record.operation, record.subject, at, cause)


def not_sent(client: JobClient, spec: JobSpec) -> RequestFailed:
    """Return the error for a job whose create could not be sent in the time of a submission."""
    limits = client.session.limits
    rate = "" if limits.requests_per_s is None else f", with requests_per_s={limits.requests_per_s:g}"
    detail = f"it was not sent within submission_s={limits.submission_s:g}{rate}. Nothing was started."
    failure = RequestFailed(client.provider, spec.operation, spec.subject, detail)
    failure.unexecuted = True
    return failure
