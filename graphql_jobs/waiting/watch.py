"""How one wait judges what is seen of one job: ended, to be waited for, or to be given up. Pure."""

from __future__ import annotations

import logging
from math import inf
from traceback import format_tb
from typing import TYPE_CHECKING

from graphql_jobs.errors import (
    CheckRefused,
    GraphqlJobsError,
    JobNotFound,
    ProviderLost,
    RequestFailed,
    WaitStopped,
    WaitTimedOut,
)
from graphql_jobs.job import Job, JobState
from graphql_jobs.waiting.checkpoints import Checkpoint, digest_of

if TYPE_CHECKING:
    from graphql_jobs.handle import JobHandle, Seen
    from graphql_jobs.waiting.policy import WaitPolicy

logger = logging.getLogger(__name__)

#: How a wait ended: the job in a terminal state, good or bad, or why there is none to show.
Ended = Job | GraphqlJobsError


class Watch:
    """What a wait remembers about one job. Lean, since there may be tens of thousands."""

    __slots__ = (
        "_began_at",
        "_changed_at",
        "_created_at",
        "_deadline_name",
        "_digest",
        "_failing_since",
        "_first_at",
        "_mark",
        "_missing_since",
        "_raw_status",
        "_running_since",
        "_state",
        "changed",
        "deadline_at",
        "handle",
        "policy",
    )

    def __init__(self, handle: JobHandle, policy: WaitPolicy, checkpoint: Checkpoint) -> None:
        self.handle = handle
        self.policy = policy
        self._first_at, self._running_since = checkpoint.first_at, checkpoint.running_since
        self._changed_at, self._digest = checkpoint.changed_at, checkpoint.digest
        #: Whether the last look showed something else than the one before.
        self.changed = False
        self._mark: int | None = None  # stands for all that was seen of the job: the job itself may be large
        self._state = JobState.PENDING
        self._raw_status = ""
        self._created_at: float | None = None
        self._failing_since: float | None = None
        self._missing_since: float | None = None
        #: The instant of the limit that counts now: an outage and an absence have their own. Known with the first look.
        self.deadline_at = inf
        self._deadline_name = ""
        self._began_at = self.began_at()

    @property
    def checkpoint(self) -> Checkpoint:
        """What was seen so far, to be kept."""
        return Checkpoint(self._first_at, self._running_since, self._changed_at, self._digest)

    def judge(self, seen: Seen, now: float) -> Ended | None:
        """How the wait ended with this poll, or None: go on. The status comes before the deadline (guarantee 3)."""
        if not isinstance(seen, Job):
            return self._judge_trouble(seen, now)
        if seen.state.is_terminal:
            self.changed = True
            return seen
        mark = hash((seen.state, seen.raw_status, seen.tasks, seen.progress_percent))
        self._failing_since = self._missing_since = None
        self.changed = mark != self._mark
        if self.changed:
            self._remember(seen, mark, now)
        self._aim_at_limits()
        return None if now < self.deadline_at else self._timed_out(now, seen.describe())

    def judge_outage(self, failure: RequestFailed, since: float, now: float, delayed_since: float) -> Ended | None:
        """How the wait ended with an outage of the endpoint that began `since`, or None: go on.

        `delayed_since`: when the server asked for a delay that is not over; inf without one.
        """
        handle, waited_s = self.handle, now - self.began_at()
        # What was answered before is not refused for good: a proxy's page, a certificate, a rule that somebody changed.
        if not failure.transient and self._mark is None:
            return CheckRefused(handle.provider, [handle.job_id], waited_s, str(failure))
        gives_up_at, limit = self._outage_limit(since, delayed_since)
        if now < gives_up_at:
            return None
        detail = f"every check failed for {now - self._lost_since(since):.0f} s ({limit}): {failure}"
        return ProviderLost(handle.provider, [handle.job_id], waited_s, detail)

    def gives_up_at(self, since: float, delayed_since: float) -> float:
        """When an outage of the endpoint that began `since` has lasted too long."""
        return self._outage_limit(since, delayed_since)[0]

    def end_outage(self, since: float, now: float) -> None:
        """An outage that began `since` is over. It is no part of an absence: the job was not polled in it.

        If a poll of this job failed, its own outage lasts until one is answered.
        """
        if self._missing_since is not None and self._failing_since is None:
            self._missing_since += now - max(since, self._missing_since)
            self._aim()

    def has_news(self, seen: Seen, before: Checkpoint | None) -> bool:
        """Whether a limit needs something of this look that the provider would not tell again after a restart."""
        if not isinstance(seen, Job):
            return self._mark is None and before is None and not self.handle.submitted_at
        limits, at = self.policy.deadlines, before or Checkpoint(0.0)
        began = not (self.handle.submitted_at or seen.created_at) and before is None
        ran = limits.running_s and at.running_since != self._running_since and not _starts(seen)
        changed = limits.unchanged_s and at.digest != self._digest
        return bool(began or ran or changed)

    def interval_s(self, now: float) -> float:
        """How long the job may be left alone after a poll of it."""
        return self.policy.schedule.interval_s(now - self._began_at)

    def began_at(self) -> float:
        """The most durable beginning there is, so that a restart does not start the deadlines anew.

        Not after the first look: a clock that is ahead must not put the deadlines off.
        """
        submitted_at = self.handle.submitted_at
        known = submitted_at.timestamp() if submitted_at else self._created_at
        return self._first_at if known is None else min(known, self._first_at)

    def _remember(self, job: Job, mark: int, now: float) -> None:
        self._mark, self._state, self._raw_status = mark, job.state, job.raw_status
        if self._created_at is None and (created_at := job.created_at):  # that does not change
            self._created_at = created_at.timestamp()
            self._began_at = self.began_at()
        began_at = self._began_at
        if self.policy.deadlines.unchanged_s is None:  # nobody asks when it changed, only whether it was ever seen
            self._changed_at = now if self._changed_at is None else self._changed_at
        elif (digest := digest_of(job)) != self._digest:  # progress is no change of a status
            # A change between two looks came after the first of them, whatever the job's own instant says: nothing
            # promises that it moves with each task.
            known = job.modified_at.timestamp() if job.modified_at and not self._digest else now
            self._digest, self._changed_at = digest, max(min(known, now), began_at)
        if self._running_since is None and job.state is not JobState.PENDING:
            self._running_since = max(min([*_starts(job), now]) if job.tasks else now, began_at)

    def _aim(self) -> None:
        """Find the next deadline of a job that can be looked at."""
        if self._missing_since is not None and not self._may_be_unseen():
            self.deadline_at = self._missing_since + self.policy.not_found_grace_s
        else:
            self._aim_at_limits()

    def _aim_at_limits(self) -> None:
        """Find the next deadline of a job that shows, or that may stay unseen."""
        self.deadline_at, self._deadline_name = self._limit()

    def _limit(self) -> tuple[float, str]:
        return self.policy.deadlines.next_at(self._state, self._began_at, self._running_since, self._changed_at)

    def _may_be_unseen(self) -> bool:
        return self.policy.deadlines.unseen_s is not None and self._changed_at is None

    def _judge_trouble(self, seen: JobNotFound | RequestFailed, now: float) -> Ended | None:
        self.changed = self._failing_since is None and self._missing_since is None
        if isinstance(seen, RequestFailed):
            self._failing_since = now if self._failing_since is None else self._failing_since
            self.deadline_at = self.gives_up_at(now, inf)
            return self.judge_outage(seen, now, now, inf)
        if self._failing_since is not None and self._missing_since is not None:
            self._missing_since += now - max(self._failing_since, self._missing_since)
        self._failing_since = None
        ended = self._judge_absence(seen, now)
        self._aim()
        return ended

    def _lost_since(self, since: float) -> float:
        return since if self._failing_since is None else min(since, self._failing_since)

    def _outage_limit(self, since: float, delayed_since: float) -> tuple[float, str]:
        """When an outage has lasted too long, and the limit in words.

        A delay that began within the outage budget is sat out beyond it, until the deadline at the latest. So a poll is
        made before the wait is given up, and a server that asks for delay after delay still ends it.
        """
        gives_up_at = self._lost_since(since) + self.policy.outage_budget_s
        limit = self.policy.limit("outage_budget_s")
        deadline_at, name = self._limit()
        if delayed_since < gives_up_at < deadline_at:
            return deadline_at, f"{limit}, and the deadline {self.policy.limit(name)} passed"
        return gives_up_at, limit

    def _judge_absence(self, absence: JobNotFound, now: float) -> Ended | None:
        self._missing_since = now if self._missing_since is None else self._missing_since
        if self._may_be_unseen():
            self._aim()
            return None if now < self.deadline_at else self._timed_out(now, self._last_seen())
        overdue = now >= self.began_at() + self.policy.deadlines.total_s
        return absence if overdue or now >= self._missing_since + self.policy.not_found_grace_s else None

    def _last_seen(self) -> str:
        return "it was never seen" if self._mark is None else f"{self._state} (status {self._raw_status!r})"

    def _timed_out(self, now: float, last: str) -> WaitTimedOut:
        detail = f"the deadline {self.policy.limit(self._deadline_name)} passed; last seen: {last}."
        return WaitTimedOut(self.handle.provider, [self.handle.job_id], now - self.began_at(), detail)


def judged(watch: Watch, seen: Seen, now: float) -> Ended | None:
    """`Watch.judge`; a bug in it ends this wait and no other one."""
    try:
        return watch.judge(seen, now)
    except Exception as bug:
        return broken(watch, now, bug, "judging what was seen of the job")


def broken(watch: Watch, now: float, bug: Exception, doing: str) -> WaitStopped:
    """The end of a wait because of `bug`, whose text may be a server's: only where it was raised is logged."""
    logger.error("%s while %s:\n%s", type(bug).__name__, doing, "".join(format_tb(bug.__traceback__)))
    handle, waited_s = watch.handle, now - watch.began_at()
    return WaitStopped(handle.provider, [handle.job_id], waited_s, f"{doing} raised {type(bug).__name__}.")


def _starts(job: Job) -> list[float]:
    return [task.started_at.timestamp() for task in job.tasks if task.started_at]
