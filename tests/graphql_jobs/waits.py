"""Helpers for the tests of waiting: scripts, waits, a client with slow answers, and a check that nothing remains."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from graphql_jobs import errors, wait, wait_many
from graphql_jobs.handle import JobHandle
from graphql_jobs.job import Job, JobState, JobTask
from graphql_jobs.waiting.policy import Deadlines, Schedule, WaitPolicy
from graphql_jobs.waiting.poller import poller_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphql_jobs.handle import Seen
    from tests.graphql_jobs.conftest import ScriptedClient

EVERY_5_S = WaitPolicy(Schedule(5, 0, 5))
DOWN = errors.ServerFailed("fake", "check", "", "HTTP 503")
REFUSED = errors.SignInFailed("fake", "check", "", "HTTP 401")


def handle(job_id: str = "a", submitted_at: float | None = None) -> JobHandle:
    """The handle of a job, with the instant of its submission if it is known."""
    instant = datetime.fromtimestamp(submitted_at, UTC) if submitted_at is not None else None
    return JobHandle(provider="fake", endpoint="http://fake.invalid/graphql", job_id=job_id, submitted_at=instant)


def job(job_id: str, state: JobState = JobState.RUNNING, tasks: tuple[JobTask, ...] = (), **raw: Any) -> Job:
    """A job as one poll shows it."""
    return Job("fake", job_id, state, state.lower(), tasks, **raw)


def until(end_s: float) -> Callable[[str, float], Job]:
    """A script: every job runs until `end_s`."""
    return lambda one, at_s: job(one, JobState.SUCCEEDED if at_s >= end_s else JobState.RUNNING)


def every(interval_s: float, budget_s: float, total_s: float = 86_400.0) -> WaitPolicy:
    """A policy with a poll interval, an outage budget and a deadline."""
    return WaitPolicy(Schedule(interval_s, 0, interval_s), Deadlines(total_s=total_s), outage_budget_s=budget_s)


def waits_for(client: ScriptedClient, **policies: WaitPolicy) -> list[asyncio.Task[Job]]:
    """A separate wait for each job."""
    return [asyncio.create_task(wait(client, handle(name), policy)) for name, policy in policies.items()]


def ends(*waits: asyncio.Task[Job]) -> list[type]:
    """The types of their ends."""
    return [Job if not one.exception() else type(one.exception()) for one in waits]


async def cancel(*waits: asyncio.Task[Job]) -> None:
    """Cancel the waits."""
    for waiting in waits:
        waiting.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


async def all_of(client: ScriptedClient, names: Sequence[str], policy: WaitPolicy = EVERY_5_S) -> dict[str, Any]:
    """The end of the wait for each of the jobs."""
    handles = [handle(name) for name in names]
    return {one.job_id: ended async for one, ended in wait_many(client, handles, policy)}


def is_idle(client: ScriptedClient) -> bool:
    """Whether the poller has no waiter, job, poll or timer left."""
    poller = poller_of(client)
    return not (poller._waiters or poller._jobs or poller._polls or poller._timer)


class Slow:
    """Delays the answers for slow jobs until the test releases them; answers the others immediately."""

    def __init__(self, client: ScriptedClient) -> None:
        self.answer = client.check_batch
        self.slow: list[asyncio.Event] = []
        self.asked: list[tuple[str, ...]] = []
        self.most_at_once = self.at_once = 0
        client.check_batch = self.check  # type: ignore[method-assign]
        self.is_slow: Callable[[Sequence[str]], bool] = lambda job_ids: False

    async def check(self, job_ids: Sequence[str]) -> dict[str, Seen]:
        """One request."""
        self.asked.append(tuple(job_ids))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            answer = await self.answer(job_ids)
            if self.is_slow(job_ids):
                self.slow.append(asyncio.Event())
                await self.slow[-1].wait()
            return answer
        finally:
            self.at_once -= 1
