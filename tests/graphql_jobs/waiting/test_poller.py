"""The poller's rules: what waits share, what it costs, and that none waits for ever."""

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
from graphql_jobs.waiting.waiter import Waiter
from graphql_jobs.waiting.watch import Watch
from tests.graphql_jobs.waits import EVERY_5_S, all_of, handle, is_idle, job, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql_jobs.handle import Seen
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Scripted


async def test_all_waits_of_a_session_share_their_looks(scripted: Scripted) -> None:
    """Fifty single waits: each look names all fifty, as one wait for fifty would."""
    client = scripted(until(60))
    names = [f"j{number}" for number in range(50)]
    await asyncio.gather(*(wait(client, handle(name), EVERY_5_S) for name in names))
    assert all(len(job_ids) == 50 for _, job_ids in client.looks[:1])
    assert len(client.looks) <= 2 + 2 * 60 / 5
    assert is_idle(client)


async def test_two_waits_for_one_job_share_a_slot(scripted: Scripted) -> None:
    """Both get the end; no look names the job twice, and there are no more looks than for one."""
    client = scripted(until(30))
    ended = await asyncio.gather(*(wait(client, handle("a"), EVERY_5_S) for _ in range(2)))
    assert [one.state for one in ended] == [JobState.SUCCEEDED] * 2
    assert {job_ids for _, job_ids in client.looks} == {("a",)}
    assert len(client.looks) <= 8


async def test_two_waits_for_one_job_keep_their_own_limits(scripted: Scripted) -> None:
    """One gives up after 10 s; the other sees the end."""
    client = scripted(until(30))
    short = WaitPolicy(Schedule(5, 0, 5), Deadlines(total_s=10))
    first, second = await asyncio.gather(
        wait(client, handle("a"), short), wait(client, handle("a"), EVERY_5_S), return_exceptions=True
    )
    assert isinstance(first, errors.WaitTimedOut)
    assert isinstance(second, Job)


async def test_who_is_left_is_asked_for_in_its_own_time(scripted: Scripted, clock: FakeClock) -> None:
    """One wants a look every 5 s, the other every minute; the first is cancelled: from then on a look every minute."""
    client = scripted(until(1e9))
    often, rarely = (
        asyncio.create_task(wait(client, handle("a"), WaitPolicy(Schedule(pause_s, 0, pause_s)))) for pause_s in (5, 60)
    )
    await clock.sleep(31)
    often.cancel()
    await asyncio.gather(often, return_exceptions=True)
    before = len(client.looks)
    await clock.sleep(600)
    assert before >= 6
    assert 9 <= len(client.looks) - before <= 11
    rarely.cancel()
    await asyncio.gather(rarely, return_exceptions=True)


async def test_who_joins_is_served_at_once(scripted: Scripted, clock: FakeClock) -> None:
    """A job that had ended before is seen without a pause, also when others have been waited for for long."""
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED if one == "b" or at_s > 100 else JobState.RUNNING))
    first = asyncio.create_task(wait(client, handle("a"), EVERY_5_S))
    await clock.sleep(12.3)
    began_at = clock.now()
    await wait(client, handle("b"), EVERY_5_S)
    assert clock.now() == began_at
    await first


async def test_ten_times_as_many_jobs_cost_no_more_requests_than_their_batches(scripted: Scripted) -> None:
    """A thousand jobs in batches of a hundred, looked at every 5 s for a minute: ten requests a pause and few more."""
    client = scripted(until(60))
    await all_of(client, [f"j{number}" for number in range(1000)])
    asked = [at_s for at_s, _ in client.looks if at_s < 60]
    assert all(len(job_ids) <= 100 for _, job_ids in client.looks)
    # The floor is 10 at each of 12 beats; the first pause is shared out by the jobs' ids.
    assert 10 * 12 <= len(asked) <= 1.1 * 10 * 13


async def test_the_looks_are_spread_over_the_pause(scripted: Scripted) -> None:
    """A thousand jobs that begin at once: after the first look no second holds more than three of the ten requests."""
    client = scripted(until(60))
    await all_of(client, [f"j{number}" for number in range(1000)])
    later = [int(at_s) for at_s, _ in client.looks if 5 < at_s < 60]
    assert max(later.count(second) for second in set(later)) <= 3


async def test_no_job_is_left_alone_for_longer_than_its_pause(scripted: Scripted) -> None:
    """What fills up a request comes early, never late."""
    client = scripted(until(60))
    names = [f"j{number}" for number in range(250)]
    await all_of(client, names)
    for name in names:
        looks = [at_s for at_s, job_ids in client.looks if name in job_ids]
        assert all(later - earlier <= 5.001 for earlier, later in pairwise(looks))


async def test_changed_jobs_are_polled_on_time_although_their_deadlines_differ(scripted: Scripted) -> None:
    """Jobs of one policy change while they are waited for, and their deadlines differ."""
    client = scripted(lambda one, at_s: job(one, JobState.RUNNING if at_s >= 8 else JobState.PENDING))
    policies = [WaitPolicy(Schedule(5, 0, 5), Deadlines(total_s=20 + number / 2)) for number in range(20)]
    waits = [wait(client, handle(f"j{number % 5}"), policy) for number, policy in enumerate(policies)]
    async with asyncio.timeout(10):
        ended = await asyncio.gather(*waits, return_exceptions=True)
    assert all(isinstance(one, errors.WaitTimedOut) for one in ended)
    for name in {name for _, job_ids in client.looks for name in job_ids}:
        looks = [at_s for at_s, job_ids in client.looks if name in job_ids]
        assert all(later - earlier <= 5.001 for earlier, later in pairwise(looks))


