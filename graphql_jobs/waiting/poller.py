"""The polls of all waits of a process on one endpoint (guarantee 5): one queue, few requests for many jobs.

What runs here is bookkeeping between two requests. Nothing that a caller supplies runs here: what is new is handed over
to the caller's own task, through its `Waiter`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from math import inf
from typing import TYPE_CHECKING

from graphql_jobs.errors import RequestFailed
from graphql_jobs.job import Job
from graphql_jobs.transport.rate_limit import delayed
from graphql_jobs.waiting.circuit_breaker import CircuitBreaker
from graphql_jobs.waiting.metrics import Metrics
from graphql_jobs.waiting.poll_queue import PollQueue
from graphql_jobs.waiting.watch import judged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql_jobs.clock import Timer
    from graphql_jobs.handle import Seen
    from graphql_jobs.providers.base import JobClient
    from graphql_jobs.waiting.metrics import Snapshot
    from graphql_jobs.waiting.poll_queue import PolledJob
    from graphql_jobs.waiting.waiter import Waiter
    from graphql_jobs.waiting.watch import Ended

logger = logging.getLogger(__name__)

#: Our choice: so many requests at once; while they are in flight, further jobs gather for the next one.
MAX_IN_FLIGHT = 4
#: Our choice: a poll for the sake of a deadline comes that much after it, since timers are not exact.
_LATE_S = 0.0005
#: Our choice: in an outage the waits are gone through at most so often, however many end at nearly the same time.
_PASS_EVERY_S = 0.2


class Poller:
    """The polls of all waits on one session that read answers in one way. Does nothing while there is no wait."""

    def __init__(self, client: JobClient) -> None:
        self._client = client
        self._waiters: set[Waiter] = set()
        self._queue = PollQueue()
        #: Jobs whose answer was too long to be read with the others', and the task that reads them one by one.
        self._longer: deque[PolledJob] = deque()
        self._reading_longer: asyncio.Task[None] | None = None
        self._polls: set[asyncio.Task[None]] = set()
        self._breaker = CircuitBreaker()
        #: In an outage: when the next wait gives up; -inf: all waits have to be gone through.
        self._gives_up_at = -inf
        self._delayed_since = inf
        self._metrics = Metrics(client, lambda: (len(self._waiters), len(self._queue.jobs), client.batch_size))
        self._timer: Timer | None = None
        self._timer_at, self._steps_soon = inf, False

    def join(self, waiter: Waiter) -> None:
        """Poll the waiter's jobs, for the first time at once, and tell it what is new until it leaves."""
        self._waiters.add(waiter)
        waiter.joined_at = now = self._now()
        alone = (waiter,)
        for job_id, watch in waiter.watches.items():
            job = self._queue.job(job_id)
            job.waiters = (*job.waiters, waiter) if job.waiters else alone
            if not job.is_in_flight:
                self._queue.put(job, now)
            self._gives_up_at = min(self._gives_up_at, now + watch.policy.outage_budget_s)
        if not self._steps_soon:  # once all that are ready to join have joined
            self._steps_soon = True
            asyncio.get_running_loop().call_soon(self._step)

    async def leave(self, waiter: Waiter) -> None:
        """Forget the waiter; with the last one, end all that is going on."""
        self._waiters.discard(waiter)
        for job_id in list(waiter.watches):
            self.release(waiter, job_id)
        if not self._waiters:
            await asyncio.gather(*self._stop(), return_exceptions=True)

    def release(self, waiter: Waiter, job_id: str) -> None:
        """The waiter waits no longer for one of its jobs. A job without waits is forgotten after its poll."""
        if waiter.watches.pop(job_id, None) and (job := self._queue.jobs.get(job_id)):
            job.waiters = tuple(one for one in job.waiters if one is not waiter)
            if not job.waiters and not job.is_in_flight:
                self._queue.drop(job)

    def snapshot(self) -> Snapshot:
        """What the waits cost so far, and how soon they saw the ends."""
        return self._metrics.snapshot()

    def _step(self) -> None:
        """Send what is due, and see to it that we are woken for what comes next."""
        self._steps_soon = False
        if not self._waiters:
            return
        try:
            now = self._now()
            delay_s = self._client.session.server_delay.shared_remaining_s()
            self._heed_delay(delay_s, now)
            resumes_at = max(min(self._breaker.probe_at, self._gives_up_at), now + delay_s)
            while resumes_at <= now and self._may_send() and (batch := self._take(now)):
                self._send(batch, now)
            due_at = max(resumes_at, self._queue.next_at) if self._may_send() else inf
            # An instant that has come is heeded when the poll in flight ends.
            is_ahead = (delay_s or self._breaker.is_open) and self._gives_up_at > now
            self._wake_at(min(due_at, self._gives_up_at) if is_ahead else due_at, now)
        except Exception as failure:  # a bug of ours: no wait may last for ever because of it
            self._die(failure)

    def _heed_delay(self, delay_s: float, now: float) -> None:
        """In a delay that the server asked for, end the waits for which it lasts too long."""
        delayed_since = self._client.session.server_delay.delayed_since()
        if delayed_since != self._delayed_since:
            self._delayed_since, self._gives_up_at = delayed_since, -inf
        if delay_s:
            self._breaker.delay(now)
            if now >= self._gives_up_at:
                subject = f"{len(self._queue.jobs)} jobs"
                self._end_overdue(delayed(self._client.provider, "poll", subject, delay_s), now, now)

    def _may_send(self) -> bool:
        """Whether another request may be sent: in an outage one at a time."""
        return len(self._polls) < (1 if self._breaker.is_open else MAX_IN_FLIGHT)

    def _take(self, now: float) -> list[PolledJob]:
        """The next batch; in an outage a job to probe with, also one that is not due if a wait is about to give up."""
        if self._breaker.is_open:
            return self._queue.take_one(inf if now >= self._gives_up_at else now)
        return self._queue.take(now, self._client.batch_size)

    def _send(self, batch: Sequence[PolledJob], now: float) -> None:
        task = self._start(batch, now)
        self._polls.add(task)
        task.add_done_callback(self._polled)

    def _start(self, batch: Sequence[PolledJob], now: float, *, in_full: bool = False) -> asyncio.Task[None]:
        """The task runs in the context of a wait for one of the jobs: what is logged about a job belongs there."""
        context = next((job.waiters[0].context for job in batch if job.waiters), None)
        return asyncio.get_running_loop().create_task(self._poll(batch, now, in_full), context=context)

    async def _poll(self, batch: Sequence[PolledJob], asked_at: float, in_full: bool) -> None:
        seen, deferred = await self._client.poll([job.job_id for job in batch], defer=not in_full)
        now = self._now()
        failures = [one for one in seen.values() if isinstance(one, RequestFailed)]
        self._metrics.looked(len(batch) - len(failures), now)
        self._judge_endpoint(failures, len(batch), asked_at, now)
        for job in batch:
            if job.job_id in deferred:
                self._longer.append(job)
            else:
                self._judge(job, seen[job.job_id], asked_at, now)
                self._put_back(job, asked_at, now)
        self._metrics.count_ends()
        if self._breaker.failure:
            self._end_overdue(self._breaker.failure, asked_at, now)
        else:
            self._gives_up_at = -inf  # in a delay, the jobs that are back in the queue have to be gone through

    def _polled(self, task: asyncio.Task[None]) -> None:
        """Go on after a request, since another one may be sent; or die with it."""
        if task is self._reading_longer:
            self._reading_longer = None
        elif task in self._polls:
            self._polls.discard(task)
        else:
            return  # it was given up
        if task.cancelled():
            self._die(RuntimeError("the polls of the waits were cancelled from outside."))
        elif failure := task.exception():
            self._die(failure)
        else:
            self._read_longer()
            self._step()

    def _read_longer(self) -> None:
        """Read the next job with a long answer, one at a time; in an outage it is polled with the others."""
        now = self._now()
        while self._longer and (self._breaker.is_open or not self._longer[0].waiters):
            self._put_back(self._longer.popleft(), now, now)
        if self._longer and not self._reading_longer:
            self._reading_longer = self._start([self._longer.popleft()], now, in_full=True)
            self._reading_longer.add_done_callback(self._polled)

    def _judge_endpoint(self, failures: list[RequestFailed], asked: int, asked_at: float, now: float) -> None:
        """A request that brings nothing but failures begins an outage, and one that brings more ends it."""
        if failures and len(failures) == asked:
            if self._breaker.fail(failures[0], now):
                self._gives_up_at = -inf
                self._metrics.add("outages")
                logger.warning("No answers about %d jobs that are waited for: %s", len(self._queue.jobs), failures[0])
            return
        if self._breaker.is_open:
            logger.info("Answers again, after %.0f s without.", now - self._breaker.since)
        if (since := self._breaker.answer(asked_at)) < inf:
            self._gives_up_at = -inf
            for job in self._queue.jobs.values():
                for waiter in job.waiters:
                    waiter.watches[job.job_id].end_outage(max(since, waiter.joined_at), now)

    def _end_overdue(self, failure: RequestFailed, asked_at: float, now: float) -> None:
        """End the waits for which the outage lasts too long, and that began before the poll that failed."""
        next_at, since, delayed_since = inf, self._breaker.since, self._delayed_since
        for job in [one for one in self._queue.jobs.values() if not one.is_in_flight]:  # its answer tells more
            for waiter in job.waiters:
                watch, own_since = waiter.watches[job.job_id], max(since, waiter.joined_at)
                ended = watch.judge_outage(failure, own_since, now, delayed_since)
                if ended and waiter.joined_at <= asked_at:
                    self._end(job, waiter, failure, ended)
                else:
                    next_at = min(next_at, watch.gives_up_at(own_since, delayed_since))
            if not job.waiters:
                self._queue.drop(job)
        self._gives_up_at = max(next_at, now + _PASS_EVERY_S)
        self._breaker.probe_at = min(self._breaker.probe_at, self._gives_up_at)

    def _judge(self, job: PolledJob, seen: Seen, asked_at: float, now: float) -> None:
        """Let each wait that began before the poll judge what was seen of the job, and tell those that have to know."""
        job.is_answered = not isinstance(seen, RequestFailed)
        for waiter in job.waiters:
            if waiter.joined_at > asked_at:
                continue
            watch = waiter.watches[job.job_id]
            ended = judged(watch, seen, now)
            if ended is not None:
                self._end(job, waiter, seen, ended)
                if isinstance(ended, Job):
                    self._metrics.seen(ended, now)
            elif watch.changed and waiter.wants_changes:
                waiter.tell((watch, seen, None))

    def _end(self, job: PolledJob, waiter: Waiter, seen: Seen, ended: Ended) -> None:
        watch = waiter.watches.pop(job.job_id)
        job.waiters = tuple(one for one in job.waiters if one is not waiter)
        waiter.tell((watch, seen, ended))

    def _put_back(self, job: PolledJob, asked_at: float, now: float) -> None:
        """Poll the job again when its interval is over or at its first deadline; at once for a newer wait."""
        if not job.waiters:
            self._queue.drop(job)
            return
        watches = [waiter.watches[job.job_id] for waiter in job.waiters]
        interval_s = min(watch.interval_s(now) for watch in watches)
        due_at = min(job.next_due_at(asked_at, interval_s), *(watch.deadline_at + _LATE_S for watch in watches))
        job.interval_s = interval_s
        has_joined = any(waiter.joined_at > asked_at for waiter in job.waiters)
        self._queue.put(job, now if has_joined else max(due_at, now))

    def _wake_at(self, at: float, now: float) -> None:
        if self._timer and self._timer_at <= at < inf:
            return  # woken too early, we look again
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if at < inf:
            self._timer_at = at
            self._timer = self._client.session.clock.call_later(max(at - now, 0.0), self._rang)

    def _rang(self) -> None:
        self._timer = None
        self._step()

    def _die(self, failure: BaseException) -> None:
        """We cannot go on: all waits get to know why."""
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            waiter.fail(failure)
        self._stop()

    def _stop(self) -> list[asyncio.Task[None]]:
        """End all that is going on; gives the requests that were in flight."""
        tasks = [*self._polls, *([self._reading_longer] if self._reading_longer else [])]
        self._polls, self._reading_longer = set(), None
        for task in tasks:
            task.cancel()
        self._wake_at(inf, 0.0)
        self._queue.clear()
        self._longer.clear()
        self._breaker.reset()
        self._gives_up_at, self._delayed_since = -inf, inf
        self._metrics.tell_sizes()
        return tasks

    def _now(self) -> float:
        return self._client.session.clock.now()


def poller_of(client: JobClient) -> Poller:
    """The poller of the client's session for its way of reading; made if there is none yet."""
    key = (Poller, client.reading)
    poller: Poller = client.session.attached.get(key) or client.session.attached.setdefault(key, Poller(client))
    return poller
