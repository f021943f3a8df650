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

_DIED = "the process that sent it ended before it wrote the answer down."
#: Our choice: the length to which a cause is cut.
_CAUSE_CHARACTERS = 500
#: Our choice: an entry is tried so many times if other processes write in between.
_WRITES = 100
#: Our choice: for how long an attempt that sent nothing tries to note that.
_VOID_S = 5.0


class Journal:
    """The entries of one key. `by` is the id of this attempt."""

    def __init__(self, store: Store, key: str, by: str) -> None:
        self.key = key
        self.by = by
        self._store = store

    async def read(self) -> Record:
        """All entries, added up."""
        return read_record(await self._store.read(self.key))

    async def held_by_others(self) -> set[str]:
        """The ids of jobs that submissions under other keys of this store have, now or before."""
        held: set[str] = set()
        for key, entries in (await self._store.read_all()).items():
            if key != self.key:
                try:
                    record = read_record(entries)
                except InvalidInput:  # another submission's trouble
                    continue
                held |= record.handled
        return held

    async def append(self, record: Record, entry: Entry) -> bool:
        """Write the entry and bring the record up to date. False if another wrote in between."""
        entry = {**entry, "by": self.by}
        if not await self._store.append(self.key, record.count, entry):
            return False
        record.apply(entry)
        return True

    async def note(self, record: Record, entry: Entry) -> None:
        """Write an entry that helps the next attempt. A failure to do so is logged, and does not hide the outcome."""
        try:
            await self.append(record, entry)
        except Exception:  # whatever the store raises
            logger.exception("The outcome of submission %s could not be written down.", self.key)

    async def void_own(self) -> None:
        """Note that nothing came of this attempt's last intent, if that was written.

        For an attempt that ends before it has sent a create. The entries are read again, since the write of the intent
        may have failed. If the note cannot be written, that is logged, and the outcome stays unknown.
        """
        try:
            async with asyncio.timeout(_VOID_S):
                record = await self.read()
                if record.is_open and record.by == self.by:
                    await self.append(record, {"kind": "void"})
        except Exception:  # whatever the store raises
            logger.exception("That nothing came of submission %s could not be written down.", self.key)

    async def keep(self, record: Record, handle: JobHandle) -> JobHandle:
        """Write the handle of the record's last intent, and give the handle of the job to go on with.

        If it cannot be written, that is logged and the handle is given all the same, since the job runs.
        """
        intent = record.intent
        entry = {"kind": "handle", "handle": handle.to_json(), "intent": intent}
        try:
            for _ in range(_WRITES):
                if await self.append(record, entry):
                    if intent < record.intent:
                        logger.warning("%s job %s showed late: its key was used again.", handle.provider, handle.job_id)
                    return handle
                record = await self.read()
                if record.handle and record.handle.job_id == handle.job_id:
                    return handle
                if record.handle and not record.is_replaced(handle.job_id, intent):
                    logger.warning(
                        "%s job %s is one too many: %s has the same key and was written down first. Look after it.",
                        *(handle.provider, handle.job_id, record.handle.job_id),
                    )
                    return record.handle
            logger.error("%s job %s runs, but others wrote whenever this was to.", handle.provider, handle.job_id)
        except Exception:  # whatever the store raises: the job runs, and is paid for
            logger.exception("%s job %s runs, but this could not be written down.", handle.provider, handle.job_id)
        return handle

    async def adopt(self, record: Record, owner: str) -> None:
        """Note that `owner` goes on with the job of the record, which another owner submitted.

        A failure is logged: a clean-up after `owner` then leaves the job, and says that it is another's.
        """
        try:
            for _ in range(_WRITES):
                if not owner or owner in record.holders:
                    return
                if await self.append(record, {"kind": "adopted", "owner": owner}):
                    return
                record = await self.read()
        except Exception:  # whatever the store raises
            logger.exception("That %s goes on with the job of submission %s was not written down.", owner, self.key)

    async def fail_unknown(self, record: Record, failure: BaseException | None, more: str = "") -> Never:
        """Raise `SubmissionUnknown` for the failure of a create, and write it down first for the next attempt.

        `failure` is None for the create of a process that died. `more` says why a search did not help.
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
    """The error for the record's last intent."""
    at = sent_at or instant(record.at).isoformat(timespec="seconds")
    return SubmissionUnknown(record.provider, record.operation, record.subject, at, cause)


def not_sent(client: JobClient, spec: JobSpec) -> RequestFailed:
    """The error for a job whose create could not be sent in the time of a submission."""
    limits = client.session.limits
    rate = "" if limits.requests_per_s is None else f", with requests_per_s={limits.requests_per_s:g}"
    detail = f"it was not sent within submission_s={limits.submission_s:g}{rate}. Nothing was started."
    failure = RequestFailed(client.provider, spec.operation, spec.subject, detail)
    failure.unexecuted = True
    return failure
