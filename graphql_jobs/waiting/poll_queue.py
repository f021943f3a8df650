"""The order in which jobs are polled. Pure. Instants are seconds of a steady clock."""

from __future__ import annotations

import random
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import islice
from math import inf
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphql_jobs.waiting.watch import Waiter, Watch

#: Our choice: a job may fill up a batch once half of its interval has passed.
_FILLS_SHARE = 0.5
#: Our choice: the number of instants at which first intervals end, so that after a restart not all jobs are always
#: polled at once. It is small, so that batches are full and consecutive: a single request costs half as much again.
_FIRST_INTERVAL_PARTS = 4


@dataclass(slots=True, eq=False)
class PolledJob:
    """One job of a poller, for all its waits."""

    job_id: str
    #: The queue of the jobs that share requests, or that of large jobs.
    queue: PollQueue
    #: When it is due; inf while a poll of it is under way.
    due_at: float = -inf
    #: Its last interval; 0 before the first one, and after a delay of the whole endpoint.
    interval_s: float = 0.0
    #: Whether its last poll was answered; True before the first one.
    is_answered: bool = True
    #: A hash of the result of its last poll. Until `judge_at`, the same hash again changes nothing for any wait.
    shown: int | None = None
    judge_at: float = -inf
    #: The waits for it. A tuple, since most jobs have one.
    waits: tuple[tuple[Waiter, Watch], ...] = ()

    @property
    def is_under_way(self) -> bool:
        """Whether a poll of it is under way. There is never a second one."""
        return self.due_at == inf

    def next_due_at(self, asked_at: float, interval_s: float) -> float:
        """Return when its next poll is due: after the interval or, first, after a part of it that depends on the id."""
        if self.interval_s:
            return asked_at + interval_s
        part = crc32(self.job_id.encode()) % _FIRST_INTERVAL_PARTS + 1
        return asked_at + interval_s * part / _FIRST_INTERVAL_PARTS


class PollQueue:
    """Jobs by the instants at which they are due.

    Jobs that are polled together are mostly due together again, so there are few instants, with many jobs each.
    """

    def __init__(self) -> None:
        #: The jobs of each instant, in the order in which they were put.
        self._due: dict[float, dict[PolledJob, None]] = {}
        #: A heap of the instants. Some no longer have jobs.
        self._instants: list[float] = []

    def next_at(self) -> float:
        """Return when the next job is due, or inf if there is none."""
        while self._instants and self._instants[0] not in self._due:
            heappop(self._instants)
        return self._instants[0] if self._instants else inf

    def put(self, job: PolledJob, due_at: float) -> None:
        """Schedule the job for `due_at` instead of its earlier instant."""
        if job.due_at < inf:
            self.remove(job)
        job.due_at = due_at
        if due_at not in self._due:
            self._due[due_at] = {}
            heappush(self._instants, due_at)
            if len(self._instants) > 2 * len(self._due) + 100:  # most no longer have a job
                self._instants = sorted(self._due)
        self._due[due_at][job] = None

    def remove(self, job: PolledJob) -> None:
        """Remove the job if it is in the queue."""
        if jobs := self._due.get(job.due_at):
            jobs.pop(job, None)
            if not jobs:
                del self._due[job.due_at]
        job.due_at = inf

    def take(self, now: float, at_most: int) -> list[PolledJob]:
        """Remove and return a batch of due jobs, or an empty one. Jobs that are nearly due fill it."""
        batch: list[PolledJob] = []
        while len(batch) < at_most and (at := self.next_at()) < inf and (batch or at <= now):
            jobs = self._due[at]
            for job in list(islice(jobs, at_most - len(batch))):
                near_s = job.interval_s * _FILLS_SHARE
                if batch and at > now + near_s:
                    return batch
                if now > at + near_s:  # the endpoint was delayed: spread the jobs again
                    job.interval_s, job.judge_at = 0.0, -inf
                del jobs[job]
                job.due_at = inf
                batch.append(job)
            if not jobs:
                del self._due[at]
        return batch


def choose_probe(jobs: Iterable[PolledJob], due_by: float) -> list[PolledJob]:
    """Return one of the jobs that are due by then, to probe the endpoint, or an empty list.

    It is random among those whose last poll did not fail, if there are any: jobs that can never be polled must
    not prolong an outage that is over for the others, or end a wait for a job that was never polled.
    """
    due = [job for job in jobs if job.due_at <= due_by and not job.is_under_way]
    due = [job for job in due if job.is_answered] or due
    return random.sample(due, min(1, len(due)))
