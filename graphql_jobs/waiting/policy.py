"""When to poll a job, and when to give up. Pure: no clock, no I/O. Durations are seconds, instants epoch seconds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import inf

from graphql_jobs.errors import InvalidInput
from graphql_jobs.transport.retry import OUTAGE_BUDGET_S

#: Our choice: a status does not change faster.
MIN_DELAY_S = 0.2


def _require_positive(name: str, value_s: float | None) -> None:
    if value_s is not None and not 0 < value_s < inf:
        raise InvalidInput(name, f"it must be a finite number of seconds above 0, but is {value_s}.")


@dataclass(frozen=True, slots=True)
class Schedule:
    """The poll interval of a job: first `first_delay_s`, then the share `growth` of its age, up to `max_delay_s`.

    So the end of a job is seen after at most that share of the job's duration. With `growth` 0, all intervals
    are `first_delay_s`. The defaults are our choice: the end of a short job is seen within seconds, and a job that has
    run for ten minutes is polled once a minute.
    """

    first_delay_s: float = 2.0
    growth: float = 0.1
    max_delay_s: float = 60.0

    def __post_init__(self) -> None:
        _require_positive("first_delay_s", self.first_delay_s)
        _require_positive("max_delay_s", self.max_delay_s)
        if not 0 <= self.growth < inf:
            raise InvalidInput("growth", f"it must be 0 or more, not {self.growth}.")

    def interval_s(self, age_s: float) -> float:
        """Return the interval for a job of this age: at least `MIN_DELAY_S`, else at most `max_delay_s`."""
        return max(min(max(self.first_delay_s, self.growth * age_s), self.max_delay_s), MIN_DELAY_S)

    def is_steady(self, age_s: float) -> bool:
        """Whether the interval of a job of this age no longer grows."""
        return not self.growth or max(self.first_delay_s, self.growth * age_s) >= self.max_delay_s


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
        for name, value_s in asdict(self).items():
            _require_positive(name, value_s)

    def next_at(self, began_at: float, running_since: float | None, changed_at: float | None) -> tuple[float, str]:
        """Return the first deadline that a job can miss: its instant and its name.

        `running_since`: when the job left PENDING; `changed_at`: when its status last changed. None: not yet.
        """
        limits = [
            (began_at, self.total_s, "total_s"),
            (began_at if running_since is None else None, self.queued_s, "queued_s"),
            (running_since, self.running_s, "running_s"),
            (changed_at, self.unchanged_s, "unchanged_s"),
            (began_at if changed_at is None else None, self.unseen_s, "unseen_s"),
        ]
        return min((since + limit_s, name) for since, limit_s, name in limits if since is not None and limit_s)


@dataclass(frozen=True, slots=True)
class WaitPolicy:
    """How a caller waits.

    `outage_budget_s`: how long all polls may fail before `ProviderLost` (guarantee 1). A delay that the server
    asked for within it is waited for, until the deadline at the latest.
    `not_found_grace_s`: how long a job may be missing, as it may be right after its submission (guarantee 10).
    The defaults are our choice: an outage of an hour does not end a job; the longest reported read-after-write
    delay is seconds.
    """

    schedule: Schedule = Schedule()
    deadlines: Deadlines = Deadlines()
    outage_budget_s: float = OUTAGE_BUDGET_S
    not_found_grace_s: float = 30.0
    #: The user's parameters for the limits, such as a flow's: pairs of our name and the parameter's.
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        _require_positive("outage_budget_s", self.outage_budget_s)
        if not 0 <= (grace_s := self.not_found_grace_s) < inf:
            raise InvalidInput("not_found_grace_s", f"it must be a finite number of seconds from 0, but is {grace_s}.")

    def limit(self, name: str) -> str:
        """Return the limit for a message: `total_s=600`, or `give_up_after_s=600 (total_s=600)` for a parameter."""
        value_s = self.outage_budget_s if name == "outage_budget_s" else getattr(self.deadlines, name)
        parameter = dict(self.parameters).get(name)
        return f"{parameter}={value_s:g} ({name}={value_s:g})" if parameter else f"{name}={value_s:g}"
