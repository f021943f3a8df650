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

    def __call__(self, slot: Slot, seen: RequestFailed, at: Moment, *, looked: bool, delayed_since: float) -> None: ...


class Outage:
    """What a hub remembers of it, until the next answer. A job that is asked for is left out: its answer tells more."""

    def __init__(self, agenda: Agenda, judge: Judge) -> None:
        self._agenda = agenda
        self._judge = judge
        self.forget()

    def forget(self) -> None:
        """There is none."""
        #: When it began, by the monotonic clock; inf while there is none.
        self._began_at = inf
        #: When the next one gives up, by the wall clock, and has to be judged; -inf: all have to be, now.
        self.judge_at = -inf
        #: When the server asked for the delay that is not over, by the wall clock; inf: there is none.
        self._delayed_since = inf
        #: The jobs of those who joined since then.
        self._newcomers: list[Slot] = []

    def greet(self, slots: Iterable[Slot]) -> None:
        """Somebody waits for these too, by now."""
        if self._began_at < inf:
            self._newcomers += slots

    def lasts(self, failure: RequestFailed, at: Moment, delayed_since: float) -> None:
        """Nobody can look, whatever is due: whose budget is over is given up. For `delayed_since` see `Watch.judge`."""
        self._began_at, slots, self._newcomers = min(self._began_at, at.monotonic), self._newcomers, []
        if at.now >= self.judge_at or delayed_since != self._delayed_since:
            self._delayed_since = delayed_since
            self.judge_at, slots = inf, list(self._agenda.slots.values())
        for slot in slots:
            if slot.round.is_asked_for:
                continue
            slot.mark = None  # a deadline may pass meanwhile: the next look is judged, even if it shows nothing new
            self._judge(slot, failure, at, looked=False, delayed_since=delayed_since)
            if slot.waiters:
                deadline_at = slot.limits(at.now)[2]
                self.judge_at = min(self.judge_at, deadline_at)
                self._agenda.hasten(slot, at.monotonic_of(deadline_at))

    def answered(self, at: Moment) -> None:
        """If that was asked for since it began, it is over: who only could not be looked at fails no longer.

        A job of which a look failed fails until one succeeds. It is in no hurry: were all such jobs asked for at once,
        those that can never be asked for would leave no room for the others.
        """
        if at.asked_at >= self._began_at:
            self.forget()
            for slot in self._agenda.slots.values():
                for waiter in slot.waiters:
                    waiter.watches[slot.job_id].relieve(at.now)
