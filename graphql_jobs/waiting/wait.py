"""Wait for jobs: the caller's part. All waits on a session share polls (`poller`)."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from graphql_jobs.errors import JobCancelled, JobFailed
from graphql_jobs.job import Job, JobState
from graphql_jobs.waiting.checkpoints import Checkpoint
from graphql_jobs.waiting.policy import WaitPolicy
from graphql_jobs.waiting.poller import poller_of
from graphql_jobs.waiting.watch import Ended, Waiter, Watch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from graphql_jobs.handle import JobHandle
    from graphql_jobs.providers.base import JobClient
    from graphql_jobs.waiting.checkpoints import Checkpoints
    from graphql_jobs.waiting.metrics import Snapshot


def require_success(job: Job) -> Job:
    """Return the job. Raises `JobFailed` or `JobCancelled` if it did not succeed."""
    if job.state is JobState.CANCELLED:
        raise JobCancelled(job)
    if job.state is not JobState.SUCCEEDED:
        raise JobFailed(job)
    return job


def snapshot(client: JobClient) -> Snapshot:
    """Return the costs so far of all waits on the client's session, and how soon they saw the ends."""
    return poller_of(client).metrics.snapshot()


async def wait(
    client: JobClient,
    handle: JobHandle,
    policy: WaitPolicy = WaitPolicy(),
    *,
    on_change: Callable[[Job], None] | None = None,
    checkpoints: Checkpoints | None = None,
) -> Job:
    """Return the job in its final state, succeeded or not; otherwise as `wait_many`.

    Raises `JobNotFound` or a `WaitStopped`: `WaitTimedOut`, `ProviderLost` or `CheckRefused`.
    """
    async with aclosing(wait_many(client, [handle], policy, on_change=on_change, checkpoints=checkpoints)) as ends:
        _, ended = await anext(ends)
    if isinstance(ended, Job):
        return ended
    raise ended.__cause__ or ended  # the exception of the caller's `on_change`


async def wait_many(
    client: JobClient,
    handles: Sequence[JobHandle],
    policy: WaitPolicy = WaitPolicy(),
    *,
    on_change: Callable[[Job], None] | None = None,
    checkpoints: Checkpoints | None = None,
) -> AsyncGenerator[tuple[JobHandle, Ended]]:
    """Yield each handle with the end of its wait, as the ends come. For several handles of one job, yield one.

    `on_change` gets each job whose status, tasks or progress changed, in the caller's task. If it raises, the wait
    for that job ends as a `WaitStopped`, and others continue. With `checkpoints`, a restart does not reset deadlines
    even if the provider gives no instants. The time comes from the client's session.
    """
    own = [client.handle(handle) for handle in handles]
    now, limits = client.session.clock.now(), policy.deadlines
    if all(one.submitted_at for one in own) and not (limits.running_s or limits.unchanged_s):
        checkpoints = None  # all deadlines count from the submissions
    kept = await checkpoints.load({one.job_id for one in own}) if checkpoints else {}
    kept = {job_id: checkpoint.no_later_than(now) for job_id, checkpoint in kept.items()}
    first = Checkpoint(first_at=now)
    watches = {one.job_id: Watch(one, policy, kept.get(one.job_id, first)) for one in own}
    waiter, poller = Waiter(dict(watches), wants_changes=bool(on_change or checkpoints)), poller_of(client)
    new: dict[str, Checkpoint] = {}
    poller.join(waiter)
    try:
        while watches:
            if checkpoints and new and waiter.queue.empty():  # those of one poll are written together
                await checkpoints.keep(new)
                new = {}
            watch, seen, ended = await waiter.news()
            job_id = watch.handle.job_id
            if job_id not in watches:  # the wait for it has ended: `on_change` raised
                continue
            if on_change and isinstance(seen, Job) and (ended is None or watch.changed):
                try:
                    on_change(seen)
                except Exception as raised:
                    poller.release(waiter, job_id)
                    ended = watch.broken(raised, "on_change", client.session.clock.now())
                    ended.__cause__ = raised
            if ended is not None:
                del watches[job_id]
                yield watch.handle, ended
            elif checkpoints and watch.has_news(seen, kept.get(job_id)):
                kept[job_id] = new[job_id] = watch.checkpoint
    finally:
        try:
            await poller.leave(waiter)
        finally:
            if checkpoints:
                await checkpoints.close()
