"""The number of jobs per poll request, learned from the server's answers.

A batch that fails is split until each job is read or fails alone. If no single job fails, the batch was too large:
the next ones have half its size. Each full batch that is answered then halves the distance to the size that failed.
"""

from __future__ import annotations

import logging
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from graphql_jobs.errors import (
    BadEndpoint,
    NotAllowed,
    NotFound,
    OperationFailed,
    RateLimited,
    RequestFailed,
    RequestRefused,
    ServerFailed,
    SignInFailed,
    TimedOut,
    TooMuchAtOnce,
    Unreachable,
)
from graphql_jobs.job import Job

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from graphql_jobs.handle import Seen
    from graphql_jobs.transport.session import Session

logger = logging.getLogger(__name__)

#: Our choice: the number of full batches after which a size that failed before is tried again.
_BATCHES_UNTIL_RETRIAL = 100
#: Our choice: with halves, one job that is never answered would delay a hundred others for seven time-outs.
_PARTS_OF_TIMED_OUT = 10

# Every request would fail.
_ENDPOINT_WIDE = (Unreachable, RateLimited, SignInFailed, NotAllowed, BadEndpoint)
# A smaller request may succeed.
_MAY_BE_TOO_MUCH = (TooMuchAtOnce, TimedOut)
# The cause may be an outage, the batch size or one job.
_MAY_BE_AN_OUTAGE = (ServerFailed, TimedOut)
# The cause may be one job.
_MAY_BE_A_JOB = (TooMuchAtOnce, RequestRefused, NotFound, OperationFailed)


