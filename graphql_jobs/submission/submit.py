"""Submit once: one job per key, even if a process is killed, retried or run twice (docs/explanation/guarantees.md, 2).

1. `_settled` reads the record of the key and waits for a process that may still be submitting (its lease).
2. If the record has a job, `_adopt` continues with it. If its outcome is unknown, `_resolve` searches for its job.
3. Otherwise `_begin` writes the intent, creates the container if the job needs one, and submits.
4. If the answer is lost, `_resolve` decides: search (`submission/search.py`), repeat, or `SubmissionUnknown`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import InitVar, dataclass
from math import inf
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from graphql_jobs.errors import GraphqlJobsError, SubmissionUnknown
from graphql_jobs.job import Job, JobState
from graphql_jobs.providers.recovery import Recovery
from graphql_jobs.submission.journal import Journal, not_sent, submission_unknown
from graphql_jobs.submission.search import FIRST_DELAY_S, Search
from graphql_jobs.transport.creates import noted_creates

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from graphql_jobs.handle import JobHandle
    from graphql_jobs.label import Label
    from graphql_jobs.providers.base import JobClient
    from graphql_jobs.providers.recovery import Location
    from graphql_jobs.spec import JobSpec
    from graphql_jobs.store import Entry, Store
    from graphql_jobs.submission.record import Record

logger = logging.getLogger(__name__)

#: What to do if it is not known whether a job was started: fail and let a person decide, or risk a second job.
OnUnknown = Literal["fail", "resubmit"]

#: Our choice: the tolerated difference between two machines' clocks. With a larger one, a takeover is too early.
_CLOCK_SKEW_S = 10.0
#: Our choice: the number of fruitless attempts before the submission fails.
_ATTEMPTS = 5


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
    adopt_failed: Callable[[], Awaitable[bool]] | None = None,
    has_result: Callable[[JobHandle], bool] | None = None,
) -> JobHandle:
    """Return the one job of `label.key`: submitted now, or already by an earlier attempt or another process.

    If that job failed or was cancelled, a new one is submitted, unless `adopt_failed`, which is called in this case
    only, returns True. `force_resubmit` submits a new one in any case, once per owner. `credentials` is the name under
    which a clean-up finds the credentials. `wait_at_most_s` bounds the search for a job that may not be visible yet.
    A job whose result only the process that submitted it can fetch, such as an export, is submitted again, unless
    `has_result` says that the result is stored.

    Raises `InvalidInput` if the key was used for another spec, `RequestFailed` if nothing was started, and
    `SubmissionUnknown` if that is not known.
    """
    submission = _Submission(
        client, spec, store, label, credentials, on_unknown, force_resubmit, wait_at_most_s, adopt_failed, has_result
    )
    return await submission.run()


@dataclass
class _Submission:
    """One attempt of one process. The arguments are those of `submit_once`."""

    client: JobClient
    spec: JobSpec
    store: InitVar[Store]
    label: Label
    credentials: str
    on_unknown: OnUnknown
    force_resubmit: bool
    wait_at_most_s: InitVar[float]
    adopt_failed: Callable[[], Awaitable[bool]] | None
    has_result: Callable[[JobHandle], bool] | None

    def __post_init__(self, store: Store, wait_at_most_s: float) -> None:
        self.session, self.clock = self.client.session, self.client.session.clock
        self.longest_s = self.session.limits.submission_s
        self.recovery = self.client.recovery(self.spec)
        self.journal = Journal(store, self.label.key, uuid4().hex)
        give_up_at = self.clock.now() + wait_at_most_s
        self.search = Search(self.client, self.label, self.journal, self.recovery, give_up_at)
        self.requester = self.label.owner or self.journal.by  # gets one new job by `force_resubmit`
        self.summary = self.spec.summary(self.label.key)
        self.seen_at: dict[int, float] = {}  # when a record was first read, by its number of entries

    async def run(self) -> JobHandle:
        attempts = 0
        while True:
            record = await self._settled()
            if record.count and not self._is_forced(record):
                handle = await (self._adopt(record) if record.handle else self._resolve(record))
                if handle := handle or await self.search.late(record):
                    await self.journal.adopt(record, self.label.owner)
                    return handle
            if attempts == _ATTEMPTS:
                if record.has_no_job and not record.given_up:
                    raise not_sent(self.client, self.spec)
                raise submission_unknown(record, f"{_ATTEMPTS} attempts were made, and none has a known job.")
            attempts += 1
            async with self.session.rate_limit.submission(self.longest_s):
                handle, unknown = await self._begin(record)
            if handle := await self._resolve(record, unknown) if unknown else handle:
                return handle

    async def _settled(self) -> Record:
        """Return the record once no other process can still be submitting its last intent."""
        delay_s = FIRST_DELAY_S
        while True:
            record = await self.journal.read()
            record.require_same(self.summary)
            if not record.is_open or self._lease_s(record) <= 0 or self._is_forced(record):
                return record
            if await self.search.early(record):
                continue
            await self.clock.sleep(min(self._lease_s(record), delay_s))
            delay_s *= 2

    def _is_forced(self, record: Record) -> bool:
        """Whether this owner requested a new job by `force_resubmit` and does not have it yet."""
        return self.force_resubmit and bool(record.count) and self.requester not in record.forced_by

    def _lease_s(self, record: Record) -> float:
        """Return for how many seconds the process that wrote the last intent may still be submitting."""
        if record.by == self.journal.by:
            return 0.0
        now = self.clock.now()
        begun_at = min(record.at, self.seen_at.setdefault(record.count, now))  # also if its clock is far ahead
        return begun_at + self.longest_s + min(_CLOCK_SKEW_S, self.longest_s) - now

    async def _adopt(self, record: Record) -> JobHandle | None:
        """Return the job of the record, or None if it failed, was cancelled or this process cannot get its result."""
        assert record.handle is not None  # noqa: S101 (checked by the caller)
        handle = self.client.handle(record.handle, "handle")
        has_result = record.by == self.journal.by or bool(self.has_result and self.has_result(handle))
        if self.recovery is Recovery.REPEAT and not has_result:
            return None  # the result's address was only in the answer to the submission, and is a secret
        seen = (await self.client.check([handle.job_id]))[handle.job_id]
        if isinstance(seen, Job) and seen.state in {JobState.FAILED, JobState.CANCELLED}:
            if self.adopt_failed and await self.adopt_failed():
                return handle
            logger.info("%s ended: %s. Submitting a new one.", handle.name, seen.describe())
            return None
        if record.cancel_confirmed and not isinstance(seen, Job):  # aiWARE deletes cancelled jobs
            logger.info("%s was cancelled and deleted. Submitting a new one.", handle.name)
            return None
        logger.debug("%s was submitted before: continuing with it.", handle.name)
        return handle

    async def _begin(self, record: Record) -> tuple[JobHandle | None, BaseException | None]:
        """Write the intent and submit. Return the handle, or the error after which it is not known if there is a job.

        Return neither if nothing was started or another process wrote first.
        """
        intent = await self._intent(record)
        try:
            location, left_s = await self._prepare(record, intent)
        except (SubmissionUnknown, TimeoutError):  # for the container: a second one does no harm
            await self.journal.void_own()
            return None, None
        except BaseException:  # any error of the store or the provider, or a cancel
            await self.journal.void_own()
            raise
        return await self._send(record, location, left_s) if location is not None else (None, None)

    async def _send(
        self, record: Record, location: Location, left_s: float
    ) -> tuple[JobHandle | None, BaseException | None]:
        sent_at: list[float] = []  # once this is filled, only the provider knows whether there is a job
        try:
            with noted_creates(sent_at):
                async with asyncio.timeout(left_s):
                    handle = await self.client.submit(self.spec, self.label, location)
        except (GraphqlJobsError, TimeoutError, asyncio.CancelledError) as failure:
            was_cut_off = bool(sent_at) and not isinstance(failure, GraphqlJobsError)
            may_exist = was_cut_off or isinstance(failure, SubmissionUnknown)
            if not may_exist:
                await self.journal.void_own()
            if isinstance(failure, SubmissionUnknown | TimeoutError):
                return None, failure if may_exist else None
            raise
        kept = record.repeating(handle) if self.recovery is Recovery.REPEAT else handle
        return await self.journal.keep(record, kept), None

    async def _intent(self, record: Record) -> dict[str, object]:
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
        if self.force_resubmit and self.requester not in record.forced_by:  # also if there is no job yet
            intent |= {"forced_by": self.requester, "superseded": await self.search.superseded(record)}
        location = self.client.location(self.spec)
        if location is not None and self.recovery is Recovery.FIND:
            intent["before"] = await self.search.before(self.spec.operation, location, is_first=not record.count)
        elif record.void:  # reuse the container, so that a late job of the void intent is found
            location = record.location
        return intent | {"location": location, "at": self.clock.now()}

    async def _prepare(self, record: Record, intent: Entry) -> tuple[Location | None, float]:
        """Write the intent and create its container. Return the job's location and the seconds left to submit it.

        The location is None if another process wrote first. Raises `TimeoutError` if the time is up: like other
        processes, this one counts the lease from the instant in the intent, however long the write took.
        """
        if not await self.journal.append(record, intent):
            return None, 0.0
        until_at = record.at + self.longest_s
        async with asyncio.timeout(_positive(until_at - self.clock.now())):
            location = await self._container(record)
        return location, _positive(until_at - self.clock.now())

    async def _container(self, record: Record) -> Location | None:
        if record.location is not None:
            return record.location
        location = await self.client.make_container(self.spec, self.label)
        container = {"kind": "container", "location": location, "at": self.clock.now()}
        return location if await self.journal.append(record, container) else None

    async def _resolve(self, record: Record, failure: BaseException | None = None) -> JobHandle | None:
        """Return the job of an intent whose outcome is unknown, or None if none exists or a second does no harm."""
        if record.has_no_job:
            return None
        if self.recovery is Recovery.FIND:
            visible_at = self.clock.now() + self._lease_s(record) + self.client.visibility_s
            if handle := await self.search.lost(record, visible_at, failure):
                return handle
        elif self.recovery is Recovery.NONE:
            if self.on_unknown == "fail":
                await self.journal.fail_unknown(record, failure)
            logger.warning(
                "It is unknown whether %s was executed. Sent again because of on_unknown.", self.spec.operation
            )
        await self.journal.note(record, {"kind": "void", "given_up": True})
        return None


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise TimeoutError
    return seconds
