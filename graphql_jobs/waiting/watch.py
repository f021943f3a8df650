"""One wait: how it judges each of its jobs, and how the poller passes the ends and changes to the caller's task.

Instants are epoch seconds. A `Watch` is pure.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from dataclasses import dataclass, field
from math import inf
from traceback import format_tb
from typing import TYPE_CHECKING

from graphql_jobs import errors
from graphql_jobs.errors import JobNotFound, RequestFailed, WaitStopped
from graphql_jobs.job import Job, JobState
from graphql_jobs.waiting.checkpoints import Checkpoint, digest_of

if TYPE_CHECKING:
    from graphql_jobs.handle import JobHandle, Seen
    from graphql_jobs.waiting.policy import WaitPolicy

logger = logging.getLogger(__name__)

#: How a wait ended: the job in its final state, or the reason why the wait gave up.
Ended = Job | errors.GraphqlJobsError
#: A watch, the result of a poll of its job, and the end of the wait; None if the job only changed.
News = tuple["Watch", "Seen", Ended | None]


@dataclass(slots=True, eq=False, repr=False)
class Watch:
    """One job of one wait."""

    handle: JobHandle
    policy: WaitPolicy
    #: What this wait and those of earlier attempts saw of the job.
    checkpoint: Checkpoint
    #: The most durable known start, so that a restart does not reset the deadlines. It is never after the
    #: first poll: a provider's clock that is ahead must not delay the deadlines.
    began_at: float = field(init=False)
    #: Whether the last poll showed anything new.
    changed: bool = field(init=False, default=False)
    #: When the wait gives up unless a poll postpones it. Known after the first poll.
    deadline_at: float = field(init=False, default=inf)
    _shown: int | None = field(init=False, default=None)  # a hash of the job, which may be large
    _failing_since: float = field(init=False, default=inf)
    _missing_at: float = field(init=False, default=inf)  # the last poll that did not find the job; inf if one did since
    _grace_left_s: float = field(init=False)

    def __post_init__(self) -> None:
        submitted_at = self.handle.submitted_at
        self.began_at = min(self.checkpoint.first_at, submitted_at.timestamp() if submitted_at else inf)
        self._grace_left_s = self.policy.not_found_grace_s

    def judge(self, seen: Seen, now: float) -> Ended | None:
        """Return the end of the wait, or None. The status is read before the deadline is judged (guarantee 3)."""
        if not isinstance(seen, Job):
            self.changed = self._failing_since == self._missing_at == inf  # not if it is the same again
            if isinstance(seen, JobNotFound):
                return self._judge_absence(seen, now)
            self._failing_since = min(self._failing_since, now)
            self.deadline_at = self.gives_up_at(seen, now)
            return None if now < self.deadline_at else self.give_up(seen, now, now)
        shown = hash((seen.state, seen.raw_status, seen.tasks, seen.progress_percent))
        self.changed = shown != self._shown
        if seen.state.is_terminal:
            return seen
        if self.changed or self._failing_since < inf or self._missing_at < inf:
            self._shown, self._failing_since, self._missing_at = shown, inf, inf
            self._grace_left_s = self.policy.not_found_grace_s
            self._note(seen, now)
        return None if now < self.deadline_at else self._timed_out(seen.describe(), now)

    def gives_up_at(self, failure: RequestFailed, since: float, delayed_since: float = inf) -> float:
        """Return when the wait gives up if the endpoint, which has failed `since` then, continues to fail.

        A delay that the server asked for within the outage budget is waited for, at most until the deadline. So the
        job is polled once more before the wait gives up, and repeated delays still end the wait.
        `delayed_since`: when the current delay began; inf without one.
        """
        if not failure.transient and self._shown is None:
            return -inf  # a refusal after an answer is not permanent: a proxy's page, a certificate
        gives_up_at = min(since, self._failing_since) + self.policy.outage_budget_s
        return max(gives_up_at, self._limit()[0]) if delayed_since < gives_up_at else gives_up_at

    def give_up(self, failure: RequestFailed, since: float, now: float) -> Ended:
        """Return the end of the wait for a job that could not be polled `since` then."""
        if not failure.transient and self._shown is None:
            return self.stopped(errors.CheckRefused, str(failure), now)
        limit, (deadline_at, name) = self.policy.limit("outage_budget_s"), self._limit()
        if now >= deadline_at:
            limit += f", and the deadline {self.policy.limit(name)} passed"
        failed_s = now - min(since, self._failing_since)
        return self.stopped(errors.ProviderLost, f"every check failed for {failed_s:.0f} s ({limit}): {failure}", now)

    def has_news(self, seen: Seen, kept: Checkpoint | None) -> bool:
        """Whether a limit needs data that, after a restart, is neither in `kept` nor from the provider."""
        limits, before, now = self.policy.deadlines, kept or Checkpoint(0.0), self.checkpoint
        job = seen if isinstance(seen, Job) else None
        is_known = self.handle.submitted_at or (job.created_at if job else self._shown is not None)
        began = kept is None and not is_known
        ran = limits.running_s and before.running_since != now.running_since and job and not _starts(job)
        return bool(began or ran or (limits.unchanged_s and before.digest != now.digest))

    def broken(self, bug: Exception, doing: str, now: float) -> WaitStopped:
        """Return the end because of `bug`. Its text may be a server's, so the log has only the traceback."""
        logger.error("%s while %s:\n%s", type(bug).__name__, doing, "".join(format_tb(bug.__traceback__)))
        return self.stopped(WaitStopped, f"{doing} raised {type(bug).__name__}.", now)

    def stopped(self, kind: type[WaitStopped], detail: str, now: float) -> WaitStopped:
        """Return the end of the wait as an error."""
        return kind(self.handle.provider, [self.handle.job_id], now - self.began_at, detail)

    def _note(self, job: Job, now: float) -> None:
        """Keep the instants that the deadlines need, and find the next deadline."""
        if not self.handle.submitted_at and (created_at := job.created_at):
            self.began_at = min(self.checkpoint.first_at, created_at.timestamp())
        before, limits = self.checkpoint, self.policy.deadlines
        running_since, changed_at, digest = before.running_since, before.changed_at, before.digest
        if running_since is None and job.state is not JobState.PENDING:
            running_since = max(min([now, *_starts(job)]), self.began_at)
        if limits.unchanged_s is None:  # then only matters whether the job was ever shown
            changed_at = now if changed_at is None else changed_at
        elif (new_digest := digest_of(job)) != digest:  # progress is not a change of status
            # A change between two polls came after the first of them, regardless of the job's instant: no provider
            # promises that it moves with each task.
            known = job.modified_at.timestamp() if job.modified_at and not digest else now
            changed_at, digest = max(min(known, now), self.began_at), new_digest
        self.checkpoint = Checkpoint(before.first_at, running_since, changed_at, digest)
        self.deadline_at = self._limit()[0]

    def _limit(self) -> tuple[float, str]:
        return self.policy.deadlines.next_at(self.began_at, self.checkpoint.running_since, self.checkpoint.changed_at)

    def _judge_absence(self, absence: JobNotFound, now: float) -> Ended | None:
        """Judge a missing job: it may be missing for its grace or, if it was never shown, until `unseen_s` if set.

        At most one interval between two polls counts: in an outage, no poll could find the job.
        """
        if self._missing_at < inf:
            interval_s = self.policy.schedule.interval_s(self._missing_at - self.began_at)
            self._grace_left_s -= min(now - self._missing_at, interval_s)
        self._missing_at, self._failing_since = now, inf
        if self.policy.deadlines.unseen_s is not None and self.checkpoint.changed_at is None:
            self.deadline_at = self._limit()[0]
            return None if now < self.deadline_at else self._timed_out("it was never seen", now)
        self.deadline_at = min(now + self._grace_left_s, self.began_at + self.policy.deadlines.total_s)
        return None if now < self.deadline_at else absence

    def _timed_out(self, last: str, now: float) -> WaitStopped:
        limit = self.policy.limit(self._limit()[1])
        return self.stopped(errors.WaitTimedOut, f"the deadline {limit} passed; last seen: {last}.", now)


def _starts(job: Job) -> list[float]:
    return [task.started_at.timestamp() for task in job.tasks if task.started_at]


@dataclass(slots=True, eq=False, repr=False)
class Waiter:
    """A caller's watches by the ids of their jobs. The poller adds news, the caller awaits them."""

    watches: dict[str, Watch]
    #: Whether the poller also passes on changes, and not only ends.
    wants_changes: bool
    #: When the poller began to poll for it.
    joined_at: float = 0.0
    #: The caller's context, in which log lines about its jobs appear.
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    #: News, or the failure of the poller, which ends the wait.
    queue: asyncio.Queue[News | BaseException] = field(default_factory=asyncio.Queue)

    async def news(self) -> News:
        """Return the next news as soon as there are any. Raises the poller's failure after them."""
        news = await self.queue.get()
        if isinstance(news, BaseException):
            raise news
        return news