class BatchSize:
    """The learned size of a session's batches, in jobs. Each client also has its own maximum."""

    def __init__(self) -> None:
        self._size = math.inf  # nothing has failed yet: as large as each client allows
        self._failed_size = math.inf
        self._full_batches = 0
        self._warned_size = math.inf

    def at_most(self, max_batch: int) -> int:
        """Return the size for a client whose own maximum is `max_batch`."""
        return max(1, int(min(self._size, max_batch)))

    def shrink(self, asked: int, reason: RequestFailed) -> None:
        """Halve the size, since `asked` jobs were too many. Batches that were sent at the same time count as one."""
        self._full_batches = 0
        self._failed_size = min(self._failed_size, asked)
        size = max(1, asked // 2)
        if size >= self._size:
            return
        self._size = size
        is_news = size <= self._warned_size / 2  # else it is the known limit, found again or more exactly
        self._warned_size = size if is_news else self._warned_size
        level = logging.WARNING if is_news else logging.INFO
        logger.log(level, "Polling %d jobs per request from now on, since %d were too many: %s", size, asked, reason)

    def grow(self, max_batch: int) -> None:
        """After a full batch, halve the distance to the size that failed, or else to the maximum."""
        if self._size >= max_batch:
            return
        self._full_batches += 1
        if self._full_batches > _BATCHES_UNTIL_RETRIAL:
            self._failed_size, self._full_batches = math.inf, 0
        before = self.at_most(max_batch)
        self._size = (self._size + min(self._failed_size, max_batch + 1)) // 2
        if (size := self.at_most(max_batch)) > before:
            logger.debug("Polling %d jobs per request from now on.", size)


@dataclass(frozen=True, slots=True)
class Deferred:
    """A job whose state needs further requests, such as for its many tasks; `read` sends them."""

    read: Callable[[], Awaitable[Seen]]


class BatchClient(Protocol):
    """The part of a client that a poll uses."""

    session: Session
    max_batch: int

    @property
    def batch_size(self) -> int:
        """The current number of jobs per request."""
        ...

    @property
    def batches(self) -> BatchSize:
        """The size that the session has learned."""
        ...

    async def check_batch(self, job_ids: Sequence[str]) -> Mapping[str, Seen | Deferred]:
        """Send one request."""
        ...


class BatchedPoll:
    """One poll of any number of jobs. `seen` and `deferred` have the results; jobs in neither were not found."""

    def __init__(self, client: BatchClient, *, defer: bool) -> None:
        """With `defer`, jobs that need further requests are left in `deferred`; otherwise they are read at once."""
        self._client, self._defer = client, defer
        self.seen: dict[str, Seen] = {}
        self.deferred: set[str] = set()

    async def run(self, job_ids: Sequence[str]) -> None:
        """Poll the jobs. A failure of the whole endpoint ends the poll and applies to each job not yet read."""
        try:
            await self._poll(job_ids, self._client.max_batch)
        except RequestFailed as failure:
            self.deferred -= self.seen.keys()
            self.seen.update(dict.fromkeys(set(job_ids).difference(self.seen, self.deferred), failure))

    async def _poll(self, job_ids: Sequence[str], at_most: int) -> None:
        """Poll batches of the learned size, one after the other. Raises `RequestFailed` if there is an outage."""
        start = 0
        while start < len(job_ids):
            batch = job_ids[start : start + min(self._client.batch_size, at_most)]
            await self._poll_or_split(batch)
            start += len(batch)

    async def _poll_or_split(self, batch: Sequence[str]) -> None:
        """Poll one batch. If its size or one of its jobs may be the cause of a failure, poll it in smaller parts."""
        batches, answers = self._client.batches, self._client.session.answers
        try:
            await self._request(batch)
        except _ENDPOINT_WIDE:
            raise
        except RequestFailed as failure:
            if len(batch) == 1 or not isinstance(failure, (*_MAY_BE_AN_OUTAGE, *_MAY_BE_A_JOB)):
                self.seen.update(dict.fromkeys(batch, failure))
                return
            if isinstance(failure, _MAY_BE_AN_OUTAGE) and not await self._is_up(batch, answers):
                raise
            parts = _PARTS_OF_TIMED_OUT if isinstance(failure, TimedOut) else 2
            await self._poll(batch, -(-len(batch) // parts))
            if self._was_too_large(batch, failure):
                batches.shrink(len(batch), failure)
        else:
            if len(batch) >= self._client.batch_size:
                batches.grow(self._client.max_batch)

    def _was_too_large(self, batch: Sequence[str], failure: RequestFailed) -> bool:
        """Whether the size of a failed batch was the cause, and no single job, by the results of its parts."""
        parts = [self.seen.get(job_id) for job_id in batch if job_id not in self.deferred]
        if isinstance(failure, _MAY_BE_TOO_MUCH):
            return not any(isinstance(one, _MAY_BE_TOO_MUCH) for one in parts)
        return all(isinstance(one, Job) for one in parts)

    async def _is_up(self, batch: Sequence[str], answers: int) -> bool:
        """Whether the server has answered more than `answers` requests, or answers one about a single job."""
        if self._client.session.answers > answers:
            return True
        good = [job_id for job_id, one in self.seen.items() if isinstance(one, Job)]
        one_of_them = random.choice(good or batch)  # noqa: S311 (so that no poll chooses a bad one each time)
        try:
            await self._request([one_of_them])
        except RequestFailed as failure:
            return isinstance(failure, _MAY_BE_A_JOB)
        return True

    async def _request(self, batch: Sequence[str]) -> None:
        deferred: list[tuple[str, Deferred]] = []
        for job_id, one in (await self._client.check_batch(batch)).items():
            if isinstance(one, Deferred):
                deferred.append((job_id, one))
            else:
                self.seen[job_id] = one
        if self._defer:
            self.deferred.update(job_id for job_id, _ in deferred)
        else:
            await self._read(deferred)

    async def _read(self, deferred: Sequence[tuple[str, Deferred]]) -> None:
        """Read each job separately: a failure concerns one job, unless the endpoint cannot be reached."""
        for number, (job_id, one) in enumerate(deferred):
            try:
                self.seen[job_id] = await one.read()
            except (Unreachable, RateLimited) as failure:
                self.seen.update((left, failure) for left, _ in deferred[number:])
                return
            except RequestFailed as failure:
                self.seen[job_id] = failure
