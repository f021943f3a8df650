"""Submit once: one job per key, whatever dies, is retried or runs twice.

The intent is written down before anything is sent, our label goes where the provider keeps it, and after any doubt the
provider is asked before anything is sent again. What no provider lets anyone find out ends as `SubmissionUnknown`.
The promises and their limits: docs/reliability.md.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Literal, Never
from uuid import uuid4

from graphql_jobs.clock import instant
from graphql_jobs.errors import GraphqlJobsError, RequestFailed, SubmissionUnknown, some
from graphql_jobs.job import Job, JobState
from graphql_jobs.provider import Recovery
from graphql_jobs.record import Record, read_record

if TYPE_CHECKING:
    from graphql_jobs.job import JobHandle
    from graphql_jobs.label import Label
    from graphql_jobs.memory import Entry, Memory
    from graphql_jobs.provider import JobClient
    from graphql_jobs.spec import JobSpec

logger = logging.getLogger(__name__)

#: What to do when nobody can tell whether a job was started: fail and let a person look, or risk a second one.
OnUnknown = Literal["fail", "resubmit"]

#: Our choice: how far two machines' clocks may differ before one takes over what the other is still doing.
_SKEW_S = 10.0
#: Our choice: the first pause between two looks, at a provider or at another's work; each further one is twice as long.
_POLL_S = 0.2
_DIED = "the process that sent it ended before it wrote the answer down."
#: Our choice: so much of a cause is kept.
_CAUSE_CHARACTERS = 500
#: Our choices: so many attempts may come to nothing, and so many others may write just before us, before we stop.
_ROUNDS = 5
_WRITES = 100


async def submit_once(
    client: JobClient,
    spec: JobSpec,
    memory: Memory,
    label: Label,
    *,
    credentials: str = "",
    on_unknown: OnUnknown = "fail",
    force_resubmit: bool = False,
    wait_at_most_s: float = inf,
) -> JobHandle:
    """The one job of `label.key`: submitted now, or the one that an earlier attempt or another process submitted.

    A job that failed or was cancelled is not adopted again: then a new one is submitted. `force_resubmit` submits a
    new one in any case, once per owner. `credentials` is the name under which a clean-up finds the credentials.
    `wait_at_most_s` bounds the search for a job that may not be visible yet.

    Raises `InvalidInput` if the key was used for another spec, `RequestFailed` if surely nothing was started, and
    `SubmissionUnknown` if nobody can tell.
    """
    submission = _Submission(client, spec, memory, label, credentials, on_unknown, wait_at_most_s)
    return await submission.run(force_resubmit)


async def find_again(client: JobClient, label: Label, record: Record) -> list[JobHandle]:
    """The jobs that came of the record's last intent, oldest first, by one look at the provider."""
    if record.place is None:
        return []
    found = await client.find(record.operation, record.place, label, record.at)
    return [handle for handle in found if handle.job_id not in record.before]


