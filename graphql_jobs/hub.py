"""Many waits, few requests: all waits of a process on one endpoint share their looks (law 5).

Each job has a slot, however many wait for it. A slot is due when its schedule or a deadline says so; what is due, and
what nearly is, goes into one request. All of it is bookkeeping between two requests: nothing that a caller supplies
runs here, and what is new is handed over to the caller's own task, through its `Waiter`.
"""

from __future__ import annotations

import asyncio
import logging
from math import inf
from typing import TYPE_CHECKING

from graphql_jobs.agenda import Agenda
from graphql_jobs.breaker import Breaker
from graphql_jobs.errors import RequestFailed
from graphql_jobs.job import Job
from graphql_jobs.metrics import Metrics
from graphql_jobs.waiter import News

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphql_jobs.agenda import Slot
    from graphql_jobs.metrics import Snapshot
    from graphql_jobs.provider import JobClient, Seen
    from graphql_jobs.waiter import Waiter

logger = logging.getLogger(__name__)

#: Our choice: so many requests at once; while they are on their way, further jobs gather for the next one.
MAX_IN_FLIGHT = 4
#: Our choice: a request that takes this long, and this many times as long as they usually do, holds its jobs up no
#: longer: they are asked for again, in two halves, and the first answer counts.
SLOW_S = 2.0
_SLOW_TIMES = 4
#: Our choice: a look for the sake of a deadline comes that much after it, since timers are not exact.
_LATE_S = 0.0005


class _Flight:
    """One request on its way. `slow_at` is inf once its jobs are asked for again."""

    __slots__ = ("asked_at", "slots", "slow_at")

    def __init__(self, slots: Sequence[Slot], asked_at: float, slow_at: float) -> None:
        self.slots = slots
        self.asked_at = asked_at
        self.slow_at = slow_at


