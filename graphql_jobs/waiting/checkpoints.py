"""Checkpoints: what a wait saw of its jobs, stored so that a restart does not reset deadlines."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from graphql_jobs.job import Job
    from graphql_jobs.store import Entry, Store

logger = logging.getLogger(__name__)

#: The prefix of a checkpoint's key in a run's store. Keys of submissions have another prefix.
CHECKPOINTS_PREFIX = "gqs-"
#: The next part of the key of a wait for several jobs. For one job it is a digest of the job's id, so that each of a
#: run's thousands of waits reads only its own entries. The last part is random: no two waits write under one key.
_OF_SEVERAL = "waits-"
#: Our choice: how long a wait, and then its end, is delayed by a write.
_WRITE_S = 2.0


class Checkpoint(NamedTuple):
    """One job. Instants are epoch seconds; `digest` stands for the statuses that were seen at `changed_at`."""

    first_at: float
    running_since: float | None = None
    changed_at: float | None = None
    digest: str = ""

    def no_later_than(self, now: float) -> Checkpoint:
        """Return a copy without instants in the future, since a clock that was ahead must not delay deadlines."""
        running_since, changed_at = (at if at is None else min(at, now) for at in (self.running_since, self.changed_at))
        return Checkpoint(min(self.first_at, now), running_since, changed_at, self.digest)

    @property
    def at(self) -> float:
        """The time of the last change that it shows."""
        return max(self.first_at, self.running_since or 0.0, self.changed_at or 0.0)


def digest_of(job: Job) -> str:
    """Return a short digest of the statuses of the job and all its tasks."""
    words = [job.raw_status, *sorted(f"{task.task_id} {task.raw_status}" for task in job.tasks)]
    return hashlib.sha256("\n".join(words).encode(errors="replace")).hexdigest()[:16]


class Checkpoints:
    """The checkpoints of one wait, in the store of its run. Close it when the wait is over."""

    def __init__(self, store: Store, prefix: str = CHECKPOINTS_PREFIX) -> None:
        self._store, self._prefix = store, prefix
        self._jobs, self._wait, self._count = _OF_SEVERAL, uuid4().hex, 0
        self._unwritten: dict[str, Checkpoint] = {}
        self._writing: asyncio.Task[None] | None = None

    async def load(self, job_ids: Collection[str]) -> dict[str, Checkpoint]:
        """Return the last checkpoint of each of these jobs, by its id, without those that cannot be read."""
        prefixes = [self._prefix]
        if len(job_ids) == 1:
            self._jobs = f"{hashlib.sha256(next(iter(job_ids)).encode()).hexdigest()[:32]}-"
            prefixes = [f"{self._prefix}{_OF_SEVERAL}", f"{self._prefix}{self._jobs}"]
        entries: list[Entry] = []
        for prefix in prefixes:
            entries += chain.from_iterable((await self._store.read_all(prefix)).values())
        checkpoints: dict[str, Checkpoint] = {}
        for entry in entries:
            for job_id in entry.keys() & set(job_ids):
                try:
                    checkpoint = Checkpoint(**entry[job_id])
                    if job_id not in checkpoints or checkpoints[job_id].at <= checkpoint.at:
                        checkpoints[job_id] = checkpoint
                except TypeError:
                    logger.warning("The checkpoint of job %s cannot be read.", job_id)
        return checkpoints

    async def keep(self, news: Mapping[str, Checkpoint]) -> None:
        """Write new checkpoints. If that is slow or fails, the wait continues, but a restart may delay deadlines.

        What comes during a slow write is written together after it.
        """
        self._unwritten |= news
        if not self._writing or self._writing.done():
            self._writing = asyncio.create_task(self._write())
            await asyncio.wait({self._writing}, timeout=_WRITE_S)

    async def close(self) -> None:
        """Finish the write, or stop it if it is slow: a run that suspends itself leaves the wait right after a poll."""
        if self._writing:
            await asyncio.wait({self._writing}, timeout=_WRITE_S)
            self._writing.cancel()
            await asyncio.wait({self._writing})

    async def _write(self) -> None:
        while self._unwritten:
            news, self._unwritten = self._unwritten, {}
            entry = {job_id: checkpoint._asdict() for job_id, checkpoint in news.items()}
            try:
                await self._store.append(f"{self._prefix}{self._jobs}{self._wait}", self._count, entry)
                self._count += 1
            except Exception:  # any error of the store
                logger.exception("The checkpoints of %d jobs could not be written.", len(news))
