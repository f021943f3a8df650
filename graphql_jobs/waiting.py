"""Waiting in line: one loop that looks at jobs until each has ended, or until we stop waiting for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from graphql_jobs.errors import (
    CheckRefused,
    GraphqlJobsError,
    JobCancelled,
    JobFailed,
    JobNotFound,
    ProviderLost,
    RequestFailed,
    WaitTimedOut,
)
from graphql_jobs.job import Job, JobHandle, JobState
from graphql_jobs.schedule import WaitPolicy
from graphql_jobs.sights import Sight, digest_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from graphql_jobs.provider import JobClient, Seen
    from graphql_jobs.sights import Sights

#: How a wait ended: the job in a terminal state, good or bad, or why there is none to show.
Ended = Job | GraphqlJobsError


def require_success(job: Job) -> Job:
    """The job itself. Raises `JobFailed` or `JobCancelled` if it ended otherwise than well."""
    if job.state is JobState.CANCELLED:
        raise JobCancelled(job)
    if job.state is not JobState.SUCCEEDED:
        raise JobFailed(job)
    return job


async def wait(
    client: JobClient,
    handle: JobHandle,
    policy: WaitPolicy = WaitPolicy(),
    *,
    rng: Random | None = None,
    on_change: Callable[[Job], None] | None = None,
    sights: Sights | None = None,
) -> Job:
    """The job in its terminal state, good or bad.

    Raises `JobNotFound` or a `WaitStopped`: `WaitTimedOut`, `ProviderLost` or `CheckRefused`.
    """
    async for _, ended in wait_many(client, [handle], policy, rng=rng, on_change=on_change, sights=sights):
        if isinstance(ended, Job):
            return ended
        raise ended
    raise AssertionError("a wait for one job ends with that job")


async def wait_many(
    client: JobClient,
    handles: Sequence[JobHandle],
    policy: WaitPolicy = WaitPolicy(),
    *,
    rng: Random | None = None,
    on_change: Callable[[Job], None] | None = None,
    sights: Sights | None = None,
) -> AsyncIterator[tuple[JobHandle, Ended]]:
    """Each handle with how its wait ended, as the ends come; handles of one job are waited for once.

    All that still wait are looked at together, in the client's batches. `on_change` gets each job whose status, tasks
    or progress changed. The time comes from the client's session. With `sights`, deadlines go on counting after a
    restart also where the provider gives no instants.
    """
    clock = client.session.clock
    delays = policy.schedule.delays(rng or Random())  # noqa: S311 (spreads load, guards nothing)
    own = [client.handle(handle) for handle in handles]
    before = await sights.load() if sights else {}
    watches = {
        handle.job_id: _Watch(handle, before.get(handle.job_id) or Sight(first_at=clock.now())) for handle in own
    }
    while watches:
        seen_now = await client.check(list(watches))
        now = clock.now()
        news: dict[str, Sight] = {}
        ends: list[tuple[JobHandle, Ended]] = []
        for job_id, seen in seen_now.items():
            watch = watches[job_id]
            if isinstance(seen, Job) and watch.changed(seen) and on_change:
                on_change(seen)
            if (ended := watch.judge(seen, policy, now)) is not None:
                del watches[job_id]
                ends.append((watch.handle, ended))
            elif watch.has_news(before.get(job_id), policy):
                before[job_id] = news[job_id] = replace(watch.sight)
        if sights and news:
            await sights.keep(news)
        for handle, ended in ends:
            yield handle, ended
        if watches:
            wake_at = min([clock.now() + next(delays), *(watch.deadline_at(policy)[0] for watch in watches.values())])
            await clock.sleep(max(wake_at - clock.now(), 0.0))


@dataclass(slots=True)
class _Watch:
    """What a wait remembers about one job."""

    handle: JobHandle
    sight: Sight
    last: Job | None = None
    failing_since: float | None = None
    missing_since: float | None = None

    def changed(self, job: Job) -> bool:
        last = self.last
        return last is None or (last.raw_status, last.tasks, last.progress_percent) != (
            job.raw_status,
            job.tasks,
            job.progress_percent,
        )

    def judge(self, seen: Seen, policy: WaitPolicy, now: float) -> Ended | None:
        """How the wait ended with this look, or None: go on. The status comes first, then the deadline (law 3)."""
        if isinstance(seen, RequestFailed):
            return self._judge_failure(seen, policy, now)
        self._end_outage(now)
        if isinstance(seen, JobNotFound):
            return self._judge_absence(seen, policy, now)
        self.missing_since = None
        is_new, self.last = self.changed(seen), seen
        if seen.state.is_terminal:
            return seen
        sight = self.sight
        if is_new and (digest := digest_of(seen)) != sight.digest:
            known = seen.modified_at.timestamp() if seen.modified_at else now
            sight.digest, sight.changed_at = digest, max(min(known, now), self._began_at())
        if sight.running_since is None and seen.state is not JobState.PENDING:
            sight.running_since = max(_started_at(seen, now), self._began_at())
        return self._judge_deadline(policy, now)

    def deadline_at(self, policy: WaitPolicy) -> tuple[float, str]:
        """The instant and name of the limit that counts now: an outage and an absence have their own."""
        if self.failing_since is not None:
            return self.failing_since + policy.outage_budget_s, "outage_budget_s"
        if self.missing_since is not None and not self._may_be_unseen(policy):
            return self.missing_since + policy.not_found_grace_s, "not_found_grace_s"
        state = self.last.state if self.last else JobState.PENDING
        return policy.deadlines.next_at(state, self._began_at(), self.sight.running_since, self.sight.changed_at)

    def has_news(self, before: Sight | None, policy: WaitPolicy) -> bool:
        """Whether a limit needs something that the provider would not tell again after a restart."""
        if self.last is None:
            return before is None and not self.handle.submitted_at
        limits, at = policy.deadlines, before or Sight(0.0)
        began = not (self.handle.submitted_at or self.last.created_at) and before is None
        ran = limits.running_s and at.running_since != self.sight.running_since and not _starts(self.last)
        changed = limits.unchanged_s and at.digest != self.sight.digest and not self.last.modified_at
        return bool(began or ran or changed)

    def _may_be_unseen(self, policy: WaitPolicy) -> bool:
        return policy.deadlines.unseen_s is not None and self.sight.changed_at is None

    def _end_outage(self, now: float) -> None:
        """An outage is not part of an absence: nobody could look."""
        if self.failing_since is not None and self.missing_since is not None:
            self.missing_since += now - self.failing_since
        self.failing_since = None

    def _judge_failure(self, failure: RequestFailed, policy: WaitPolicy, now: float) -> Ended | None:
        if not failure.transient and self.last is None:
            return CheckRefused(self.handle.provider, [self.handle.job_id], now - self._began_at(), str(failure))
        # What was answered before is not refused for good: a proxy's page, a certificate, a rule that somebody changed.
        self.failing_since = now if self.failing_since is None else self.failing_since
        lost_s = now - self.failing_since
        if lost_s < policy.outage_budget_s:
            return None
        detail = f"every check failed for {lost_s:.0f} s (outage_budget_s={policy.outage_budget_s:g}): {failure}"
        return ProviderLost(self.handle.provider, [self.handle.job_id], now - self._began_at(), detail)

    def _judge_absence(self, absence: JobNotFound, policy: WaitPolicy, now: float) -> Ended | None:
        self.missing_since = now if self.missing_since is None else self.missing_since
        if self._may_be_unseen(policy):
            return self._judge_deadline(policy, now)
        overdue = now >= self._began_at() + policy.deadlines.total_s
        return absence if overdue or now - self.missing_since >= policy.not_found_grace_s else None

    def _judge_deadline(self, policy: WaitPolicy, now: float) -> Ended | None:
        at, name = self.deadline_at(policy)
        if now < at:
            return None
        last = self.last.describe() if self.last else "it was never seen"
        detail = f"the deadline {name} passed; last seen: {last}."
        return WaitTimedOut(self.handle.provider, [self.handle.job_id], now - self._began_at(), detail)

    def _began_at(self) -> float:
        """The most durable beginning there is, so that a restart does not start the deadlines anew.

        Not after the first look: a clock that is ahead must not put the deadlines off.
        """
        known = self.handle.submitted_at or (self.last.created_at if self.last else None)
        return min(known.timestamp(), self.sight.first_at) if known else self.sight.first_at


def _starts(job: Job) -> list[float]:
    return [task.started_at.timestamp() for task in job.tasks if task.started_at]


def _started_at(job: Job, now: float) -> float:
    return min([*_starts(job), now])
