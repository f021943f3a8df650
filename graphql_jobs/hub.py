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

from graphql_jobs.agenda import Agenda, Round
from graphql_jobs.breaker import Breaker
from graphql_jobs.errors import RequestFailed
from graphql_jobs.flight import Flight, Moment
from graphql_jobs.gate import paused
from graphql_jobs.job import Job
from graphql_jobs.marks import Marks
from graphql_jobs.metrics import Metrics
from graphql_jobs.outage import Outage
from graphql_jobs.watch import judged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphql_jobs.agenda import Slot
    from graphql_jobs.clock import Timer
    from graphql_jobs.metrics import Snapshot
    from graphql_jobs.provider import JobClient, Seen
    from graphql_jobs.waiter import Waiter

logger = logging.getLogger(__name__)

#: Our choice: so many requests at once; while they are on their way, further jobs gather for the next one.
MAX_IN_FLIGHT = 4
#: Our choice: most answers come in that time. A deadline that may pass until then needs a judgement.
ANSWERED_S = 2.0


class Hub:
    """The looks of all who wait on one session and read in one way. Does nothing while nobody waits."""

    def __init__(self, client: JobClient) -> None:
        self._client = client
        self._waiters: set[Waiter] = set()
        self._agenda = Agenda()
        #: Jobs with many tasks, whose first page a poll has shown. They are read one at a time beside all other polls.
        self._longer = Agenda(self._agenda.slots)
        self._flights: dict[asyncio.Task[None], Flight] = {}
        self._breaker, self._outage = Breaker(), Outage(self._agenda, self._judge)
        self._metrics = Metrics(client, lambda: (len(self._waiters), len(self._agenda.slots), client.batch_size))
        self._timer: Timer | None = None
        self._timer_at, self._is_joining, self._joins = inf, False, 0

    def join(self, waiter: Waiter) -> None:
        """Look at the waiter's jobs, for the first time at once, and tell it what is new until it leaves."""
        self._waiters.add(waiter)
        agenda, now, alone = self._agenda, self._monotonic(), (waiter,)
        for job_id in waiter.watches:
            slot = agenda.slot(job_id)
            slot.waiters = (*slot.waiters, waiter) if slot.waiters else alone
            slot.mark = None  # who is new has to see all of it
            if any(job_id in flight.slots for flight in self._flights.values()):
                slot.round = slot.round if slot.round.is_asked_for else Round(inf, 0.0)  # one poll of a job at a time
            elif not slot.round.is_asked_for:
                agenda.put(slot, now)
        self._joins += 1
        self._outage.greet(agenda.slots[job_id] for job_id in waiter.watches)
        self._step_soon()

    async def leave(self, waiter: Waiter) -> None:
        """Forget the waiter; with the last one, end all that is going on."""
        self._waiters.discard(waiter)
        for job_id in waiter.watches:
            if slot := self._agenda.slots.get(job_id):
                slot.mark = None  # whoever is left may allow a longer pause
                self._agenda.leave(slot, waiter)
        if not self._waiters:
            await asyncio.gather(*self._stop(), return_exceptions=True)

    def release(self, waiter: Waiter, job_id: str) -> None:
        """The waiter waits no longer for one of its jobs."""
        if waiter.watches.pop(job_id, None) and (slot := self._agenda.slots.get(job_id)):
            slot.mark = None
            self._agenda.leave(slot, waiter)

    def snapshot(self) -> Snapshot:
        """What the waits cost so far, and how soon they saw the ends."""
        return self._metrics.snapshot()

    def _step_soon(self) -> None:
        """Take the next step once all who are ready to join have joined."""
        if not self._is_joining:
            self._is_joining = True
            asyncio.get_running_loop().call_soon(self._step)

    def _step(self) -> None:
        self._is_joining = False
        if self._waiters:
            try:
                self._go_on(self._monotonic())
            except Exception as failure:  # a bug of ours: nobody may wait for ever because of it
                self._die(failure)

    def _go_on(self, now: float) -> None:
        """Send what is due, and see to it that we are woken for what comes next."""
        shut_s = self._client.session.gate.herd_s()
        gives_up_at = self._sit_out(shut_s, now) if shut_s else inf
        opens_at = max(self._breaker.probe_at, now + shut_s)
        self._agenda.hold(now, self._breaker.is_open or opens_at > now)
        longer_at = self._send_longer(now, opens_at)
        size = 1 if self._breaker.is_open else self._client.batch_size  # a probe need not be large
        while opens_at <= now and self._has_room() and (rounds := self._agenda.take(now, size)):
            self._send(rounds, now)
        due_at = max(opens_at, self._agenda.next_at) if self._has_room() else inf
        self._wake_at(min(due_at, longer_at, gives_up_at), now)

    def _has_room(self) -> bool:
        """Whether another request may be sent: during an outage one at a time, beside those that it found."""
        flights = [flight for flight in self._flights.values() if not flight.in_full]
        is_probed = self._breaker.is_open and any(one.asked_at >= self._breaker.since for one in flights)
        return len(flights) < MAX_IN_FLIGHT and not is_probed

    def _send_longer(self, now: float, opens_at: float) -> float:
        """Read the next job with many tasks, unless one is being read. Gives when to try again."""
        if self._breaker.is_open:  # they are polled with the others once it is over
            while rounds := self._longer.take(now, 1):
                self._agenda.put(next(iter(rounds[0].slots.values())), now)
        elif any(flight.in_full for flight in self._flights.values()):
            return inf
        elif opens_at <= now and (rounds := self._longer.take(now, 1)):
            self._send(rounds, now, in_full=True)
            return inf
        return max(opens_at, self._longer.next_at)

    def _send(self, rounds: list[Round], now: float, *, in_full: bool = False) -> None:
        flight = Flight(rounds, now, in_full=in_full)
        context = next(iter(flight.slots.values())).waiters[0].context
        task = asyncio.get_running_loop().create_task(self._ask(flight), context=context)
        self._flights[task] = flight
        task.add_done_callback(self._landed)

    async def _ask(self, flight: Flight) -> None:
        marks, joins = Marks(flight.slots, in_full=flight.in_full), self._joins
        news = await self._client.look(list(flight.slots), marks)
        at = Moment(flight.asked_at, self._monotonic(), self._client.session.clock.now())
        failures = [seen for seen in news.values() if isinstance(seen, RequestFailed)]
        self._metrics.looked(len(flight.slots) - len(failures), at.monotonic)
        self._judge_endpoint(failures, len(flight.slots), at)
        for job_id, seen in news.items():
            if (slot := flight.slots[job_id]).waiters:
                self._look(slot, seen, marks.fresh.get(job_id), at)
        if self._joins > joins:
            self._ask_again([flight.slots[job_id] for job_id in marks.unchanged], at)
        for slot in [slot for job_id in marks.longer if (slot := flight.slots[job_id]).waiters]:
            self._longer.put(slot, at.monotonic, slot.round.pause_s)
        for its_round in flight.rounds:
            self._put_back(its_round, at)
        for job_id, slot in flight.slots.items():
            if (newer := self._agenda.slots.get(job_id, slot)) is not slot:  # left and joined again meanwhile
                self._agenda.put(newer, at.monotonic)
        self._metrics.count_ends()
        if self._breaker.failure:
            self._lasts(self._breaker.failure, at)

    def _landed(self, task: asyncio.Task[None]) -> None:
        """Go on after a request, for there is room for another one; or die with it."""
        if not self._flights.pop(task, None):
            return  # it was given up
        if task.cancelled():
            self._die(RuntimeError("what waits for jobs was cancelled from outside."))
        elif failure := task.exception():
            self._die(failure)
        else:
            self._outage.judge_at = -inf  # its jobs were left out
            self._step()

    def _judge_endpoint(self, failures: list[RequestFailed], asked: int, at: Moment) -> None:
        """A request that brings nothing but failures begins an outage, and one that brings more ends it."""
        if failures and len(failures) == asked:
            begins = self._breaker.fail(failures[0], at.monotonic)
            if begins:
                self._metrics.add("outages")
                logger.warning("No answers about %d jobs that are waited for: %s", len(self._agenda.slots), failures[0])
            return
        if self._breaker.is_open:
            logger.info("Answers again, after %.0f s without.", at.monotonic - self._breaker.since)
        self._breaker.close()
        self._outage.answered(at)

    def _sit_out(self, pause_s: float, now: float) -> float:
        """The pause that a server wants is an outage too. Gives the instant at which the next one gives up."""
        at = Moment(now, now, self._client.session.clock.now())
        self._lasts(paused(self._client.provider, "look", f"{len(self._agenda.slots)} jobs", pause_s), at)
        return at.monotonic_of(self._outage.judge_at)

    def _lasts(self, failure: RequestFailed, at: Moment) -> None:
        self._outage.lasts(failure, at, self._client.session.gate.delayed_since())
        self._breaker.probe_at = min(self._breaker.probe_at, at.monotonic_of(self._outage.judge_at))

    def _ask_again(self, unchanged: Iterable[Slot], at: Moment) -> None:
        """For whom somebody joined while it was asked for, who has seen nothing so far: at once."""
        for slot in unchanged:
            if slot.mark is None and slot.waiters:
                self._agenda.put(slot, at.monotonic)

    def _look(self, slot: Slot, seen: Seen, mark: int | None, at: Moment) -> None:
        """Judge what was seen of the job, and put it on the agenda again."""
        self._judge(slot, seen, at)
        if slot.waiters:
            slot.mark = mark if isinstance(seen, Job) else None
            self._put(slot, at)

    def _judge(self, slot: Slot, seen: Seen, at: Moment, *, looked: bool = True, delayed_since: float = inf) -> None:
        """Let each who waits for the job judge what was seen of it, and tell those who have to know."""
        for waiter in slot.waiters:
            watch = waiter.watches[slot.job_id]
            ended = judged(watch, seen, at.now, looked=looked, delayed_since=delayed_since)
            if ended is not None:
                del waiter.watches[slot.job_id]
                self._agenda.leave(slot, waiter)
                waiter.tell((watch, seen, ended))
                if isinstance(ended, Job):
                    self._metrics.seen(ended, at.now)
            elif watch.changed and waiter.wants_changes:
                waiter.tell((watch, seen, None))

    def _put(self, slot: Slot, at: Moment) -> None:
        """Put a job on the agenda that was looked at: for when its pause is over, or the first deadline comes."""
        pause_s, until_at, deadline_at = slot.limits(at.now)
        due_at = at.asked_at + pause_s * slot.share()
        spare_s = deadline_at - at.now - (due_at - at.monotonic)
        if spare_s < ANSWERED_S:  # the deadline may come while the answer is on its way, and wants a judgement then
            slot.mark = None
        if spare_s < 0:
            due_at = at.monotonic_of(deadline_at)
        elif slot.round.pause_s == pause_s and slot.round.is_asked_for:
            slot.round.note(until_at, at.asked_at)
            return  # it comes back with the others
        self._agenda.put(slot, due_at, pause_s, until_at, at.asked_at)

    def _put_back(self, its_round: Round, at: Moment) -> None:
        """Put those on the agenda again that stayed in the round: all at once, while they have one pause that lasts."""
        its_round.asked_at, its_round.due_at = at.asked_at, at.monotonic  # no longer asked for
        if its_round.pause_s and at.now + its_round.pause_s + ANSWERED_S < its_round.until_at:
            self._agenda.put_back(its_round, at.asked_at + its_round.pause_s)
        else:
            for slot in list(its_round.slots.values()):
                self._put(slot, at)

    def _wake_at(self, at: float, now: float) -> None:
        if self._timer and self._timer_at <= at < inf:
            return  # woken too early, it looks again
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if at < inf:
            self._timer_at = at
            self._timer = self._client.session.clock.call_later(at - now, self._rang)

    def _rang(self) -> None:
        self._timer = None
        self._step()

    def _die(self, failure: BaseException) -> None:
        """We cannot go on: all who wait get to know why."""
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            waiter.fail(failure)
        self._stop()

    def _stop(self) -> list[asyncio.Task[None]]:
        """End all that is going on; gives the requests that were on their way."""
        flights, self._flights = list(self._flights), {}
        for task in flights:
            task.cancel()
        self._wake_at(inf, 0.0)
        self._agenda.clear()
        self._longer.clear()
        self._breaker.close()
        self._outage.forget()
        self._metrics.tell_sizes()
        return flights

    def _monotonic(self) -> float:
        return self._client.session.clock.monotonic()


def hub_of(client: JobClient) -> Hub:
    """The hub of the client's session for its way of reading; made if there is none yet."""
    hubs = client.session.hubs
    if client.reading not in hubs:
        hubs[client.reading] = Hub(client)
    return hubs[client.reading]
