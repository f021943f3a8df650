"""Shared polls: their number and times, and waits that are cancelled or end because of a bug."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from graphql_jobs import errors, wait, wait_many
from graphql_jobs.job import Job, JobState
from graphql_jobs.waiting.checkpoints import Checkpoint
from graphql_jobs.waiting.policy import Deadlines, Schedule, WaitPolicy
from graphql_jobs.waiting.poller import poller_of
from graphql_jobs.waiting.watch import Waiter, Watch
from tests.graphql_jobs.waits import EVERY_5_S, Slow, all_of, cancel, every, handle, is_idle, job, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql_jobs.handle import Seen
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Scripted


async def test_waits_of_a_session_share_their_polls(scripted: Scripted) -> None:
    """Fifty waits for one job each: the first request polls all fifty, with no more requests than for one wait."""
    client = scripted(until(60))
    names = [f"j{number}" for number in range(50)]
    await asyncio.gather(*(wait(client, handle(name), EVERY_5_S) for name in names))
    assert all(len(job_ids) == 50 for _, job_ids in client.polls[:1])
    assert len(client.polls) <= 2 + 2 * 60 / 5
    assert is_idle(client)


async def test_waits_for_one_job_share_its_polls(scripted: Scripted) -> None:
    """Two waits for a job: both get the end, with no more polls than for one."""
    client = scripted(until(30))
    ended = await asyncio.gather(*(wait(client, handle("a"), EVERY_5_S) for _ in range(2)))
    assert [one.state for one in ended] == [JobState.SUCCEEDED] * 2
    assert {job_ids for _, job_ids in client.polls} == {("a",)}
    assert len(client.polls) <= 8


async def test_waits_for_one_job_keep_their_own_deadlines(scripted: Scripted) -> None:
    """One wait gives up after 10 s; the other sees the end."""
    client = scripted(until(30))
    short = WaitPolicy(Schedule(5, 0, 5), Deadlines(total_s=10))
    first, second = await asyncio.gather(
        wait(client, handle("a"), short), wait(client, handle("a"), EVERY_5_S), return_exceptions=True
    )
    assert isinstance(first, errors.WaitTimedOut)
    assert isinstance(second, Job)


async def test_wait_that_begins_during_a_poll_keeps_its_deadline(scripted: Scripted, clock: FakeClock) -> None:
    """A job that never changes; the second wait begins while the job is polled, and gives up 12 s later."""
    client = scripted(until(1e9))
    first = asyncio.create_task(wait(client, handle("a"), EVERY_5_S))
    slow = Slow(client)
    slow.is_slow = lambda job_ids: len(slow.asked) == 3
    await clock.sleep(13)
    second = asyncio.create_task(wait(client, handle("a"), every(5, 3600, total_s=12)))
    await asyncio.sleep(0)
    began_at = clock.now()
    slow.slow[0].set()
    with pytest.raises(errors.WaitTimedOut):
        await second
    assert clock.now() - began_at == pytest.approx(12, abs=0.01)
    await cancel(first)


async def test_remaining_wait_keeps_its_interval(scripted: Scripted, clock: FakeClock) -> None:
    """One wait polls every 5 s, another every minute; the first is cancelled: from then on one poll a minute."""
    client = scripted(until(1e9))
    often, rarely = (asyncio.create_task(wait(client, handle("a"), every(interval_s, 3600))) for interval_s in (5, 60))
    await clock.sleep(31)
    often.cancel()
    await asyncio.gather(often, return_exceptions=True)
    before = len(client.polls)
    await clock.sleep(600)
    assert before >= 6
    assert 9 <= len(client.polls) - before <= 11
    rarely.cancel()
    await asyncio.gather(rarely, return_exceptions=True)


async def test_new_wait_polls_at_once(scripted: Scripted, clock: FakeClock) -> None:
    """Another wait is between two polls: a job that had ended before is seen immediately."""
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED if one == "b" or at_s > 100 else JobState.RUNNING))
    first = asyncio.create_task(wait(client, handle("a"), EVERY_5_S))
    await clock.sleep(12.3)
    began_at = clock.now()
    await wait(client, handle("b"), EVERY_5_S)
    assert clock.now() == began_at
    await first


async def test_polls_are_sent_in_full_batches(scripted: Scripted) -> None:
    """A thousand jobs every 5 s, for a minute: ten requests of a hundred jobs per interval, and a few more."""
    client = scripted(until(60))
    await all_of(client, [f"j{number}" for number in range(1000)])
    asked = [at_s for at_s, _ in client.polls if at_s < 60]
    assert all(len(job_ids) <= 100 for _, job_ids in client.polls)
    # At least 10 in each of 12 intervals; the first interval is shorter, by the job's id.
    assert 10 * 12 <= len(asked) <= 1.1 * 10 * 13


async def test_polls_are_spread_over_the_interval(scripted: Scripted) -> None:
    """A thousand jobs begin together: after the first poll, no second has more than three of the ten requests."""
    client = scripted(until(60))
    await all_of(client, [f"j{number}" for number in range(1000)])
    later = [int(at_s) for at_s, _ in client.polls if 5 < at_s < 60]
    assert max(later.count(second) for second in set(later)) <= 3


async def test_job_is_not_polled_later_than_its_interval(scripted: Scripted) -> None:
    """A job that fills a batch is polled early; no job is polled late."""
    client = scripted(until(60))
    names = [f"j{number}" for number in range(250)]
    await all_of(client, names)
    for name in names:
        polls = [at_s for at_s, job_ids in client.polls if name in job_ids]
        assert all(later - earlier <= 5.001 for earlier, later in pairwise(polls))


async def test_changed_jobs_are_polled_on_time_although_their_deadlines_differ(scripted: Scripted) -> None:
    """Twenty waits with different deadlines for five jobs, which change at 8 s."""
    client = scripted(lambda one, at_s: job(one, JobState.RUNNING if at_s >= 8 else JobState.PENDING))
    policies = [WaitPolicy(Schedule(5, 0, 5), Deadlines(total_s=20 + number / 2)) for number in range(20)]
    waits = [wait(client, handle(f"j{number % 5}"), policy) for number, policy in enumerate(policies)]
    async with asyncio.timeout(10):
        ended = await asyncio.gather(*waits, return_exceptions=True)
    assert all(isinstance(one, errors.WaitTimedOut) for one in ended)
    for name in {name for _, job_ids in client.polls for name in job_ids}:
        polls = [at_s for at_s, job_ids in client.polls if name in job_ids]
        assert all(later - earlier <= 5.001 for earlier, later in pairwise(polls))


async def test_deadline_that_begins_with_a_change_is_kept(scripted: Scripted, clock: FakeClock) -> None:
    """The job runs from 8 s on: with running_s=22 the wait gives up 22 s later, not at 900 s."""
    client = scripted(lambda one, at_s: job(one, JobState.RUNNING if at_s >= 8 else JobState.PENDING))
    began_at = clock.now()
    with pytest.raises(errors.WaitTimedOut, match="running_s=22"):
        await wait(client, handle("a"), WaitPolicy(Schedule(5, 0, 5), Deadlines(total_s=900, running_s=22)))
    assert clock.now() - began_at < 40


async def test_cancelled_wait_leaves_nothing_behind(scripted: Scripted, clock: FakeClock) -> None:
    """One of two waits is cancelled: its job is polled no more. The other is cancelled too: the poller stops."""
    client = scripted(until(1e9))
    tasks = [asyncio.create_task(wait(client, handle(name), EVERY_5_S)) for name in "ab"]
    await clock.sleep(12)
    tasks[0].cancel()
    await asyncio.gather(tasks[0], return_exceptions=True)
    before = len(client.polls)
    await clock.sleep(12)
    assert {job_ids for _, job_ids in client.polls[before:]} == {("b",)}
    tasks[1].cancel()
    await asyncio.gather(tasks[1], return_exceptions=True)
    assert is_idle(client)


async def test_wait_that_is_cancelled_as_its_job_ends_harms_no_other_wait(scripted: Scripted, clock: FakeClock) -> None:
    """Both happen in one step of the event loop: another wait for the same job gets the end."""
    client = scripted(until(30))
    gone, other = (asyncio.create_task(wait(client, handle("a"), EVERY_5_S)) for _ in range(2))
    await clock.sleep(2)

    def ends(job_id: str, at_s: float) -> Job:
        gone.cancel()
        return job(job_id, JobState.SUCCEEDED)

    client.script = ends
    assert (await other).state is JobState.SUCCEEDED
    assert gone.cancelled()
    assert is_idle(client)


async def test_wait_many_that_is_left_early_leaves_nothing_behind(scripted: Scripted) -> None:
    """`break` after the first of two ends, and the generator is closed."""
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED if one == "a" else JobState.RUNNING))
    ends = wait_many(client, [handle("a"), handle("b")], EVERY_5_S)
    async for one, _ in ends:
        assert one.job_id == "a"
        break
    await ends.aclose()
    assert is_idle(client)


async def test_bug_in_the_adapter_ends_all_waits(scripted: Scripted) -> None:
    """The adapter raises an unexpected exception: all waits end with it, and the next wait works again."""
    client = scripted(until(1e9))
    client.failing = lambda job_ids, at_s: ZeroDivisionError("a bug") if at_s > 20 else None
    waits = [wait(client, handle(name), EVERY_5_S) for name in "abc"]
    ended = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(one) for one in ended] == [ZeroDivisionError] * 3
    client.failing = lambda job_ids, at_s: None
    client.script = until(0)
    assert (await wait(client, handle("d"))).state is JobState.SUCCEEDED
    assert is_idle(client)


async def test_wait_that_begins_after_a_bug_outlives_the_waits_that_the_bug_ended(scripted: Scripted) -> None:
    """The poller fails, another wait for the same job begins, and only then does the first one end."""
    client = scripted(until(30))
    poller = poller_of(client)
    dead, alive = (Waiter({"a": Watch(handle("a"), EVERY_5_S, Checkpoint(client.clock.now()))}, False) for _ in "da")
    poller.join(dead)
    poller._stop(ZeroDivisionError("a bug"))
    poller.join(alive)
    await poller.leave(dead)
    _, _, ended = await asyncio.wait_for(alive.news(), 5.0)
    assert isinstance(ended, Job)
    await poller.leave(alive)
    assert is_idle(client)


async def test_poll_that_is_cancelled_from_outside_is_an_error_and_no_cancel(
    scripted: Scripted,
) -> None:
    """All tasks of the event loop are cancelled: the wait ends with an error other than a cancel."""
    client = scripted(until(1e9))
    gone = asyncio.Event()

    async def never(job_ids: Sequence[str]) -> dict[str, Seen]:
        gone.set()
        await asyncio.get_running_loop().create_future()
        return {}

    client.check_batch = never  # type: ignore[method-assign]
    waiting = asyncio.create_task(wait(client, handle("a")))
    await gone.wait()
    for poll in list(poller_of(client)._polls):
        poll.cancel()
    with pytest.raises(RuntimeError, match="other code cancelled the polls"):
        await waiting


async def test_on_change_that_raises_harms_no_other_wait(scripted: Scripted) -> None:
    """Two waits for one job: the one whose `on_change` raises ends with that error; the other sees the end."""
    client = scripted(until(30))

    def bad(job: Job) -> None:
        raise ValueError("the caller's own")

    first, second = await asyncio.gather(
        wait(client, handle("a"), EVERY_5_S, on_change=bad),
        wait(client, handle("a"), EVERY_5_S),
        return_exceptions=True,
    )
    assert isinstance(first, ValueError)
    assert isinstance(second, Job)


async def test_poll_runs_in_the_context_of_a_wait_for_one_of_its_jobs(scripted: Scripted) -> None:
    """Two callers have their own contexts: each request runs in one of them, so its log lines belong to that run."""
    caller: ContextVar[str] = ContextVar("caller")
    ran_for: list[tuple[str, tuple[str, ...]]] = []
    client = scripted(until(20))
    answer = client.check_batch

    async def noting(job_ids: Sequence[str]) -> dict[str, Seen]:
        ran_for.append((caller.get(), tuple(job_ids)))
        return await answer(job_ids)

    client.check_batch = noting  # type: ignore[method-assign]

    async def waiting(name: str) -> None:
        caller.set(name)
        await wait(client, handle(name), EVERY_5_S)

    await asyncio.gather(*(asyncio.create_task(waiting(name)) for name in "ab"))
    assert ran_for
    assert all(name in job_ids for name, job_ids in ran_for)


async def test_client_that_reads_otherwise_has_a_poller_of_its_own(scripted: Scripted) -> None:
    """Two clients of one session share a poller; a `lenient` one does not."""
    client, other = scripted(until(0)), scripted(until(0))
    other.session = client.session
    assert poller_of(client) is poller_of(other)

    class Lenient(type(client)):  # type: ignore[misc]
        """Reads answers differently."""

    lenient = Lenient(client.clock, until(0))
    lenient.session = client.session
    assert poller_of(lenient) is not poller_of(client)
