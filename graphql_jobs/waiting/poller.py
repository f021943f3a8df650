"""The polls of all waits of a process on one endpoint (guarantee 5): few requests for many jobs.

The poller is not a task: it runs a step when a wait joins, when a request ends and when its timer fires. It does not
run callers' code: the `Waiter` passes changes to the caller's task.
"""

from __future__ import annotations

import asyncio
import logging
from math import inf
from typing import TYPE_CHECKING

from graphql_jobs.errors import RequestFailed
from graphql_jobs.job import Job
from graphql_jobs.transport.rate_limit import delayed
from graphql_jobs.waiting.circuit_breaker import CircuitBreaker
from graphql_jobs.waiting.metrics import Metrics
from graphql_jobs.waiting.poll_queue import PolledJob, PollQueue, choose_probe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql_jobs.clock import Timer
    from graphql_jobs.handle import Seen
    from graphql_jobs.providers.base import JobClient
    from graphql_jobs.waiting.watch import Ended, Waiter, Watch

logger = logging.getLogger(__name__)

#: Our choice: the maximum number of concurrent polls. Meanwhile, further jobs gather for the next one.
MAX_UNDER_WAY = 4
#: Our choice: the maximum number of concurrent polls of large jobs, which are slow, so they do not delay other jobs.
MAX_LARGE = 2
#: Our choice: how long after a deadline its poll is sent, since timers are not exact.
_LATE_S = 0.0005
#: Our choice: the minimum time between two checks of all waits in an outage, even if many give up almost together.
_JUDGE_EVERY_S = 0.2


