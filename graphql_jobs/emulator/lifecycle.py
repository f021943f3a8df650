"""The course of a job as a pure function of its creation, the pace, its fault and the current time."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

from graphql_jobs.emulator.behaviour import Pace
from graphql_jobs.emulator.faults import JobFault


class Phase(IntEnum):
    """The progress of a job or task."""

    PENDING = 0
    QUEUED = 1
    RUNNING = 2
    ENDED = 3


@dataclass(frozen=True)
class Course:
    """From submission to end: half of `queued_s` pending, half queued, then `running_s` of work."""

    created_at: float
    pace: Pace
    fault: JobFault | None = None

    @property
    def queued_at(self) -> float:
        """The instant when the job leaves pending."""
        return self.created_at + self.pace.queued_s / 2

    def moment(self, fraction: float) -> float:
        """Return when `fraction` (0 to 1) of the work is done; never if the job is stuck before that."""
        if self._is("stuck") and (fraction > 0 or not self._stuck_running):
            return math.inf
        return self.created_at + self.pace.queued_s + fraction * self.pace.running_s

    def phase(self, now_at: float) -> Phase:
        """Return the progress of the whole job."""
        if now_at >= self.moment(1.0):
            return Phase.ENDED
        if now_at >= self.moment(0.0):
            return Phase.QUEUED if self.wavers(now_at) else Phase.RUNNING
        return Phase.QUEUED if now_at >= self.queued_at else Phase.PENDING

    def wavers(self, now_at: float) -> bool:
        """Whether the job is in the middle third of its work and its fault is running_queued_running."""
        return self._is("running_queued_running") and self.moment(1 / 3) <= now_at < self.moment(2 / 3)

    def is_visible(self, now_at: float) -> bool:
        """Whether the job can be found: not yet (not_visible), or no longer (gone)."""
        if self.fault is None or self.fault.kind not in ("not_visible", "gone"):
            return True
        is_past = now_at >= self.created_at + self.fault.delay_s
        return is_past if self.fault.kind == "not_visible" else not is_past

    def spoken(self, word: str, running_word: str) -> str:
        """Return the reported status: `word`, unless the job's fault replaces it."""
        # Our choice: Edge REST knows "reprocessing", the most plausible word to leak (docs/providers/aiware.md#status).
        other = (self.fault and self.fault.word) or "reprocessing"
        if self._is("status_for_ever") or (self._is("unknown_status") and word == running_word):
            return other
        return word

    def last_change_at(self, now_at: float) -> float:
        """Return the latest change of the course that is not in the future."""
        points = (self.created_at, self.queued_at, self.moment(0.0), self.moment(1.0))
        return max(point for point in points if point <= max(now_at, self.created_at))

    def _is(self, kind: str) -> bool:
        return self.fault is not None and self.fault.kind == kind

    @property
    def _stuck_running(self) -> bool:
        return self.fault is not None and (self.fault.word or "").lower() in ("running", "in_progress")


def iso_text(instant_at: float, *, whole_seconds: bool = False) -> str:
    """Return ISO-8601 UTC with milliseconds and Z; `whole_seconds` cuts the milliseconds to .000."""
    if whole_seconds:
        instant_at = math.floor(instant_at)
    return datetime.fromtimestamp(instant_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
