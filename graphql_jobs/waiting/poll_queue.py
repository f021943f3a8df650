"""Which jobs are to be polled next. Pure. Instants are those of a clock that nobody sets back."""

from __future__ import annotations

import random
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from graphql_jobs.waiting.waiter import Waiter

#: Our choice: a job may fill a free place in a batch when half of its interval has passed.
_FILLS_SHARE = 0.5
#: Our choice: the first interval ends at one of so many instants, so that a restart does not set all jobs to one beat.
#: Few, so that batches are full and follow each other: a request that is sent alone costs half as much again.
_FIRST_INTERVAL_PARTS = 4


class PolledJob:
    """One job of a poller, however many waits it has."""

    __slots__ = ("due_at", "interval_s", "is_answered", "job_id", "waiters")

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        #: When it is to be polled; inf while a poll of it is in flight.
        self.due_at = -inf
        #: The time between its last two polls; 0 before the first one, and after a delay of the whole endpoint.
        self.interval_s = 0.0
        #: Whether its last poll was answered; True before the first one.
        self.is_answered = True
        #: The waits for it. A tuple, since most jobs share one.
        self.waiters: tuple[Waiter, ...] = ()

    @property
    def is_in_flight(self) -> bool:
        """Whether a poll of it is in flight: there is never a second one."""
        return self.due_at == inf

    def next_due_at(self, asked_at: float, interval_s: float) -> float:
        """When its next poll is due: after the interval, or after a part of it that depends on the job's id."""
        if self.interval_s:
            return asked_at + interval_s
        return asked_at + interval_s * (crc32(self.job_id.encode()) % _FIRST_INTERVAL_PARTS + 1) / _FIRST_INTERVAL_PARTS


class PollQueue:
    """The jobs by their ids, and in the order in which they are due."""

    def __init__(self) -> None:
        self.jobs: dict[str, PolledJob] = {}
        self._heap: list[tuple[float, int, PolledJob]] = []  # an entry counts while it is what its job says
        self._numbers = count()  # of two jobs that are due at one instant, the first one is polled first

    @property
    def next_at(self) -> float:
        """When the next job is due; inf if there is none."""
        while self._heap:
            due_at, _, job = self._heap[0]
            if job.due_at == due_at and self.jobs.get(job.job_id) is job:
                return due_at
            heappop(self._heap)
        return inf

    def job(self, job_id: str) -> PolledJob:
        """The job; made if there is none, and then it is not due."""
        job = self.jobs.get(job_id)
        if job is None:
            job = self.jobs[job_id] = PolledJob(job_id)
        return job

    def put(self, job: PolledJob, due_at: float) -> None:
        """Poll the job then, and not when it was due before."""
        job.due_at = due_at
        heappush(self._heap, (due_at, next(self._numbers), job))
        if len(self._heap) > 2 * len(self.jobs) + 100:
            waiting = [one for one in self.jobs.values() if not one.is_in_flight]
            self._heap = [(one.due_at, number, one) for number, one in zip(self._numbers, waiting, strict=False)]
            heapify(self._heap)

    def take(self, now: float, at_most: int) -> list[PolledJob]:
        """A batch of jobs that are due, in flight from now on; empty if none is. Jobs that are nearly due fill it."""
        batch: list[PolledJob] = []
        while len(batch) < at_most and (next_at := self.next_at) < inf:
            job = self._heap[0][2]
            if next_at > (now + job.interval_s * _FILLS_SHARE if batch else now):
                break
            heappop(self._heap)
            if now > next_at + job.interval_s * _FILLS_SHARE:  # the endpoint was delayed: spread the jobs anew
                job.interval_s = 0.0
            job.due_at = inf
            batch.append(job)
        return batch

    def take_one(self, due_by: float) -> list[PolledJob]:
        """A job that is due by then, in flight from now on, to probe the endpoint with; none if there is none.

        Chosen by chance among those whose last poll did not fail, if there are any: jobs that can never be polled must
        not keep an outage going that is over for the others, or have a wait given up whose job was never polled.
        """
        due = [job for job in self.jobs.values() if job.due_at <= due_by and not job.is_in_flight]
        if not due:
            return []
        job = random.choice([one for one in due if one.is_answered] or due)  # noqa: S311 (guards nothing)
        job.due_at = inf
        return [job]

    def drop(self, job: PolledJob) -> None:
        """Forget the job."""
        self.jobs.pop(job.job_id, None)

    def clear(self) -> None:
        """Forget all."""
        self.jobs, self._heap = {}, []