class Poller:
    """The polls of all waits on one session with equal options for reading. It is idle without waits."""

    def __init__(self, client: JobClient) -> None:
        self._client, self._clock = client, client.session.clock
        self._waiters: set[Waiter] = set()
        self._jobs: dict[str, PolledJob] = {}
        #: Jobs that share requests, and large jobs: those that need further requests, such as for their many tasks.
        self._queue, self._large = PollQueue(), PollQueue()
        #: The pending polls; True for those of a large job.
        self._polls: dict[asyncio.Task[None], bool] = {}
        self._breaker = CircuitBreaker()
        #: In an outage: when the next wait gives up; -inf if that is not known.
        self._judge_at = -inf
        self._timer: Timer | None = None
        self._timer_at = inf
        self.metrics = Metrics(client, lambda: (len(self._waiters), len(self._jobs)))

    def join(self, waiter: Waiter) -> None:
        """Poll the waiter's jobs, first immediately, and pass it the changes until it leaves."""
        self._waiters.add(waiter)
        waiter.joined_at = now = self._clock.now()
        for job_id, watch in waiter.watches.items():
            job = self._jobs.get(job_id) or self._jobs.setdefault(job_id, PolledJob(job_id, self._queue))
            job.waits, job.judge_at = (*job.waits, (waiter, watch)), -inf
            if not job.is_under_way:
                job.queue.put(job, now)
            self._judge_at = min(self._judge_at, now + watch.policy.outage_budget_s)
        if self._timer_at > now:
            self._wake_at(now, now)

    async def leave(self, waiter: Waiter) -> None:
        """Remove the waiter. Stop when the last waiter leaves."""
        self._waiters.discard(waiter)
        for job_id in list(waiter.watches):
            self.release(waiter, job_id)
        if not self._waiters:
            await asyncio.gather(*self._stop(asyncio.CancelledError()), return_exceptions=True)

    def release(self, waiter: Waiter, job_id: str) -> None:
        """End one watch of the waiter. A job without waits is removed, after its poll if one is under way."""
        if waiter.watches.pop(job_id, None) and (job := self._jobs.get(job_id)):
            job.waits, job.judge_at = tuple([one for one in job.waits if one[0] is not waiter]), -inf
            if not job.waits and not job.is_under_way:
                job.queue.remove(job)
                del self._jobs[job_id]

    def _step(self) -> None:
        """Send the polls that are due, and set the timer for the next step."""
        try:
            now = self._clock.now()
            if (delay_s := self._client.session.server_delay.shared_remaining_s()) > 0:
                self._breaker.delay(now)
                if now >= self._judge_at:
                    subject = f"{len(self._jobs)} jobs"
                    self._judge_outage(delayed(self._client.provider, "poll", subject, delay_s), now, now)
                self._judge_at = min(self._judge_at, now + delay_s)
                self._wake_at(self._judge_at, now)
            else:
                while (next_at := self._next_at()) <= now:
                    self._send(self._take(now), now)
                self._wake_at(next_at, now)
        except Exception as failure:  # a bug of ours: it must not make a wait endless
            self._stop(failure)

    def _next_at(self) -> float:
        """Return when the next poll may be sent, or inf if a poll must end first. In an outage, send only probes."""
        batch_at, large_at, large = self._queue.next_at(), self._large.next_at(), sum(self._polls.values())
        if self._breaker.failure:
            due_at = min(batch_at, large_at)
            is_free = len(self._polls) == large and due_at < inf
            return min(max(self._breaker.probe_at, due_at), self._judge_at) if is_free else inf
        return inf if len(self._polls) >= MAX_UNDER_WAY else min(batch_at, large_at if large < MAX_LARGE else inf)

    def _take(self, now: float) -> list[PolledJob]:
        """Return the jobs of the next poll."""
        if self._breaker.failure:
            # If a wait gives up, any job serves as the probe, so that the wait does not give up too soon.
            probe = choose_probe(self._jobs.values(), inf if now >= self._judge_at else now)
            for job in probe:
                job.queue.remove(job)
            return probe
        large_job = sum(self._polls.values()) < MAX_LARGE and self._large.take(now, 1)
        return large_job or self._queue.take(now, self._client.batch_size)

    def _send(self, batch: Sequence[PolledJob], now: float) -> None:
        """Send a poll in the context of a wait for one of its jobs, so that log lines about a job appear there."""
        in_full = batch[0].queue is self._large and not self._breaker.failure  # a probe should be short
        context = next((job.waits[0][0].context for job in batch if job.waits), None)
        task = asyncio.get_running_loop().create_task(self._poll(batch, now, in_full), context=context)
        self._polls[task] = in_full
        task.add_done_callback(self._polled)

    async def _poll(self, batch: Sequence[PolledJob], asked_at: float, in_full: bool) -> None:
        seen, deferred = await self._client.poll([job.job_id for job in batch], defer=not in_full)
        now = self._clock.now()
        failures = [one for one in seen.values() if isinstance(one, RequestFailed)]
        self._judge_endpoint(failures, len(batch), asked_at, now)
        for job in batch:
            due_at = max(asked_at + job.interval_s, now)
            if job.job_id in deferred:  # it needs further requests
                job.queue, due_at = self._large, now
            elif due_at >= job.judge_at or hash(seen[job.job_id]) != job.shown:
                due_at = self._judge(job, seen[job.job_id], asked_at, now)
            if job.waits:
                job.queue.put(job, due_at)
            else:
                del self._jobs[job.job_id]
        self.metrics.polled(len(seen) - len(failures))
        self._judge_at = -inf
        if self._breaker.failure:
            self._judge_outage(self._breaker.failure, asked_at, now)

    def _polled(self, task: asyncio.Task[None]) -> None:
        """Continue after a poll, or stop if it raised."""
        if self._polls.pop(task, None) is None:
            return  # the poller was stopped
        if task.cancelled():
            self._stop(RuntimeError("other code cancelled the polls of the waits."))
        elif failure := task.exception():
            self._stop(failure)
        else:
            self._step()

    def _judge_endpoint(self, failures: list[RequestFailed], asked: int, asked_at: float, now: float) -> None:
        """Record whether the poll failed as a whole: an outage begins or continues, or else it ends."""
        if len(failures) < asked:
            if self._breaker.failure:
                logger.info("The provider answers again, after %.0f s.", now - self._breaker.since)
            self._breaker.answer(asked_at)
        elif self._breaker.fail(failures[0], now):
            self.metrics.count(outages=1)
            logger.warning("Polls of %d jobs are failing: %s", len(self._jobs), failures[0])

    def _judge_outage(self, failure: RequestFailed, asked_at: float, now: float) -> None:
        """End the waits that give up, if they began before the poll that failed."""
        next_at, delayed_since = inf, self._client.session.server_delay.delayed_since()
        for job in [one for one in self._jobs.values() if not one.is_under_way]:  # a pending answer is more exact
            for waiter, watch in job.waits:
                since = max(self._breaker.since, waiter.joined_at)
                gives_up_at = watch.gives_up_at(failure, since, delayed_since)
                if gives_up_at <= now and waiter.joined_at <= asked_at:
                    self._end(job, waiter, watch, failure, watch.give_up(failure, since, now))
                else:
                    next_at = min(next_at, gives_up_at)
        self._judge_at = max(next_at, now + _JUDGE_EVERY_S)

    def _judge(self, job: PolledJob, seen: Seen, asked_at: float, now: float) -> float:
        """Let each wait that began before the poll judge it, and pass on changes. Return when the next poll is due."""
        job.is_answered, job.shown = not isinstance(seen, RequestFailed), hash(seen)
        is_steady, interval_s, deadline_at = isinstance(seen, Job), inf, inf
        for waiter, watch in job.waits:
            if waiter.joined_at > asked_at:
                deadline_at = -inf  # it needs another poll
            else:
                try:
                    ended = watch.judge(seen, now)
                except Exception as bug:  # it ends only this wait
                    ended = watch.broken(bug, "judging the job", now)
                if ended is not None:
                    self._end(job, waiter, watch, seen, ended)
                    continue
                if watch.changed and waiter.wants_changes:
                    waiter.queue.put_nowait((watch, seen, None))
            schedule, age_s = watch.policy.schedule, now - watch.began_at
            is_steady = is_steady and schedule.is_steady(age_s)
            interval_s, deadline_at = min(interval_s, schedule.interval_s(age_s)), min(deadline_at, watch.deadline_at)
        due_at = min(job.next_due_at(asked_at, interval_s), deadline_at + _LATE_S)
        job.interval_s, job.judge_at = interval_s, deadline_at if is_steady else -inf
        return max(due_at, now)

    def _end(self, job: PolledJob, waiter: Waiter, watch: Watch, seen: Seen, ended: Ended) -> None:
        self.release(waiter, job.job_id)
        waiter.queue.put_nowait((watch, seen, ended))
        if isinstance(ended, Job):
            self.metrics.ended(ended, self._clock.now())

    def _wake_at(self, at: float, now: float) -> None:
        """Set the timer for the next step, or none for inf."""
        if self._timer:
            self._timer.cancel()
        self._timer_at, self._timer = at, None
        if at <= now:
            self._timer = asyncio.get_running_loop().call_soon(self._step)
        elif at < inf:
            self._timer = self._clock.call_later(at - now, self._step)

    def _stop(self, failure: BaseException) -> list[asyncio.Task[None]]:
        """Remove all jobs and all waits, which end with the failure. Return the polls that were under way."""
        waiters, self._waiters = self._waiters, set()
        polls, self._polls = list(self._polls), {}
        self._jobs, self._queue, self._large = {}, PollQueue(), PollQueue()
        self._breaker, self._judge_at = CircuitBreaker(), -inf
        self._wake_at(inf, 0.0)
        for waiter in waiters:
            waiter.queue.put_nowait(failure)
        for poll in polls:
            poll.cancel()
        self.metrics.count_sizes()
        return polls


def poller_of(client: JobClient) -> Poller:
    """Return the poller of the client's session for its options of reading. Create it if needed."""
    key = (Poller, client.reading)
    poller: Poller = client.session.attached.get(key) or client.session.attached.setdefault(key, Poller(client))
    return poller
