"""When to look at a job again, and when to give up. Pure: no clock, no I/O.

Durations are seconds, instants are epoch seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from graphql_jobs.errors import InvalidInput
from graphql_jobs.job import JobState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

#: Our choice: full jitter may draw nearly nothing, and a status does not change that fast.
MIN_DELAY_S = 0.2


def _require_positive(name: str, value_s: float | None) -> None:
    if value_s is not None and not 0 < value_s < inf:
        raise InvalidInput(name, f"it must be more than 0 seconds, and not for ever, but is {value_s}.")


@dataclass(frozen=True, slots=True)
class Schedule:
    """The pauses between two looks: exponential growth to a cap, with full jitter, so the mean is half of each step.

    Defaults are our choice: a short job is seen within seconds, a long one asked for twice a minute.
    """

    first_delay_s: float = 2.0
    growth: float = 1.5
    max_delay_s: float = 60.0

    def __post_init__(self) -> None:
        _require_positive("first_delay_s", self.first_delay_s)
        _require_positive("max_delay_s", self.max_delay_s)
        if not 1 <= self.growth < inf:
            raise InvalidInput("growth", f"it must be at least 1, not {self.growth}.")

    def delays(self, rng: Random) -> Iterator[float]:
        """Endless; each at least `MIN_DELAY_S`, none above `max_delay_s` (or `MIN_DELAY_S`, if that is larger)."""
        step_s = min(self.first_delay_s, self.max_delay_s)
        while True:
            yield max(rng.uniform(0, step_s), MIN_DELAY_S)
            step_s = min(step_s * self.growth, self.max_delay_s)


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
