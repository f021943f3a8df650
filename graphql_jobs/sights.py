"""What a wait saw of its jobs: kept where the provider gives no instants, so that a restart goes on counting."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql_jobs.job import Job
    from graphql_jobs.memory import Memory

logger = logging.getLogger(__name__)

#: The key of a run's sights; it begins otherwise than a submission's.
SIGHTS_KEY = "gqs-waits"
#: Our choice: so often two waits of one run may get into each other's way.
_TRIES = 10


@dataclass(slots=True)
class Sight:
    """One job. Instants are epoch seconds; `digest` stands for the statuses that were seen at `changed_at`."""

    first_at: float
    running_since: float | None = None
    changed_at: float | None = None
    digest: str = ""

    def no_later_than(self, now: float) -> Sight:
        """The same, but that the clock of the attempt before was not ahead: its deadlines would come later by that."""
        running_since, changed_at = (at if at is None else min(at, now) for at in (self.running_since, self.changed_at))
        return Sight(min(self.first_at, now), running_since, changed_at, self.digest)


def digest_of(job: Job) -> str:
    """The statuses of the job and of all its tasks, in a few characters."""
    words = [job.raw_status, *sorted(f"{task.task_id} {task.raw_status}" for task in job.tasks)]
    return hashlib.sha256("\n".join(words).encode(errors="replace")).hexdigest()[:16]


class Sights:
    """The sights of one run's waits, in its memory."""

    def __init__(self, memory: Memory, key: str = SIGHTS_KEY) -> None:
        self._memory = memory
        self._key = key
        self._count = 0

    async def load(self) -> dict[str, Sight]:
        """The last sight of each job, by its id. What cannot be read is left out: then counting starts anew."""
        entries = await self._memory.read(self._key)
        self._count = len(entries)
        sights: dict[str, Sight] = {}
        for entry in entries:
            for job_id, plain in entry.items():
                try:
                    sights[job_id] = Sight(**plain)
                except TypeError:
                    logger.warning("What was seen of job %s before cannot be read.", job_id)
        return sights

    async def keep(self, news: Mapping[str, Sight]) -> None:
        """Write down new sights. That it fails is logged and costs nothing but a deadline that counts from later."""
        entry = {job_id: asdict(sight) for job_id, sight in news.items()}
        try:
            for _ in range(_TRIES):
                if await self._memory.append(self._key, self._count, entry):
                    self._count += 1
                    return
                self._count = len(await self._memory.read(self._key))
        except Exception:  # whatever the store raises
            logger.exception("What was seen of %d jobs could not be written down.", len(entry))
