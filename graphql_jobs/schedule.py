"""When to look at a job again, and when to give up. Pure: no clock, no I/O.

Durations are seconds, instants are epoch seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from graphql_jobs.errors import InvalidInput
from graphql_jobs.job import JobState

#: Our choice: a status does not change faster.
MIN_DELAY_S = 0.2


def _require_positive(name: str, value_s: float | None) -> None:
    if value_s is not None and not 0 < value_s < inf:
        raise InvalidInput(name, f"it must be more than 0 seconds, and not for ever, but is {value_s}.")


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long a job may be left alone after a look: a quiet first period, then a share of its age, up to a cap.

    So an end is seen late by at most that share of the time that the job took. `growth` 0 keeps `first_delay_s` for
    ever. Defaults are our choice: a short job is seen within seconds, one of ten minutes and more once a minute.
    """

    first_delay_s: float = 2.0
    growth: float = 0.1
    max_delay_s: float = 60.0

    def __post_init__(self) -> None:
        _require_positive("first_delay_s", self.first_delay_s)
        _require_positive("max_delay_s", self.max_delay_s)
        if not 0 <= self.growth < inf:
            raise InvalidInput("growth", f"it must be 0 or more, not {self.growth}.")

    def pause_s(self, age_s: float) -> float:
        """At least `MIN_DELAY_S`, never above `max_delay_s` (or `MIN_DELAY_S`, if that is larger)."""
        pause_s = self.growth * age_s
        pause_s = self.first_delay_s if pause_s < self.first_delay_s else pause_s
        pause_s = self.max_delay_s if pause_s > self.max_delay_s else pause_s
        return MIN_DELAY_S if pause_s < MIN_DELAY_S else pause_s


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a job may take. `total_s` always bounds the wait; the others are off when None.

    `unseen_s`: from the submission until the provider shows the job (None: `WaitPolicy.not_found_grace_s` counts).
    `queued_s`: from the submission until it leaves PENDING. `running_s`: from the start of the first task (or from
    when it was first seen running) to the end. `unchanged_s`: since the status of the job or of a task last changed.
    `total_s`: from the submission to the end.
    """

    total_s: float = 24 * 3600.0
    queued_s: float | None = None
    running_s: float | None = None
    unchanged_s: float | None = None
    unseen_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("total_s", "queued_s", "running_s", "unchanged_s", "unseen_s"):
            _require_positive(name, getattr(self, name))

    def next_at(
        self, state: JobState, began_at: float, running_since: float | None, changed_at: float | None = None
    ) -> tuple[float, str]:
        """The first deadline that a job in `state` can miss: its instant and its name."""
        limits = [(began_at + self.total_s, f"total_s={self.total_s:g}")]
        if self.queued_s is not None and state is JobState.PENDING and running_since is None:
            limits.append((began_at + self.queued_s, f"queued_s={self.queued_s:g}"))
        if self.running_s is not None and running_since is not None:
            limits.append((running_since + self.running_s, f"running_s={self.running_s:g}"))
        if self.unchanged_s is not None and changed_at is not None:
            limits.append((changed_at + self.unchanged_s, f"unchanged_s={self.unchanged_s:g}"))
        if self.unseen_s is not None and changed_at is None:
            limits.append((began_at + self.unseen_s, f"unseen_s={self.unseen_s:g}"))
        return min(limits)


@dataclass(frozen=True, slots=True)
class WaitPolicy:
    """All that the caller decides about a wait.

    `outage_budget_s`: how long every check may fail before `ProviderLost` (law 1).
    `not_found_grace_s`: how long a job may be missing, which it is right after its submission (law 10).
    Defaults are our choice: an hour of outage is a bad night and not the end of a job; the longest read-after-write
    delay that anyone reports is seconds.
    """

    schedule: Schedule = Schedule()
    deadlines: Deadlines = Deadlines()
    outage_budget_s: float = 3600.0
    not_found_grace_s: float = 30.0

    def __post_init__(self) -> None:
        _require_positive("outage_budget_s", self.outage_budget_s)
        if not 0 <= self.not_found_grace_s < inf:
            raise InvalidInput(
                "not_found_grace_s", f"it must be 0 or more seconds, and not for ever, but is {self.not_found_grace_s}."
            )
