"""One request for many jobs, and the instants by which its answer is judged. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from graphql_jobs.agenda import Round, Slot

#: Our choice: a look for the sake of a deadline comes that much after it, since timers are not exact.
_LATE_S = 0.0005


class Flight:
    """One request on its way. `slow_at` is inf once its jobs are asked for again, and `rounds` hold the others."""

    __slots__ = ("asked_at", "rounds", "slots", "slow_at")

    def __init__(self, rounds: list[Round], asked_at: float, slow_at: float) -> None:
        self.rounds = rounds
        #: All that is asked for, by the ids of the jobs.
        self.slots: dict[str, Slot] = {}
        for one in rounds:
            self.slots |= one.slots
        self.asked_at = asked_at
        self.slow_at = slow_at


class Moment(NamedTuple):
    """When an answer was asked for and when it came, by the monotonic clock; `now`, by the wall clock.

    `hedged`: its jobs were asked for again meanwhile, and their rounds come back with another answer.
    """

    asked_at: float
    monotonic: float
    now: float
    hedged: bool

    def monotonic_of(self, deadline_at: float) -> float:
        """The instant to look at the latest for a deadline by the wall clock."""
        return self.monotonic + max(deadline_at - self.now, 0.0) + _LATE_S