class Hub:
    """The looks of all who wait on one session and read in one way. Does nothing while nobody waits."""

    def __init__(self, client: JobClient) -> None:
        self._client = client
        self._waiters: set[Waiter] = set()
        self._agenda = Agenda()
        self._flights: dict[asyncio.Task[None], _Flight] = {}
        self._usual_s = 0.0
        self._breaker = Breaker()
        self._metrics = Metrics(client.session)
        self._judge_at = -inf  # during an outage: when the next one gives up, by the wall clock
        self._timer: asyncio.Task[None] | None = None
        self._timer_at = inf
        self._is_stepping = False

    def join(self, waiter: Waiter) -> None:
        """Look at the waiter's jobs, for the first time at once, and tell it what is new until it leaves."""
        self._waiters.add(waiter)
        now = self._monotonic()
        for job_id, watch in waiter.watches.items():
            slot = self._agenda.slot(job_id)
            slot.watches.append((watch, waiter))
            if not slot.in_flight:
                self._agenda.put(slot, now)
        self._judge_at = -inf
        self._step_soon()

    async def leave(self, waiter: Waiter) -> None:
        """Forget the waiter; with the last one, end all that is going on."""
        self._waiters.discard(waiter)
        for job_id, watch in waiter.watches.items():
            if slot := self._agenda.slots.get(job_id):
                slot.watches = [pair for pair in slot.watches if pair[0] is not watch]
                if not slot.watches:
                    self._agenda.drop(slot)
        if not self._waiters:
            await asyncio.gather(*self._stop(), return_exceptions=True)

    def snapshot(self) -> Snapshot:
        """What the waits cost so far, and how soon they saw the ends."""
        return self._metrics.snapshot(len(self._waiters), len(self._agenda.slots), self._client.batch_size)

    def _step_soon(self) -> None:
        """Take the next step once all who are ready to join have joined."""
        if not self._is_stepping:
            self._is_stepping = True
            asyncio.get_running_loop().call_soon(self._step)

    def _step(self) -> None:
        self._is_stepping = False
        if self._waiters:
            try:
                self._go_on(self._monotonic())
            except Exception as failure:  # a bug of ours: nobody may wait for ever because of it
                self._die(failure)

    def _go_on(self, now: float) -> None:
        """Send what is due, and see to it that we are woken for what comes next."""
        for flight in list(self._flights.values()):
            if flight.slow_at <= now:
                self._hedge(flight, now)
        opens_at = max(self._breaker.probe_at, now + self._client.session.gate.remaining_s())
        size = 1 if self._breaker.is_open else self._client.batch_size  # a probe need not be large
        while opens_at <= now and self._has_room() and (slots := self._agenda.take(now, size)):
            self._send(slots, now)
        slow_at = min((flight.slow_at for flight in self._flights.values()), default=inf)
        due_at = max(opens_at, self._agenda.next_at) if self._has_room() else inf
        self._wake_at(min(slow_at, due_at), now)

    def _has_room(self) -> bool:
        """Whether another request may be sent: during an outage one at a time; slow ones count half."""
        flying = sum(flight.slow_at < inf for flight in self._flights.values())
        return flying < (1 if self._breaker.is_open else MAX_IN_FLIGHT) and len(self._flights) < 2 * MAX_IN_FLIGHT

    def _hedge(self, flight: _Flight, now: float) -> None:
        """Ask again for what a slow request was to tell, in two halves."""
        flight.slow_at = inf
        self._metrics.add("hedged")
        slots = [slot for slot in flight.slots if slot.watches]
        middle = (len(slots) + 1) // 2
        for half in (slots[:middle], slots[middle:]):
            if half and len(self._flights) < 2 * MAX_IN_FLIGHT:
                self._send(half, now)

    def _send(self, slots: Sequence[Slot], now: float) -> None:
        flight = _Flight(slots, now, now + max(SLOW_S, _SLOW_TIMES * self._usual_s))
        for slot in slots:
            slot.in_flight += 1
        context = slots[0].watches[0][1].context
        task = asyncio.get_running_loop().create_task(self._ask(flight), context=context)
        self._flights[task] = flight
        task.add_done_callback(self._landed)

    async def _ask(self, flight: _Flight) -> None:
        answers = await self._client.look([slot.job_id for slot in flight.slots])
        now, monotonic = self._client.session.clock.now(), self._monotonic()
        self._metrics.add("batches")
        self._metrics.add("statuses", len(answers))
        if self._metrics.is_time_to_log(monotonic):
            logger.info("%s: %s", self._client.provider, self.snapshot())
        self._usual_s += (monotonic - flight.asked_at - self._usual_s) / 8
        self._judge_endpoint(answers, now, monotonic)
        self._take_in(answers, flight, now, monotonic)
        if self._breaker.failure and now >= self._judge_at:
            self._judge_all(self._breaker.failure, now, monotonic)

    def _landed(self, task: asyncio.Task[None]) -> None:
        """Whatever became of a request: its jobs may be asked for again."""
        if flight := self._flights.pop(task, None):  # else it was given up
            for slot in flight.slots:
                slot.in_flight -= 1
            self._ended(task)

    def _judge_endpoint(self, answers: Mapping[str, Seen], now: float, monotonic: float) -> None:
        """A request that brings nothing but failures begins an outage, and one that brings more ends it."""
        failures = [seen for seen in answers.values() if isinstance(seen, RequestFailed)]
        if failures and len(failures) == len(answers):
            if self._breaker.fail(failures[0], monotonic):
                self._judge_at = now
                self._metrics.add("outages")
                logger.warning("No answers about %d jobs that are waited for: %s", len(self._agenda.slots), failures[0])
            return
        if self._breaker.is_open:
            logger.info("Answers again, after %.0f s without.", monotonic - self._breaker.since)
        self._breaker.close()

    def _judge_all(self, failure: RequestFailed, now: float, monotonic: float) -> None:
        """The outage counts for all jobs, asked for or not: so each is given up when its own budget is over."""
        slots = self._agenda.slots
        for slot in [slot for slot in slots.values() if not slot.in_flight]:
            self._look(slot, failure, monotonic, now, monotonic)
        self._judge_at = min((watch.deadline_at for slot in slots.values() for watch, _ in slot.watches), default=inf)
        self._breaker.probe_at = min(self._breaker.probe_at, monotonic + max(self._judge_at - now, 0.0) + _LATE_S)

    def _take_in(self, answers: Mapping[str, Seen], flight: _Flight, now: float, monotonic: float) -> None:
        asked_at = flight.asked_at
        for slot in flight.slots:
            if not slot.watches or slot.asked_at > asked_at:
                continue  # nobody waits any more, or a later look was quicker
            seen = answers[slot.job_id]
            watch = slot.watches[0][0] if len(slot.watches) == 1 and slot.pause_s else None
            # What nearly every look is: one waits, and nothing has changed. The rest is judged in full.
            if watch and (pause_s := watch.pause_if_unchanged_s(seen, now)):
                slot.asked_at, slot.pause_s = asked_at, pause_s
                self._agenda.put(slot, asked_at + pause_s)
            else:
                self._look(slot, seen, asked_at, now, monotonic)

    def _look(self, slot: Slot, seen: Seen, asked_at: float, now: float, monotonic: float) -> None:
        """Let each who waits for the job judge what was seen of it, and put it on the agenda again."""
        pause_s = deadline_at = inf
        for watch, waiter in slot.watches if len(slot.watches) == 1 else list(slot.watches):
            ended = watch.judge(seen, now)
            if ended is not None:
                slot.watches.remove((watch, waiter))
                del waiter.watches[slot.job_id]
                waiter.tell(News(watch, seen, ended))
                if isinstance(ended, Job):
                    self._metrics.seen(ended, now)
                continue
            if watch.changed and waiter.wants_changes:
                waiter.tell(News(watch, seen, None))
            own_pause_s = watch.pause_s(now)
            pause_s = own_pause_s if own_pause_s < pause_s else pause_s
            deadline_at = watch.deadline_at if watch.deadline_at < deadline_at else deadline_at
        if not slot.watches:
            self._agenda.drop(slot)
            return
        due_at = slot.looked_at(asked_at, pause_s)
        if deadline_at - now < due_at - monotonic:
            due_at = monotonic + max(deadline_at - now, 0.0) + _LATE_S
        self._agenda.put(slot, due_at)

    def _wake_at(self, at: float, now: float) -> None:
        if self._timer and self._timer_at <= at:
            return  # woken too early, it looks again
        if self._timer:
            timer, self._timer = self._timer, None
            timer.cancel()
        if at < inf:
            self._timer_at = at
            sleep = self._client.session.clock.sleep(at - now)
            self._timer = asyncio.get_running_loop().create_task(sleep)
            self._timer.add_done_callback(self._rang)

    def _rang(self, timer: asyncio.Task[None]) -> None:
        if timer is self._timer:  # else it was given up
            self._timer = None
            self._ended(timer)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Go on after a task of ours, or die with it."""
        if task.cancelled():
            self._die(RuntimeError("what waits for jobs was cancelled from outside."))
        elif failure := task.exception():
            self._die(failure)
        else:
            self._step_soon()

    def _die(self, failure: BaseException) -> None:
        """We cannot go on: all who wait get to know why."""
        waiters = list(self._waiters)
        self._waiters.clear()
        self._stop()
        for waiter in waiters:
            waiter.fail(failure)

    def _stop(self) -> list[asyncio.Task[None]]:
        tasks = [*self._flights, *([self._timer] if self._timer else [])]
        self._flights, self._timer = {}, None
        for task in tasks:
            task.cancel()
        self._agenda.clear()
        self._breaker.close()
        return tasks

    def _monotonic(self) -> float:
        return self._client.session.clock.monotonic()


def hub_of(client: JobClient) -> Hub:
    """The hub of the client's session for its way of reading; made if there is none yet."""
    hubs = client.session.hubs
    if client.reading not in hubs:
        hubs[client.reading] = Hub(client)
    return hubs[client.reading]
