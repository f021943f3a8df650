"""A time without answers: the endpoint fails, or wants a pause. It counts for all who wait, each by its own budget."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphql_jobs.agenda import Agenda, Slot
    from graphql_jobs.errors import RequestFailed
    from graphql_jobs.flight import Moment


class Judge(Protocol):
    """Lets all who wait for a job judge a failure of which it had no look of its own."""

    def __call__(self, slot: Slot, seen: RequestFailed, at: Moment, *, looked: bool) -> None: ...


class Outage:
    """What a hub remembers of it, until the next answer. A job that is asked for is left out: its answer tells more."""

    def __init__(self, agenda: Agenda, judge: Judge) -> None:
        self._agenda = agenda
        self._judge = judge
        self._is_on = False
        #: When the next one gives up, by the wall clock, and has to be judged; -inf: all have to be, now.
        self.judge_at = -inf
        #: The jobs of those who joined since then.
        self._newcomers: list[Slot] = []

    def greet(self, slots: Iterable[Slot]) -> None:
        """Somebody waits for these too, by now."""
        if self._is_on:
            self._newcomers += slots

    def lasts(self, failure: RequestFailed, at: Moment) -> None:
        """Nobody can look, whatever is due: whose budget is over is given up."""
        self._is_on, slots, self._newcomers = True, self._newcomers, []
        if at.now >= self.judge_at:
            self.judge_at, slots = inf, list(self._agenda.slots.values())
        for slot in slots:
            if slot.round.is_asked_for:
                continue
            self._judge(slot, failure, at, looked=False)
            if slot.waiters:
                deadline_at = slot.limits(at.now)[2]
                self.judge_at = min(self.judge_at, deadline_at)
                self._agenda.hasten(slot, at.monotonic_of(deadline_at))

    def may_be_over(self, now: float) -> None:
        """A pause is over. One look finds out, whatever is due: else the time until the next one would count too."""
        resting = (slot for slot in self._agenda.slots.values() if not slot.round.is_asked_for)
        if self._is_on and self._agenda.next_at > now and (slot := next(resting, None)):
            self._agenda.hasten(slot, now)

    def ends(self, at: Moment) -> None:
        """There is an answer: who could not be looked at fails no longer, and who failed is looked at, at once."""
        if self._is_on:
            self._is_on, self._newcomers = False, []
            for slot in self._agenda.slots.values():
                deadline_at = slot.relieve(at.now)
                if not slot.round.is_asked_for:
                    self._agenda.hasten(slot, at.monotonic_of(deadline_at))
