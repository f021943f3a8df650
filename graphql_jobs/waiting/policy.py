"""When to look at a job again, and when to give up. Pure: no clock, no I/O.

Durations are seconds, instants are epoch seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from math import inf

from graphql_jobs.errors import InvalidInput
from graphql_jobs.job import JobState
from graphql_jobs.transport.retry import OUTAGE_BUDGET_S

#: Our choice: a status does not change faster.
MIN_DELAY_S = 0.2
#: Our choice: pauses grow in steps of a tenth, so that jobs of nearly the same age are looked at together.
_STEP = 1.1


def _require_positive(name: str, value_s: float | None) -> None:
    if value_s is not None and not 0 < value_s < inf:
        raise InvalidInput(name, f"it must be more than 0 seconds, and not for ever, but is {value_s}.")


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long a job may be left alone after a look: a quiet first period, then a share of its age, up to a cap.

    So an end is seen late by at most that share of the time that the job took. Pauses grow in steps of a tenth; with
    `growth` 0 all are `first_delay_s`. Defaults are our choice: a short job is seen within seconds, one of ten minutes
    and more once a minute.
    """

    first_delay_s: float = 2.0
    growth: float = 0.1
    max_delay_s: float = 60.0
    #: All pauses that there are, the shortest first.
    _pauses_s: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _require_positive("first_delay_s", self.first_delay_s)
        _require_positive("max_delay_s", self.max_delay_s)
        if not 0 <= self.growth < inf:
            raise InvalidInput("growth", f"it must be 0 or more, not {self.growth}.")
        longest_s = max(self.max_delay_s, MIN_DELAY_S)
        pauses_s = [max(min(self.first_delay_s, longest_s), MIN_DELAY_S)]
        while self.growth and pauses_s[-1] < longest_s:
            pauses_s.append(min(pauses_s[-1] * _STEP, longest_s))
        object.__setattr__(self, "_pauses_s", tuple(pauses_s))

    def interval_s(self, age_s: float) -> float:
        """The interval for a job of this age: at least `MIN_DELAY_S`, never above `max_delay_s` (or `MIN_DELAY_S`)."""
        return self._pauses_s[max(bisect_right(self._pauses_s, self.growth * age_s), 1) - 1]


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
        """The first deadline that a job in `state` can miss: its instant and the name of its limit."""
        at, name = began_at + self.total_s, "total_s"
        if self.queued_s is not None and state is JobState.PENDING and running_since is None:
            at, name = min((at, name), (began_at + self.queued_s, "queued_s"))
        if self.running_s is not None and running_since is not None:
            at, name = min((at, name), (running_since + self.running_s, "running_s"))
        if self.unchanged_s is not None and changed_at is not None:
            at, name = min((at, name), (changed_at + self.unchanged_s, "unchanged_s"))
        if self.unseen_s is not None and changed_at is None:
            at, name = min((at, name), (began_at + self.unseen_s, "unseen_s"))
        return at, name


@dataclass(frozen=True, slots=True)
class WaitPolicy:
    """All that the caller decides about a wait.

    `outage_budget_s`: how long every check may fail before `ProviderLost` (guarantee 1). A delay that the server
    asked for within it is sat out, until the deadline at the latest.
    `not_found_grace_s`: how long a job may be missing, which it is right after its submission (guarantee 10).
    Defaults are our choice: an hour of outage is a bad night and not the end of a job; the longest read-after-write
    delay that anyone reports is seconds.
    """

    schedule: Schedule = Schedule()
    deadlines: Deadlines = Deadlines()
    outage_budget_s: float = OUTAGE_BUDGET_S
    not_found_grace_s: float = 30.0
    #: What the caller's own caller set each limit by, such as a flow's parameter: pairs of our name and that one.
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False, compare=False)

    def limit(self, name: str) -> str:
        """The limit for a message: `total_s=600`, or `give_up_after_s=600 (total_s=600)` where a parameter set it."""
        value_s = self.outage_budget_s if name == "outage_budget_s" else getattr(self.deadlines, name)
        parameter = dict(self.parameters).get(name)
        return f"{parameter}={value_s:g} ({name}={value_s:g})" if parameter else f"{name}={value_s:g}"

    def __post_init__(self) -> None:
        _require_positive("outage_budget_s", self.outage_budget_s)
        if not 0 <= self.not_found_grace_s < inf:
            raise InvalidInput(
                "not_found_grace_s", f"it must be 0 or more seconds, and not for ever, but is {self.not_found_grace_s}."
            )
