"""Slow requests, outages and a wall clock that is set."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from graphql_jobs import errors, wait, wait_many
from graphql_jobs.job import Job, JobState
from graphql_jobs.waiting.policy import Schedule, WaitPolicy
from graphql_jobs.waiting.poller import MAX_UNDER_WAY, poller_of
from tests.graphql_jobs.waits import DOWN, EVERY_5_S, Slow, all_of, cancel, every, handle, job, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql_jobs.handle import Seen
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Scripted


async def test_job_has_no_two_polls_under_way(scripted: Scripted, clock: FakeClock) -> None:
    """An answer of a busy service takes 20 s: no second poll of the job is sent before it comes."""
    client = scripted(until(1e9))
    slow = Slow(client)
    slow.is_slow = lambda job_ids: True
    waiting = asyncio.create_task(wait(client, handle("a"), EVERY_5_S))
    for number in range(1, 10):
        await clock.sleep(20)
        assert len(slow.asked) == number
        slow.slow[-1].set()
    assert slow.most_at_once == 1
    await cancel(waiting)


async def test_new_waits_do_not_poll_a_job_twice_at_once(scripted: Scripted, clock: FakeClock) -> None:
    """A poll hangs, and ten waits for its job begin and are cancelled: one poll, and the next one after it ends."""
    client = scripted(until(1e9))
    slow = Slow(client)
    slow.is_slow = lambda job_ids: "a" in job_ids
    other = asyncio.create_task(wait(client, handle("b"), EVERY_5_S))
    await clock.sleep(1)
    for _ in range(10):
        waiting = asyncio.create_task(wait(client, handle("a"), EVERY_5_S))
        await clock.sleep(1)
        await cancel(waiting)
    waiting = asyncio.create_task(wait(client, handle("a"), EVERY_5_S))
    await clock.sleep(1)
    assert len(slow.slow) == 1
    slow.slow[0].set()
    await clock.sleep(1)
    assert len(slow.slow) == 2
    await cancel(waiting, other)


async def test_slow_request_does_not_delay_other_jobs(scripted: Scripted, clock: FakeClock) -> None:
    """The first hundred of 200 jobs are in a request that is never answered: the others are seen immediately."""
    client = scripted(until(0))
    slow = Slow(client)
    slow.is_slow = lambda job_ids: "j0" in job_ids
    ends: list[tuple[str, float]] = []
    async for one, _ in wait_many(client, [handle(f"j{number}") for number in range(200)], EVERY_5_S):
        ends.append((one.job_id, clock.now() - client.began_at))
        if len(ends) == 100:
            break
    assert ends == [(f"j{number}", 0.0) for number in range(100, 200)]


async def test_answer_to_a_poll_of_before_a_wait_does_not_end_it(scripted: Scripted, clock: FakeClock) -> None:
    """A wait is cancelled while a poll reads FAILED; the job runs again, and a new wait begins before the answer."""
    failed = [True]
    client = scripted(lambda one, at_s: job(one, JobState.FAILED if one == "a" and failed[0] else JobState.RUNNING))
    slow = Slow(client)
    slow.is_slow = lambda job_ids: len(slow.asked) == 1
    other, first = (asyncio.create_task(wait(client, handle(name), EVERY_5_S)) for name in "ba")
    await clock.sleep(1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    failed[0] = False
    second = asyncio.create_task(wait(client, handle("a"), EVERY_5_S))
    await clock.sleep(0.1)
    slow.slow[0].set()
    await clock.sleep(20)
    assert not second.done()
    assert poller_of(client)._jobs.keys() == {"a", "b"}
    for waiting in (second, other):
        waiting.cancel()
    await asyncio.gather(second, other, return_exceptions=True)


async def test_job_that_is_polled_when_an_outage_begins_is_given_up_in_time(
    scripted: Scripted, clock: FakeClock
) -> None:
    """Two requests fail, an outage begins, and a third request fails: its waits end after their 60 s too."""
    client = scripted(until(1e9))
    slow = Slow(client)
    slow.is_slow = lambda job_ids: "short0" in job_ids and len(slow.asked) <= 4
    check = client.check_batch

    async def failing(job_ids: Sequence[str]) -> dict[str, Seen]:
        await check(job_ids)
        raise DOWN

    client.check_batch = failing  # type: ignore[method-assign]
    long = [asyncio.create_task(wait(client, handle(f"long{number}"), EVERY_5_S)) for number in range(200)]
    began_at = clock.now()
    names = [f"short{number}" for number in range(100)]
    short = asyncio.create_task(all_of(client, names, WaitPolicy(Schedule(5, 0, 5), outage_budget_s=60)))
    await clock.sleep(1)
    for event in slow.slow:
        event.set()
    ended = await short
    assert {type(one) for one in ended.values()} == {errors.ProviderLost}
    assert clock.now() - began_at <= 70
    for waiting in long:
        waiting.cancel()
    await asyncio.gather(*long, return_exceptions=True)


async def test_four_polls_are_under_way_at_most(scripted: Scripted) -> None:
    """Five thousand jobs join together: fifty requests, four at a time."""
    client = scripted(until(0))
    slow = Slow(client)
    await all_of(client, [f"j{number}" for number in range(5000)])
    assert len(slow.asked) == 50
    assert slow.most_at_once <= MAX_UNDER_WAY


async def test_outage_is_probed_with_one_request_at_a_time(scripted: Scripted) -> None:
    """A thousand jobs and ten minutes of 503: a probe every 2.5 s, and all ends are seen."""
    client = scripted(until(700))
    Slow(client)
    client.failing = lambda job_ids, at_s: DOWN if 60 <= at_s < 660 else None
    ended = await all_of(client, [f"j{number}" for number in range(1000)])
    assert all(isinstance(one, Job) for one in ended.values())
    during = [at_s for at_s, _ in client.polls if 60 <= at_s < 660]
    assert len(during) <= 600 / 2.5 + 2 * MAX_UNDER_WAY + 10


async def test_ends_within_an_outage_are_seen_soon_after_it(scripted: Scripted, clock: FakeClock) -> None:
    """All jobs end during the outage: all ends are seen within an interval after it."""
    client = scripted(until(100))
    client.failing = lambda job_ids, at_s: DOWN if 60 <= at_s < 200 else None
    await all_of(client, [f"j{number}" for number in range(500)])
    assert 200 <= clock.now() - client.began_at <= 205


async def test_each_wait_gives_up_by_its_own_outage_budget(scripted: Scripted, clock: FakeClock) -> None:
    """Budgets of 100 s and of 300 s: each wait ends at its instant, and its error names budget and failure."""
    client = scripted(until(1e9))
    client.failing = lambda job_ids, at_s: DOWN if at_s >= 10 else None
    gave_up_at: dict[float, float] = {}

    async def waiting(budget_s: float) -> None:
        policy = WaitPolicy(Schedule(5, 0, 5), outage_budget_s=budget_s)
        with pytest.raises(errors.ProviderLost, match=f"outage_budget_s={budget_s:g}.*HTTP 503"):
            await wait(client, handle(f"j{budget_s:g}"), policy)
        gave_up_at[budget_s] = clock.now() - client.began_at

    await asyncio.gather(waiting(100), waiting(300))
    began_s = gave_up_at[100] - 100
    assert 10 <= began_s <= 15
    assert gave_up_at[300] - 300 == pytest.approx(began_s, abs=1e-2)


@pytest.mark.parametrize("jobs", [1, 400])
async def test_wait_that_begins_in_an_outage_has_its_whole_outage_budget(
    jobs: int, scripted: Scripted, clock: FakeClock
) -> None:
    """Down since 100 s: a wait that begins now gives up 50 s later, also one for four full batches."""
    client = scripted(until(1e9))
    client.failing = lambda job_ids, at_s: DOWN
    first = asyncio.create_task(wait(client, handle("a"), EVERY_5_S))
    await clock.sleep(100)
    joined_at = clock.now()
    ended = await all_of(client, [f"j{number}" for number in range(jobs)], every(5, 50))
    assert {type(one) for one in ended.values()} == {errors.ProviderLost}
    assert 50 <= clock.now() - joined_at <= 53
    await cancel(first)


async def test_outage_is_logged_when_it_begins_and_when_it_ends(
    scripted: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    """Two outages of a minute: two warnings, and two lines for their ends."""
    caplog.set_level("INFO", "graphql_jobs.waiting.poller")
    client = scripted(until(400))
    client.failing = lambda job_ids, at_s: DOWN if 60 <= at_s < 120 or 200 <= at_s < 260 else None
    await all_of(client, [f"j{number}" for number in range(300)])
    words = [" ".join(record.getMessage().replace(",", "").split()[:2]) for record in caplog.records]
    assert [word for word in words if word in {"Polls of", "The provider"}] == ["Polls of", "The provider"] * 2


async def test_wall_clock_that_is_set_back_stops_no_poll(scripted: Scripted, clock: FakeClock) -> None:
    """The clock is set back by a day during a wait: the intervals do not change."""
    client = scripted(lambda one, at_s: job(one))
    waiting = asyncio.create_task(wait(client, handle("a"), EVERY_5_S))
    await clock.sleep(30)
    before, began_at = len(client.polls), clock.monotonic()
    clock.set_by_s -= 86400
    await clock.sleep(50)
    assert len(client.polls) - before >= 9
    assert clock.monotonic() - began_at == pytest.approx(50)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
