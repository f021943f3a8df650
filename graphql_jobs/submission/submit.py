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
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from graphql_jobs.errors import GraphqlJobsError, RequestFailed, SubmissionUnknown
from graphql_jobs.job import Job, JobState
from graphql_jobs.providers.recovery import Location, Recovery, Undecided
from graphql_jobs.submission.journal import Journal, give_up, not_sent
from graphql_jobs.submission.search import POLL_S, Search, find_again
from graphql_jobs.transport.creates import noted_creates

if TYPE_CHECKING:
    from graphql_jobs.handle import JobHandle
    from graphql_jobs.label import Label
    from graphql_jobs.providers.base import JobClient
    from graphql_jobs.spec import JobSpec
    from graphql_jobs.store import Store
    from graphql_jobs.submission.record import Record

__all__ = ["OnUnknown", "find_again", "submit_once"]

logger = logging.getLogger(__name__)

#: What to do when nobody can tell whether a job was started: fail and let a person look, or risk a second one.
OnUnknown = Literal["fail", "resubmit"]

#: Our choice: how far two machines' clocks may differ before one takes over what the other is still doing.
_SKEW_S = 10.0
#: Our choice: so many attempts may come to nothing before we stop.
_ROUNDS = 5


async def submit_once(
    client: JobClient,
    spec: JobSpec,
    store: Store,
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
    submission = _Submission(client, spec, store, label, credentials, on_unknown, wait_at_most_s)
    return await submission.run(force_resubmit)


class _Submission:
    def __init__(
        self,
        client: JobClient,
        spec: JobSpec,
        store: Store,
        label: Label,
        credentials: str,
        on_unknown: OnUnknown,
        wait_at_most_s: float,
    ) -> None:
        self.client = client
        self.spec = spec
        self.label = label
        self.credentials = credentials
        self.on_unknown = on_unknown
        self.clock = client.session.clock
        self.recovery = client.recovery(spec)
        self.journal = Journal(store, label.key, uuid4().hex)
        self.search = Search(client, label, self.journal, self.clock.now() + wait_at_most_s)
        self.asker = label.owner or self.journal.by  # whose wish for a new job is met once
        self.summary = spec.summary(label.key)
        self.seen_at: dict[int, float] = {}  # when a record of so many entries was first seen

    async def run(self, force_resubmit: bool) -> JobHandle:
        rounds = 0
        while True:
            record = await self._settled(force_resubmit)
            if record.count and not self._is_forced(record, force_resubmit):
                handle = await self._adopt(record) if record.handle else await self._resolve(record)
                if handle := handle or await self._find_late(record):
                    await self.journal.adopt(record, self.label.owner)
                    return handle
            if rounds == _ROUNDS:
                if record.surely_nothing and not record.given_up:
                    raise not_sent(self.client, self.spec)
                give_up(record, f"{_ROUNDS} attempts were made, and of none is a job known.")
            rounds += 1
            async with self.client.session.rate_limit.submission(self.client.session.limits.submission_s):
                handle, doubt = await self._begin(record, force_resubmit)
            if handle := await self._resolve(record, doubt) if doubt else handle:
                return handle

    async def _settled(self, force_resubmit: bool) -> Record:
        """The record, once nobody else can be at work on it any more."""
        delay_s = POLL_S
        while True:
            record = await self.journal.read()
            record.require_same(self.summary)
            if not record.is_open or self._lease_s(record) <= 0 or self._is_forced(record, force_resubmit):
                return record
            # Where another's job may be taken for ours, not before the time at which `_look` is sure.
            if self.recovery is Recovery.FIND and self._finds_surely(record):
                with suppress(RequestFailed, Undecided):  # whoever is at work on it may fare better
                    if found := await find_again(self.client, self.label, record):
                        await self._keep_oldest(record, found)
                        if record.handle:  # else it could not be written, or another one wrote
                            continue
            await self.clock.sleep(min(self._lease_s(record), delay_s))
            delay_s *= 2

    def _is_forced(self, record: Record, force_resubmit: bool) -> bool:
        """Whether this owner asked for a new job whatever there is, and has not had it yet."""
        return force_resubmit and bool(record.count) and self.asker not in record.forced_by

    def _lease_s(self, record: Record) -> float:
        """How long whoever wrote the last intent may still be at work."""
        if record.by == self.journal.by:
            return 0.0
        longest_s, now = self.client.session.limits.submission_s, self.clock.now()
        begun_at = min(record.at, self.seen_at.setdefault(record.count, now))  # also by a clock that is far ahead
        return begun_at + longest_s + min(_SKEW_S, longest_s) - now

    async def _adopt(self, record: Record) -> JobHandle | None:
        """The job that the record holds, unless it ended badly, or its result could not be had from here."""
        assert record.handle is not None  # noqa: S101 (the caller looked)
        if self.recovery is Recovery.REPEAT and record.by != self.journal.by:
            return None  # only the answer to the submission told where the result is, and that is a secret
        handle = self.client.handle(record.handle, "handle")
        seen = (await self.client.check([handle.job_id]))[handle.job_id]
        if isinstance(seen, Job) and seen.state in {JobState.FAILED, JobState.CANCELLED}:
            logger.info("%s job %s ended: %s. Submitting anew.", handle.provider, handle.job_id, seen.describe())
            return None
        if record.surely_cancelled and not isinstance(seen, Job):  # aiWARE lets a cancelled job vanish
            logger.info("%s job %s was cancelled, and is gone. Submitting anew.", handle.provider, handle.job_id)
            return None
        logger.info("%s job %s was submitted before: going on with it.", handle.provider, handle.job_id)
        return handle

    async def _begin(self, record: Record, force_resubmit: bool) -> tuple[JobHandle | None, BaseException | None]:
        """Write the intent and submit: the handle, or why nobody knows whether there is a job. Neither if there is
        surely no job of this, or another one was quicker.
        """
        intent, location, left_s = await self._intent(record, force_resubmit), None, 0.0
        try:
            if await self.journal.append(record, intent):
                until_at = record.at + self.client.session.limits.submission_s
                async with asyncio.timeout(self._left_s(until_at)):
                    location = await self._container(record)
                left_s = self._left_s(until_at)
        except (SubmissionUnknown, TimeoutError):  # about the container: another attempt does no harm
            await self.journal.void_own()
            return None, None
        except BaseException:  # whatever the store or the provider raises, or a cancel
            await self.journal.void_own()
            raise
        if location is None:
            return None, None
        sent_at: list[float] = []  # from here on nobody but the provider can tell whether there is a job
        try:
            with noted_creates(sent_at):
                async with asyncio.timeout(left_s):
                    handle = await self.client.submit(self.spec, self.label, location)
        except (SubmissionUnknown, TimeoutError) as doubt:
            if isinstance(doubt, SubmissionUnknown) or sent_at:
                return None, doubt
            await self.journal.void_own()
            return None, None
        except (GraphqlJobsError, asyncio.CancelledError) as failure:
            if not (isinstance(failure, asyncio.CancelledError) and sent_at):
                await self.journal.void_own()
            raise
        kept = record.repeating(handle) if self.recovery is Recovery.REPEAT else handle
        return await self.journal.keep(record, kept), None

    async def _intent(self, record: Record, force_resubmit: bool) -> dict[str, object]:
        intent: dict[str, object] = {
            "kind": "intent",
            "owner": self.label.owner,
            "provider": self.client.provider,
            "operation": self.spec.operation,
            "credentials": self.credentials,
            "key": self.label.key,
            "subject": self.spec.subject,
            "spec": self.summary,
        }
        if force_resubmit and self.asker not in record.forced_by:  # also where there is nothing to force yet
            intent |= {"forced_by": self.asker, "superseded": await self._superseded(record)}
        location = self.client.location(self.spec)
        if location is not None and self.recovery is Recovery.FIND:
            intent["before"] = await self._before(record, location)
        elif record.void:  # in the room of the intent that came to nothing, so that a job which shows late is seen
            location = record.location
        return intent | {"location": location, "at": self.clock.now()}

    def _left_s(self, until_at: float) -> float:
        """How long this submission may take from now on. Raises `TimeoutError` if its time is up.

        Other processes count the lease from the instant in the intent: so must this one, however long it took to write.
        """
        if (left_s := until_at - self.clock.now()) <= 0:
            raise TimeoutError
        return left_s

    async def _container(self, record: Record) -> Location | None:
        """Where the job is to be, made if need be. None if another one wrote in between."""
        if record.location is not None:
            return record.location
        location = await self.client.make_container(self.spec, self.label)
        container = {"kind": "container", "location": location, "at": self.clock.now()}
        return location if await self.journal.append(record, container) else None

    async def _resolve(self, record: Record, doubt: BaseException | None = None) -> JobHandle | None:
        """The job of an intent whose outcome is not known; None if there is surely none, or a second does no harm."""
        if record.surely_nothing:
            return None
        if self.recovery is Recovery.FIND:
            if handle := await self._look(record, doubt):
                return handle
        elif self.recovery is Recovery.NONE:
            if self.on_unknown == "fail":
                await self.journal.stay_unknown(record, doubt)
            logger.warning("Nobody can tell whether %s was done; sent again, as on_unknown says.", self.spec.operation)
        await self.journal.note(record, {"kind": "void", "given_up": True})
        return None

    async def _look(self, record: Record, doubt: BaseException | None) -> JobHandle | None:
        """Look until the job would surely be visible. None: it is not there."""
        try:
            found = await self.search.until_sure(
                record, self.client.visibility_s + self.clock.now() + self._lease_s(record)
            )
        except Undecided as why:
            await self.journal.stay_unknown(record, doubt, str(why))
        return await self._keep_oldest(record, found) if found else None

    async def _find_late(self, record: Record) -> JobHandle | None:
        """A job of ours that shows only after it was given up, or beside one that ended badly: by one look."""
        if self.recovery is not Recovery.FIND or record.location is None:
            return None
        by_label = self.client.finds_by_label(record.operation, record.location)
        if not (by_label or (record.void and record.given_up and self._finds_surely(record))):
            return None
        try:
            found = await self.search.look(record)
        except Undecided as why:
            await self.journal.stay_unknown(record, None, str(why))
        return await self._keep_oldest(record, found) if found else None

    async def _before(self, record: Record, location: Location) -> list[str]:
        """The ids of what is at the location and surely not ours."""
        if record.count and self.client.finds_by_label(self.spec.operation, location):
            return []  # what carries our label is ours, whenever it shows
        there = await self.client.find(self.spec.operation, location, self.label, self.clock.now())
        return [handle.job_id for handle in there]

    async def _superseded(self, record: Record) -> list[str]:
        """The jobs that a forced new one leaves behind, as far as they can be told. They are named in the log."""
        ids = [record.handle.job_id] if record.handle else []
        if self.recovery is Recovery.FIND and not record.handle and self._finds_surely(record):
            with suppress(Undecided):
                ids = [handle.job_id for handle in await find_again(self.client, self.label, record)]
        for job_id in ids:
            logger.warning(
                "%s job %s is superseded, as force_resubmit says, and was left as it is: if it still runs and nobody "
                "needs it, cancel it by its id.",
                *(self.client.provider, job_id),
            )
        return ids

    def _finds_surely(self, record: Record) -> bool:
        return self.client.finds_surely(record.operation, record.location or {})

    async def _keep_oldest(self, record: Record, found: list[JobHandle]) -> JobHandle:
        ids = [handle.job_id for handle in found]
        if len(found) > 1:
            logger.warning(
                "%s: several jobs have the key %s: %s. The oldest is adopted; look after the others.",
                *(self.client.provider, self.label.key, ", ".join(ids)),
            )
        logger.info("%s job %s was found again by its key.", self.client.provider, ids[0])
        return await self.journal.keep(record, found[0])
