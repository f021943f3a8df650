"""Which jobs are to be looked at next. Pure. Instants are those of one clock that nobody sets back.

Jobs stand in rounds: those that are due at one instant and have the same pause until they are due again. A round is
taken and put back as a whole, so that a job of which nothing is new costs next to nothing here.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import islice
from math import inf
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from graphql_jobs.waiter import Waiter

#: Our choice: a job may fill a free place in a request when it is due within this share of its pause.
_NEARLY_DUE = 0.5
#: Our choice: the first pause ends at one of so many instants. Few, so that requests go in trains: one that comes alone
#: finds cold caches and costs half as much again (docs/decisions/0011).
_SHARES = 4
#: Our choice: when something is due, what is due within this share of its pause goes with it. That is less than half of
#: the way to the next of those instants, so that trains stay apart.
_TRAIN_SHARE = 0.1


class Slot:
    """One job, however many wait for it.

    `mark` stands for all that was seen of it, as long as nothing but a change needs a judgement; else it is None.
    """

    __slots__ = ("job_id", "mark", "round", "waiters")

    def __init__(self, job_id: str, its_round: Round) -> None:
        self.job_id = job_id
        self.round = its_round
        self.mark: int | None = None
        #: Those who wait, whose watches are theirs. Not a list: most slots share one tuple.
        self.waiters: tuple[Waiter, ...] = ()

    def share(self) -> float:
        """How much of its next pause is to pass: after the first look the job's own part, later all of it.

        So neither a restart nor the end of an outage sets ten thousand jobs to one beat.
        """
        return 1.0 if self.round.pause_s else (crc32(self.job_id.encode()) % _SHARES + 1) / _SHARES

    def limits(self, now: float) -> tuple[float, float, float]:
        """The pause that all who wait allow, until when that holds, and the first deadline; these by the wall clock."""
        pause_s = until_at = deadline_at = inf
        for waiter in self.waiters:
            watch = waiter.watches[self.job_id]
            own_pause_s, holds_until = watch.pause_s(now)
            pause_s = own_pause_s if own_pause_s < pause_s else pause_s
            until_at = holds_until if holds_until < until_at else until_at
            deadline_at = watch.deadline_at if watch.deadline_at < deadline_at else deadline_at
        return pause_s, until_at if until_at < deadline_at else deadline_at, deadline_at


class Round:
    """Jobs by their ids that are due at one instant; `due_at` is inf while they are asked for.

    `pause_s` is 0 before the first look, and once they have lost their beat. `until_at`, by the wall clock: the pause
    of none of them holds for longer, or a deadline comes. `asked_at`: when the last answer that was taken for them was
    asked for.
    """

    __slots__ = ("asked_at", "due_at", "pause_s", "slots", "until_at")

    def __init__(self, due_at: float, pause_s: float, until_at: float = inf, asked_at: float = -inf) -> None:
        self.slots: dict[str, Slot] = {}
        self.due_at = due_at
        self.pause_s = pause_s
        self.until_at = until_at
        self.asked_at = asked_at

    @property
    def is_asked_for(self) -> bool:
        """Whether it is on no agenda, since a request is on its way."""
        return self.due_at == inf

    def note(self, until_at: float, asked_at: float) -> None:
        """Another one is in it, for which these hold."""
        self.until_at = until_at if until_at < self.until_at else self.until_at
        self.asked_at = asked_at if asked_at > self.asked_at else self.asked_at

    def take_in(self, other: Round) -> None:
        """All that stand in another one."""
        for slot in other.slots.values():
            slot.round = self
        self.slots |= other.slots
        other.slots = {}
        self.note(other.until_at, other.asked_at)

    def part(self, number: int) -> Round:
        """The first `number` of its jobs as a round that is asked for."""
        part = Round(inf, self.pause_s, self.until_at, self.asked_at)
        part.slots = dict(islice(self.slots.items(), number))
        for job_id, slot in part.slots.items():
            del self.slots[job_id]
            slot.round = part
        return part


class Agenda:
    """Slots by the ids of their jobs, and in rounds in the order in which they are due."""

    def __init__(self, slots: dict[str, Slot] | None = None) -> None:
        self.slots = {} if slots is None else slots
        self._rounds: dict[tuple[float, float], Round] = {}
        self._heap: list[tuple[float, float]] = []
        #: Until when jobs may be due to go with the train that went last.
        self._train_until = -inf
        #: What was due before then, by more than the share of a train, could not be looked at in time.
        self._held_until = -inf
        self._is_held = False  # whether looks are held up

    @property
    def next_at(self) -> float:
        """When the next slot is due; inf if there is none."""
        while self._heap:
            key = self._heap[0]
            if self._rounds[key].slots:
                return key[0]
            del self._rounds[heappop(self._heap)]
        return inf

    def slot(self, job_id: str) -> Slot:
        """The slot of the job; made if there is none, and then on no agenda."""
        slot = self.slots.get(job_id)
        if slot is None:
            slot = self.slots[job_id] = Slot(job_id, _NOWHERE)
        return slot

    def put(
        self, slot: Slot, due_at: float, pause_s: float = 0.0, until_at: float = inf, asked_at: float = -inf
    ) -> None:
        """Look at it then, and not when it was due before."""
        into = self._rounds.get((due_at, pause_s)) or self._add(Round(due_at, pause_s))
        into.note(until_at, asked_at if asked_at > slot.round.asked_at else slot.round.asked_at)
        slot.round.slots.pop(slot.job_id, None)
        into.slots[slot.job_id] = slot
        slot.round = into

    def hasten(self, slot: Slot, due_at: float) -> None:
        """Look at it by then."""
        if due_at < slot.round.due_at:
            self.put(slot, due_at)

    def put_back(self, asked: Round, due_at: float) -> None:
        """Look at all of a round again then."""
        asked.due_at = due_at
        if other := self._rounds.get((due_at, asked.pause_s)):
            other.take_in(asked)
        else:
            self._add(asked)

    def drop(self, slot: Slot) -> None:
        """Forget it."""
        slot.round.slots.pop(slot.job_id, None)
        self.slots.pop(slot.job_id, None)

    def leave(self, slot: Slot, waiter: Waiter) -> None:
        """One waits no longer for the job; without any, it is forgotten."""
        waiters = slot.waiters
        if len(waiters) == 1 and waiters[0] is waiter:
            slot.waiters = ()
            self.drop(slot)
        else:  # after a death, others may have come before who waited then has left
            slot.waiters = tuple(one for one in waiters if one is not waiter)

    def hold(self, now: float, is_held: bool) -> None:
        """Say whether looks are held up now, as in an outage. What was due meanwhile has then lost its beat.

        All of it is looked at as soon as that can be, at once; so each begins anew with a part of its pause.
        """
        if self._is_held and not is_held:
            self._held_until = now
        self._is_held = is_held

    def take(self, now: float, at_most: int) -> list[Round]:
        """The rounds of one request, off the agenda; none if none is due. What is nearly due fills it up."""
        taken: list[Round] = []
        while at_most > 0 and self.next_at < inf:
            its_round = self._rounds[self._heap[0]]
            if not self._goes(its_round, now, fills=bool(taken)):
                break
            has_lost_beat = its_round.due_at + its_round.pause_s * _TRAIN_SHARE <= self._held_until
            if len(its_round.slots) > at_most:
                its_round = its_round.part(at_most)
            else:
                del self._rounds[heappop(self._heap)]
                its_round.due_at = inf
            if has_lost_beat:
                its_round.pause_s = 0.0
            at_most -= len(its_round.slots)
            taken.append(its_round)
        return taken

    def _goes(self, its_round: Round, now: float, *, fills: bool) -> bool:
        """Whether to look at it now: since it is due, since it `fills` a request that goes anyway, or with the train.

        The train ends by the instant at which it began, else it would go on with what is due ever later. What it takes
        has had most of its rest: a look for the sake of a deadline, made early, would bring another one.
        """
        ahead_s = its_round.due_at - now
        if fills:
            return ahead_s <= its_round.pause_s * _NEARLY_DUE
        if ahead_s <= 0:
            if now > self._train_until and its_round.pause_s:
                self._train_until = now + its_round.pause_s * _TRAIN_SHARE
            return True
        rest_s = its_round.due_at - its_round.asked_at
        return its_round.due_at <= self._train_until and ahead_s <= rest_s * _TRAIN_SHARE

    def clear(self) -> None:
        """Forget all."""
        self.slots.clear()
        self._rounds, self._heap = {}, []

    def _add(self, its_round: Round) -> Round:
        key = (its_round.due_at, its_round.pause_s)
        self._rounds[key] = its_round
        heappush(self._heap, key)
        return its_round


#: Where a slot stands before it is put anywhere.
_NOWHERE = Round(-inf, 0.0)
