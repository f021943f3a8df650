"""Waiting in line: each caller's part of it. The looks are shared by all who wait (`poller`)."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from graphql_jobs.errors import JobCancelled, JobFailed
from graphql_jobs.job import Job, JobState
from graphql_jobs.waiting.checkpoints import Checkpoint
from graphql_jobs.waiting.policy import WaitPolicy
from graphql_jobs.waiting.poller import poller_of
from graphql_jobs.waiting.waiter import Waiter
from graphql_jobs.waiting.watch import Ended, Watch, broken

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from graphql_jobs.handle import JobHandle, Seen
    from graphql_jobs.providers.base import JobClient
    from graphql_jobs.waiting.checkpoints import Checkpoints
    from graphql_jobs.waiting.metrics import Snapshot


def require_success(job: Job) -> Job:
    """The job itself. Raises `JobFailed` or `JobCancelled` if it ended otherwise than well."""
    if job.state is JobState.CANCELLED:
        raise JobCancelled(job)
    if job.state is not JobState.SUCCEEDED:
        raise JobFailed(job)
    return job


def snapshot(client: JobClient) -> Snapshot:
    """What all who waited on the client's session cost so far, and how soon they saw the ends."""
    return poller_of(client).snapshot()


async def wait(
    client: JobClient,
    handle: JobHandle,
    policy: WaitPolicy = WaitPolicy(),
    *,
    on_change: Callable[[Job], None] | None = None,
    checkpoints: Checkpoints | None = None,
) -> Job:
    """The job in its terminal state, good or bad.

    Raises `JobNotFound` or a `WaitStopped`: `WaitTimedOut`, `ProviderLost` or `CheckRefused`.
    """
    async with aclosing(wait_many(client, [handle], policy, on_change=on_change, checkpoints=checkpoints)) as ends:
        _, ended = await anext(ends)
    if isinstance(ended, Job):
        return ended
    raise ended.__cause__ or ended  # what the caller's own `on_change` raised


async def wait_many(
    client: JobClient,
    handles: Sequence[JobHandle],
    policy: WaitPolicy = WaitPolicy(),
    *,
    on_change: Callable[[Job], None] | None = None,
    checkpoints: Checkpoints | None = None,
) -> AsyncGenerator[tuple[JobHandle, Ended]]:
    """Each handle with how its wait ended, as the ends come; handles of one job are waited for once.

    All waits on the client's session share their polls. `on_change` gets each job whose status, tasks or progress
    changed, in the caller's own task; where it raises, the wait for that job ends as a `WaitStopped`, and the others go
    on. The time comes from the client's session. With `checkpoints`, deadlines go on counting after a restart also
    where the provider gives no instants.
    """
    own = [client.handle(handle) for handle in handles]
    now = client.session.clock.now()
    seen_before = await checkpoints.load({one.job_id for one in own}) if checkpoints else {}
    before = {job_id: one.no_later_than(now) for job_id, one in seen_before.items()}
    none_before = Checkpoint(first_at=now)
    waiter = Waiter(
        {one.job_id: Watch(one, policy, before.get(one.job_id, none_before)) for one in own},
        wants_changes=bool(on_change or checkpoints),
    )
    left, stopped = len(waiter.watches), set[str]()
    poller = poller_of(client)
    poller.join(waiter)
    try:
        while left:
            ends: list[tuple[JobHandle, Ended]] = []
            kept: dict[str, Checkpoint] = {}
            for watch, seen, ended in await waiter.news():
                job_id = watch.handle.job_id
                if job_id in stopped:  # it was told before that
                    continue
                if on_change and (raised := _tell(on_change, watch, seen, ended)):
                    stopped.add(job_id)
                    poller.release(waiter, job_id)
                    ended = broken(watch, client.session.clock.now(), raised, "on_change")
                    ended.__cause__ = raised
                if ended is not None:
                    ends.append((watch.handle, ended))
                elif checkpoints and watch.has_news(seen, before.get(job_id)):
                    before[job_id] = kept[job_id] = watch.checkpoint
            if checkpoints and kept:
                await checkpoints.keep(kept)
            left -= len(ends)
            for end in ends:
                yield end
    finally:
        try:
            await poller.leave(waiter)
        finally:
            if checkpoints:
                await checkpoints.close()


def _tell(on_change: Callable[[Job], None], watch: Watch, seen: Seen, ended: Ended | None) -> Exception | None:
    """Call `on_change` if there is something to tell; gives what it raises."""
    if isinstance(seen, Job) and (ended is None or watch.changed):
        try:
            on_change(seen)
        except Exception as raised:
            return raised
    return None