async def test_a_deadline_that_begins_with_a_change_is_kept(scripted: Scripted, clock: FakeClock) -> None:
    """The job begins to run, and stays in its round: 22 s later the wait gives up, not at its 900 s."""
    client = scripted(lambda one, at_s: job(one, JobState.RUNNING if at_s >= 8 else JobState.PENDING))
    began_at = clock.now()
    with pytest.raises(errors.WaitTimedOut, match="running_s=22"):
        await wait(client, handle("a"), WaitPolicy(Schedule(5, 0, 5), Deadlines(total_s=900, running_s=22)))
    assert clock.now() - began_at < 40


async def test_cancelled_request_leaves_the_queue(scripted: Scripted, clock: FakeClock) -> None:
    """Two wait, one is cancelled: its job is asked for no more; the other is cancelled, and all stands still."""
    client = scripted(until(1e9))
    tasks = [asyncio.create_task(wait(client, handle(name), EVERY_5_S)) for name in "ab"]
    await clock.sleep(12)
    tasks[0].cancel()
    await asyncio.gather(tasks[0], return_exceptions=True)
    before = len(client.looks)
    await clock.sleep(12)
    assert {job_ids for _, job_ids in client.looks[before:]} == {("b",)}
    tasks[1].cancel()
    await asyncio.gather(tasks[1], return_exceptions=True)
    assert is_idle(client)


async def test_a_wait_that_is_cancelled_as_its_end_comes_harms_nobody(scripted: Scripted, clock: FakeClock) -> None:
    """Its cancel and its job's end meet in one step of the event loop: the other, on the same job, gets the end."""
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


async def test_a_loop_that_is_left_early_leaves_nothing_behind(scripted: Scripted) -> None:
    """`break` after the first of two ends, and the generator closed."""
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED if one == "a" else JobState.RUNNING))
    ends = wait_many(client, [handle("a"), handle("b")], EVERY_5_S)
    async for one, _ in ends:
        assert one.job_id == "a"
        break
    await ends.aclose()
    assert is_idle(client)


async def test_a_bug_is_told_to_all_who_wait(scripted: Scripted) -> None:
    """The adapter raises what no adapter should: nobody waits for ever, and the next wait works again."""
    client = scripted(until(1e9))
    client.failing = lambda job_ids, at_s: ZeroDivisionError("a bug") if at_s > 20 else None
    waits = [wait(client, handle(name), EVERY_5_S) for name in "abc"]
    ended = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(one) for one in ended] == [ZeroDivisionError] * 3
    client.failing = lambda job_ids, at_s: None
    client.script = until(0)
    assert (await wait(client, handle("d"))).state is JobState.SUCCEEDED
    assert is_idle(client)


async def test_who_joins_after_a_death_is_not_forgotten_when_the_dead_leave(scripted: Scripted) -> None:
    """The poller dies, another waits for the same job, and only then does the first one leave."""
    client = scripted(until(30))
    poller = poller_of(client)
    dead, alive = (Waiter({"a": Watch(handle("a"), EVERY_5_S, Checkpoint(client.clock.now()))}, False) for _ in "da")
    poller.join(dead)
    poller._die(ZeroDivisionError("a bug"))
    poller.join(alive)
    await poller.leave(dead)
    [(_, _, ended)] = await asyncio.wait_for(alive.news(), 5.0)
    assert isinstance(ended, Job)
    await poller.leave(alive)
    assert is_idle(client)


async def test_a_request_that_is_cancelled_from_outside_is_told_and_is_no_cancel_of_the_wait(
    scripted: Scripted,
) -> None:
    """Somebody cancels all tasks that he does not know: the wait ends with an error that is not a cancel."""
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
    with pytest.raises(RuntimeError, match="cancelled from outside"):
        await waiting


async def test_what_a_caller_supplies_harms_nobody_else(scripted: Scripted) -> None:
    """One caller's `on_change` raises: that wait ends with it; the other's goes on, and sees the end."""
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


async def test_what_is_logged_about_a_job_belongs_to_who_waits_for_it(scripted: Scripted) -> None:
    """Two callers in contexts of their own; each request runs in that of one whose jobs it is about."""
    caller: ContextVar[str] = ContextVar("caller")
    ran_for: list[tuple[str, tuple[str, ...]]] = []
    client = scripted(until(20))
    look = client.check_batch

    async def noting(job_ids: Sequence[str]) -> dict[str, Seen]:
        ran_for.append((caller.get(), tuple(job_ids)))
        return await look(job_ids)

    client.check_batch = noting  # type: ignore[method-assign]

    async def waiting(name: str) -> None:
        caller.set(name)
        await wait(client, handle(name), EVERY_5_S)

    await asyncio.gather(*(asyncio.create_task(waiting(name)) for name in "ab"))
    assert ran_for
    assert all(name in job_ids for name, job_ids in ran_for)


async def test_who_reads_in_another_way_has_a_hub_of_its_own(scripted: Scripted) -> None:
    """Two clients of one session share; one that judges otherwise does not."""
    client, other = scripted(until(0)), scripted(until(0))
    other.session = client.session
    assert poller_of(client) is poller_of(other)

    class Lenient(type(client)):  # type: ignore[misc]
        """Judges otherwise."""

    lenient = Lenient(client.clock, until(0))
    lenient.session = client.session
    assert poller_of(lenient) is not poller_of(client)
