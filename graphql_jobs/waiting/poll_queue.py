"""The order in which jobs are polled. Pure. Instants are seconds of a steady clock."""

from __future__ import annotations

import random
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from graphql_jobs.waiting.waiter import Waiter

#: Our choice: a job fills a batch that is not full when half of its interval has passed.
_FILLS_SHARE = 0.5
#: Our choice: the first interval ends at one of so many instants, so that a restart does not poll all jobs at once for
#: good. Few, so that batches are full and follow each other: a request that is sent alone costs half as much again.
_FIRST_INTERVAL_PARTS = 4


@dataclass(slots=True, eq=False)
class PolledJob:
    """One job of a poller, however many waits it has."""

    job_id: str
    #: When it is to be polled; inf while a poll of it is under way.
    due_at: float = -inf
    #: Its last interval; 0 before the first one, and after a delay of the whole endpoint.
    interval_s: float = 0.0
    #: Whether its last poll was answered; True before the first one.
    is_answered: bool = True
    #: Whether it needs requests of its own, such as for its many tasks: it is polled alone.
    is_large: bool = False
    #: The waits for it. A tuple, since most jobs have one.
    waiters: tuple[Waiter, ...] = ()

    @property
    def is_under_way(self) -> bool:
        """Whether a poll of it is under way: there is never a second one."""
        return self.due_at == inf

    def next_due_at(self, asked_at: float, interval_s: float) -> float:
        """When its next poll is due: after the interval; the first time after a part of it, by the job's id."""
        if self.interval_s:
            return asked_at + interval_s
        part = crc32(self.job_id.encode()) % _FIRST_INTERVAL_PARTS + 1
        return asked_at + interval_s * part / _FIRST_INTERVAL_PARTS


class PollQueue:
    """The jobs by their ids, and in the order in which they are due: large jobs, and those that share requests."""

    def __init__(self) -> None:
        self.jobs: dict[str, PolledJob] = {}
        # By `is_large`. An entry counts while the job is still due then.
        self._heaps: dict[bool, list[tuple[float, int, PolledJob]]] = {False: [], True: []}
        self._numbers = count()  # of two jobs that are due at one instant, the one that was put first is polled first

    def next_at(self, *, large: bool = False) -> float:
        """When the next job is due; inf if there is none."""
        heap = self._heaps[large]
        while heap:
            due_at, _, job = heap[0]
            if job.due_at == due_at and self.jobs.get(job.job_id) is job:
                return due_at
            heappop(heap)
        return inf

    def job(self, job_id: str) -> PolledJob:
        """The job; made if there is none, and then it is not due."""
        return self.jobs.get(job_id) or self.jobs.setdefault(job_id, PolledJob(job_id))

    def put(self, job: PolledJob, due_at: float) -> None:
        """Poll the job then, and not when it was due before."""
        job.due_at = due_at
        heap = self._heaps[job.is_large]
        heappush(heap, (due_at, next(self._numbers), job))
        if len(heap) > 2 * len(self.jobs) + 100:  # most entries are outdated
            jobs = [one for one in self.jobs.values() if one.is_large is job.is_large and not one.is_under_way]
            heap[:] = [(one.due_at, next(self._numbers), one) for one in jobs]
            heapify(heap)

    def take(self, now: float, at_most: int, *, large: bool = False) -> list[PolledJob]:
        """A batch of the jobs that are due; empty if none is. Jobs that are nearly due fill it."""
        batch: list[PolledJob] = []
        while len(batch) < at_most and (next_at := self.next_at(large=large)) < inf:
            job = self._heaps[large][0][2]
            if next_at > (now + job.interval_s * _FILLS_SHARE if batch else now):
                break
            heappop(self._heaps[large])
            if now > next_at + job.interval_s * _FILLS_SHARE:  # the endpoint was delayed: spread the jobs anew
                job.interval_s = 0.0
            job.due_at = inf
            batch.append(job)
        return batch

    def take_probe(self, due_by: float) -> list[PolledJob]:
        """A job that is due by then, to probe the endpoint with; empty if there is none.

        Chosen by chance among those whose last poll did not fail, if there are any: jobs that can never be polled must
        not prolong an outage that is over for the others, or end a wait for a job that was never polled.
        """
        due = [job for job in self.jobs.values() if job.due_at <= due_by and not job.is_under_way]
        if not due:
            return []
        job = random.choice([one for one in due if one.is_answered] or due)  # noqa: S311 (guards nothing)
        job.due_at = inf
        return [job]

    def drop(self, job: PolledJob) -> None:
        """Forget the job."""
        self.jobs.pop(job.job_id, None)
