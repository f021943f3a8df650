"""One request for many jobs, and the instants by which its answer is judged. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from graphql_jobs.agenda import Round, Slot

#: Our choice: a look for the sake of a deadline comes that much after it, since timers are not exact.
_LATE_S = 0.0005


class Flight:
    """One request on its way, or, for a poll `in_full`, the requests for a job with many tasks, one after the other."""

    __slots__ = ("asked_at", "in_full", "rounds", "slots")

    def __init__(self, rounds: list[Round], asked_at: float, *, in_full: bool = False) -> None:
        self.in_full = in_full
        self.rounds = rounds
        #: All that is asked for, by the ids of the jobs.
        self.slots: dict[str, Slot] = {}
        for one in rounds:
            self.slots |= one.slots
        self.asked_at = asked_at


class Moment(NamedTuple):
    """When an answer was asked for and when it came, by the monotonic clock; `now`, by the wall clock."""

    asked_at: float
    monotonic: float
    now: float

    def monotonic_of(self, deadline_at: float) -> float:
        """The instant to look at the latest for a deadline by the wall clock."""
        return self.monotonic + max(deadline_at - self.now, 0.0) + _LATE_S
