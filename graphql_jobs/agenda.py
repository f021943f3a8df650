"""Which jobs are to be looked at next. Pure. Instants are those of one clock that nobody sets back."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from graphql_jobs.waiter import Waiter
    from graphql_jobs.watch import Watch

#: Our choice: a job may fill a free place in a request once this share of its pause is over.
_NEARLY_DUE = 0.5
#: Our choice: the first pause ends at one of so many instants.
_SHARES = 200


class Slot:
    """One job, however many wait for it. `due_at` is inf while it stands on no agenda."""

    __slots__ = ("asked_at", "due_at", "in_flight", "job_id", "pause_s", "watches")

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.due_at = inf
        self.pause_s = 0.0
        #: When the newest answer that was taken was asked for.
        self.asked_at = -inf
        #: Requests on their way.
        self.in_flight = 0
        self.watches: list[tuple[Watch, Waiter]] = []

    def looked_at(self, asked_at: float, pause_s: float) -> float:
        """Take in a look, and give the instant of the next one.

        After the first it is the job's own part of the pause: so a restart does not set ten thousand jobs to one beat.
        """
        share = 1.0 if self.pause_s else (crc32(self.job_id.encode()) % _SHARES + 1) / _SHARES
        self.asked_at, self.pause_s = asked_at, pause_s
        return asked_at + pause_s * share


class Agenda:
    """Slots by the ids of their jobs, and in the order in which they are due.

    Those that are due at one instant stand in one queue, and the instants in a heap: the slots of one request, which
    are put and taken together, cost one place in it.
    """

    def __init__(self) -> None:
        self.slots: dict[str, Slot] = {}
        self._heap: list[float] = []
        self._due: dict[float, deque[Slot]] = {}

    @property
    def next_at(self) -> float:
        """When the next slot is due, or a little earlier; inf if there is none."""
        return self._heap[0] if self._heap else inf

    def slot(self, job_id: str) -> Slot:
        """The slot of the job; made if there is none."""
        if job_id not in self.slots:
            self.slots[job_id] = Slot(job_id)
        return self.slots[job_id]

    def put(self, slot: Slot, due_at: float) -> None:
        """Look at it then, and not when it was due before."""
        slot.due_at = due_at
        queue = self._due.get(due_at)
        if queue is None:
            queue = self._due[due_at] = deque()
            heappush(self._heap, due_at)
        queue.append(slot)

    def drop(self, slot: Slot) -> None:
        """Forget it."""
        slot.due_at = inf
        self.slots.pop(slot.job_id, None)

    def take(self, now: float, at_most: int) -> list[Slot]:
        """The slots of one request, off the agenda; none if none is due. What is nearly due fills it up."""
        taken: list[Slot] = []
        while self._heap:
            due_at = self._heap[0]
            due = self._due[due_at]
            while due:
                slot = due[0]
                if slot.due_at == due_at:  # else it was put elsewhere since, or dropped
                    if len(taken) == at_most:
                        return taken
                    if due_at > now and (not taken or due_at > now + slot.pause_s * (1 - _NEARLY_DUE)):
                        return taken
                    slot.due_at = inf
                    taken.append(slot)
                due.popleft()
            del self._due[heappop(self._heap)]
        return taken

    def clear(self) -> None:
        """Forget all."""
        for slot in self.slots.values():
            slot.due_at = inf
        self.slots, self._heap, self._due = {}, [], {}