class _Submission:
    def __init__(
        self,
        client: JobClient,
        spec: JobSpec,
        memory: Memory,
        label: Label,
        credentials: str,
        on_unknown: OnUnknown,
        wait_at_most_s: float,
    ) -> None:
        self.client = client
        self.spec = spec
        self.memory = memory
        self.label = label
        self.credentials = credentials
        self.on_unknown = on_unknown
        self.clock = client.session.clock
        self.give_up_at = self.clock.now() + wait_at_most_s
        self.recovery = client.recovery(spec)
        self.by = uuid4().hex
        self.asker = label.owner or self.by  # whose wish for a new job is met once
        self.summary = spec.summary(label.key)
        self.seen_at: dict[int, float] = {}  # when a record of so many entries was first seen

    async def run(self, force_resubmit: bool) -> JobHandle:
        rounds = 0
        while True:
            record = await self._settled(force_resubmit)
            if record.count and not self._is_forced(record, force_resubmit):
                handle = await self._adopt(record) if record.handle else await self._resolve(record)
                if handle:
                    return handle
            if rounds == _ROUNDS:
                self._give_up(record, f"{_ROUNDS} attempts at it came to nothing.")
            rounds += 1
            if handle := await self._begin(record, force_resubmit):
                return handle

    async def _settled(self, force_resubmit: bool) -> Record:
        """The record, once nobody else can be at work on it any more."""
        delay_s = _POLL_S
        while True:
            record = await self._read()
            if not record.is_open or self._lease_s(record) <= 0 or self._is_forced(record, force_resubmit):
                return record
            if self.recovery is Recovery.FIND:
                with suppress(RequestFailed):  # whoever is at work on it may fare better
                    if found := await find_again(self.client, self.label, record):
                        await self._keep_oldest(record, found)
                        continue
            await self.clock.sleep(min(self._lease_s(record), delay_s))
            delay_s *= 2

    async def _read(self) -> Record:
        record = read_record(await self.memory.read(self.label.key))
        record.require_same(self.summary)
        return record

    def _is_forced(self, record: Record, force_resubmit: bool) -> bool:
        """Whether this owner asked for a new job whatever there is, and has not had it yet."""
        return force_resubmit and bool(record.count) and self.asker not in record.forced_by

    def _lease_s(self, record: Record) -> float:
        """How long whoever wrote the last intent may still be at work."""
        if record.by == self.by:
            return 0.0
        longest_s, now = self.client.session.limits.submission_s, self.clock.now()
        begun_at = min(record.at, self.seen_at.setdefault(record.count, now))  # also by a clock that is far ahead
        return begun_at + longest_s + min(_SKEW_S, longest_s) - now

    async def _adopt(self, record: Record) -> JobHandle | None:
        """The job that the record holds, unless it ended badly, or its result could not be had from here."""
        assert record.handle is not None  # noqa: S101 (the caller looked)
        if self.recovery is Recovery.REPEAT and record.by != self.by:
            return None  # only the answer to the submission told where the result is, and that is a secret
        handle = self.client.handle(record.handle, "handle")
        seen = (await self.client.check([handle.job_id]))[handle.job_id]
        if isinstance(seen, Job) and seen.state in {JobState.FAILED, JobState.CANCELLED}:
            logger.info("%s job %s ended: %s. Submitting anew.", handle.provider, handle.job_id, seen.describe())
            return None
        logger.info("%s job %s was submitted before: going on with it.", handle.provider, handle.job_id)
        return handle

    async def _begin(self, record: Record, force_resubmit: bool) -> JobHandle | None:
        """Write the intent and submit. None if somebody else was quicker, or if there is surely no job of this."""
        intent: dict[str, object] = {
            "kind": "intent",
            "by": self.by,
            "owner": self.label.owner,
            "provider": self.client.provider,
            "operation": self.spec.operation,
            "credentials": self.credentials,
            "key": self.label.key,
            "subject": self.spec.subject,
            "spec": self.summary,
        }
        if force_resubmit and self.asker not in record.forced_by:  # also where there is nothing to force yet
            intent["forced_by"] = self.asker
        place = self.client.place(self.spec)
        if place is not None and self.recovery is Recovery.FIND:
            there = await self.client.find(self.spec.operation, place, self.label, self.clock.now())
            intent["before"] = [handle.job_id for handle in there]
        elif record.void:  # in the room of the intent that came to nothing, so that a job which shows late is seen
            place = record.place
        intent["place"] = place
        intent["at"] = self.clock.now()
        if not await self._append(record, intent):
            return None
        try:
            async with asyncio.timeout(self.client.session.limits.submission_s):
                if place is None:
                    place = await self.client.make_room(self.spec, self.label)
                    if not await self._append(record, {"kind": "room", "place": place, "at": self.clock.now()}):
                        return None
                handle = await self.client.submit(self.spec, self.label, place)
        except (SubmissionUnknown, TimeoutError) as doubt:
            return await self._resolve(record, doubt)
        except GraphqlJobsError:
            await self._note(record, {"kind": "void"})
            raise
        return await self._keep(record, record.repeating(handle) if self.recovery is Recovery.REPEAT else handle)

    async def _resolve(self, record: Record, doubt: BaseException | None = None) -> JobHandle | None:
        """The job of an intent whose outcome is not known; None if there is surely none, or a second does no harm."""
        if record.surely_nothing:
            return None
        if self.recovery is Recovery.FIND:
            if handle := await self._look(record, doubt):
                return handle
        elif self.recovery is Recovery.NONE:
            if self.on_unknown == "fail":
                await self._stay_unknown(record, doubt)
            logger.warning("Nobody can tell whether %s was done; sent again, as on_unknown says.", self.spec.operation)
        await self._note(record, {"kind": "void"})
        return None

    async def _look(self, record: Record, doubt: BaseException | None) -> JobHandle | None:
        """Look until the job would surely be visible. None: it is not there."""
        sure_at = self.client.visibility_s + self.clock.now() + self._lease_s(record)
        delay_s = _POLL_S
        while not (found := await self._found(record, doubt)):
            now = self.clock.now()
            if now >= sure_at:
                return None
            if now >= self.give_up_at:
                hidden = f"It is not to be seen, and may stay hidden {sure_at - now:.0f} s more: longer than this wait."
                await self._stay_unknown(record, doubt, hidden)
            await self.clock.sleep(min(delay_s, sure_at - now, max(self.give_up_at - now, 0)))
            delay_s *= 2
        return await self._keep_oldest(record, found)

    async def _found(self, record: Record, doubt: BaseException | None = None) -> list[JobHandle]:
        try:
            return await find_again(self.client, self.label, record)
        except RequestFailed as failure:
            await self._stay_unknown(record, doubt, f"It could not be looked up: {failure}")

    async def _keep_oldest(self, record: Record, found: list[JobHandle]) -> JobHandle:
        ids = [handle.job_id for handle in found]
        if len(found) > 1:
            if not self.client.finds_surely(record.operation, record.place or {}):
                await self._stay_unknown(record, None, f"{some(ids)} may be it, and nothing tells which.")
            logger.warning(
                "%s: several jobs have the key %s: %s. The oldest is adopted; look after the others.",
                *(self.client.provider, self.label.key, ", ".join(ids)),
            )
        logger.info("%s job %s was found again by its key.", self.client.provider, ids[0])
        return await self._keep(record, found[0])

    async def _keep(self, record: Record, handle: JobHandle) -> JobHandle:
        """Write the handle down. A job that runs is worth more than its note: if that fails, go on."""
        plain = handle.without_secrets().to_json()
        try:
            for _ in range(_WRITES):
                if await self._append(record, {"kind": "handle", "handle": plain}):
                    return handle
                record = read_record(await self.memory.read(self.label.key))
                if record.handle and record.handle.job_id == handle.job_id:
                    return handle
                if record.handle:
                    logger.warning(
                        "%s job %s is one too many: %s has the same key and was written down first. Look after it.",
                        *(handle.provider, handle.job_id, record.handle.job_id),
                    )
                    return record.handle
            logger.error("%s job %s runs, but others wrote whenever this was to.", handle.provider, handle.job_id)
        except Exception:  # whatever the store raises: the job runs, and is paid for
            logger.exception("%s job %s runs, but this could not be written down.", handle.provider, handle.job_id)
        return handle

    async def _stay_unknown(self, record: Record, doubt: BaseException | None, more: str = "") -> Never:
        """Raise `SubmissionUnknown`, and write it down first, so that the next attempt says the same."""
        sent_at, cause = instant(record.at).isoformat(timespec="seconds"), _DIED
        if record.unknown:
            sent_at, cause = record.unknown["sent_at"], record.unknown["cause"]
        elif isinstance(doubt, SubmissionUnknown):
            sent_at, cause = doubt.sent_at, doubt.cause
        elif doubt:
            cause = "it took too long."
        cause = f"{cause} {more}".strip() if more not in cause else cause
        if not record.unknown:
            await self._note(record, {"kind": "unknown", "sent_at": sent_at, "cause": cause[:_CAUSE_CHARACTERS]})
        self._give_up(record, cause, sent_at)

    def _give_up(self, record: Record, cause: str, sent_at: str | None = None) -> Never:
        at = sent_at or instant(record.at).isoformat(timespec="seconds")
        raise SubmissionUnknown(self.client.provider, self.spec.operation, self.spec.subject, at, cause)

    async def _note(self, record: Record, entry: Entry) -> None:
        """Write what helps the next attempt; that it fails must not hide what happened."""
        try:
            await self._append(record, entry)
        except Exception:  # whatever the store raises
            logger.exception("The outcome of submission %s could not be written down.", self.label.key)

    async def _append(self, record: Record, entry: Entry) -> bool:
        """Write the entry and bring the record up to date. False if another wrote in between."""
        entry = {**entry, "by": self.by}
        if not await self.memory.append(self.label.key, record.count, entry):
            return False
        record.apply(entry)
        return True
