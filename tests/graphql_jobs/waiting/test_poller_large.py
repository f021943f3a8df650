"""Jobs with many tasks, which need their own requests: they are polled separately and do not delay other jobs."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from graphql_jobs import errors, wait, wait_many
from graphql_jobs.job import Job, JobState
from graphql_jobs.providers.batching import Deferred
from graphql_jobs.waiting.poller import MAX_LARGE
from tests.graphql_jobs.waits import DOWN, EVERY_5_S, cancel, ends, every, handle, is_idle, until, waits_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql_jobs.handle import Seen
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Scripted, ScriptedClient

#: How long it takes to read a large job.
READING_S = 30.0


class Large:
    """Makes jobs named "big..." large; records when each was read, how many at a time, how often one was deferred."""

    def __init__(self, client: ScriptedClient) -> None:
        self.client, self.check_batch = client, client.check_batch
        self.read: list[str] = []
        self.batches: list[tuple[str, ...]] = []
        self.at_once = self.most_at_once = 0
        client.check_batch = self.check  # type: ignore[method-assign,assignment]

    async def check(self, job_ids: Sequence[str]) -> dict[str, Seen | Deferred]:
        """One request."""
        answer = await self.check_batch(job_ids)
        self.batches.append(tuple(job_ids))
        return {one: Deferred(partial(self.read_rest, one)) if one.startswith("big") else answer[one] for one in answer}

    async def read_rest(self, job_id: str) -> Seen:
        """The further requests for one job."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.client.clock.sleep(READING_S)
        self.read.append(job_id)
        self.at_once -= 1
        return (await self.check_batch([job_id]))[job_id]


async def test_large_jobs_do_not_delay_other_jobs(scripted: Scripted, clock: FakeClock) -> None:
    """Ten jobs take 30 s each to read, and thirty others end after 100 s: these ends are seen within 5 s."""
    client = scripted(until(100))
    large = Large(client)
    big = [asyncio.create_task(wait(client, handle(f"big{number}"), EVERY_5_S)) for number in range(10)]
    async for _, ended in wait_many(client, [handle(f"j{number}") for number in range(30)], EVERY_5_S):
        assert isinstance(ended, Job)
    assert clock.now() - client.began_at <= 106
    assert large.most_at_once == MAX_LARGE
    assert [one.state for one in await asyncio.gather(*big)] == [JobState.SUCCEEDED] * 10
    assert is_idle(client)


async def test_large_jobs_are_polled_in_turn(scripted: Scripted, clock: FakeClock) -> None:
    """Three large jobs for ten minutes: each is read as often as the others, and is in one batch with them once."""
    client = scripted(until(1e9))
    large = Large(client)
    waits = waits_for(client, big0=EVERY_5_S, big1=EVERY_5_S, big2=EVERY_5_S)
    await clock.sleep(600)
    counts = [large.read.count(f"big{number}") for number in range(3)]
    assert sum(counts) >= 36
    assert max(counts) - min(counts) <= 1
    assert [batch for batch in large.batches if len(batch) > 1] == [("big0", "big1", "big2")]
    await cancel(*waits)
    assert is_idle(client)


async def test_deadline_of_a_large_job_is_judged_when_it_is_its_turn(scripted: Scripted, clock: FakeClock) -> None:
    """Twenty large jobs with total_s=100, two read at a time: the last wait ends after 400 s, not after 700 s."""
    client = scripted(until(1e9))
    Large(client)
    waits = waits_for(client, **{f"big{number}": every(5, 60, 100) for number in range(20)})
    await asyncio.wait(waits)
    assert set(ends(*waits)) == {errors.WaitTimedOut}
    assert clock.now() - client.began_at <= 20 / 2 * READING_S + 100 + READING_S


@pytest.mark.parametrize("name", ["big0", "j0"])
async def test_outage_counts_for_a_large_job_as_for_any_other(name: str, scripted: Scripted, clock: FakeClock) -> None:
    """The endpoint fails from 12 s on: with an outage budget of 60 s the wait ends after about 72 s."""
    client = scripted(until(1e9))
    client.failing = lambda job_ids, at_s: DOWN if at_s > 12 else None
    Large(client)
    waits = waits_for(client, **{name: every(5, 60)})
    await asyncio.wait(waits)
    assert ends(*waits) == [errors.ProviderLost]
    assert clock.now() - client.began_at <= 72 + READING_S
    assert is_idle(client)


async def test_large_job_is_read_after_an_outage(scripted: Scripted, clock: FakeClock) -> None:
    """An outage of a minute begins while one large job is read and another is due: both succeed."""
    client = scripted(until(150))
    client.failing = lambda job_ids, at_s: DOWN if 20 < at_s < 80 else None
    Large(client)
    waits = waits_for(client, big0=every(5, 3600), big1=every(5, 3600), j0=every(5, 3600))
    assert [one.state for one in await asyncio.gather(*waits)] == [JobState.SUCCEEDED] * 3


async def test_released_large_job_does_not_make_the_poller_spin(scripted: Scripted, clock: FakeClock) -> None:
    """In an outage, a wait is cancelled just before it gives up, while a large job is read: few steps follow."""
    client = scripted(until(1e9))
    large = Large(client)
    waits = waits_for(client, big0=every(5, 3600), a=every(5, 3600), b=every(5, 60))
    await clock.sleep(1)
    client.failing = lambda job_ids, at_s: DOWN
    await clock.sleep(59)
    await cancel(*waits[1:])
    before = len(client.polls)
    await clock.sleep(60)
    assert len(client.polls) - before <= 60
    assert large.at_once <= 1
    await cancel(*waits)
    assert is_idle(client)
