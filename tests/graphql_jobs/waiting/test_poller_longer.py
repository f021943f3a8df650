"""Jobs with many tasks: they are read one at a time beside all other polls, and delay no other job."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from graphql_jobs import errors, wait, wait_many
from graphql_jobs.job import Job, JobState
from graphql_jobs.providers.batching import Deferred
from graphql_jobs.waiting.poller import poller_of
from tests.graphql_jobs.waits import DOWN, EVERY_5_S, cancel, ends, handle, is_idle, job, rests, waits_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql_jobs.handle import Seen
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Scripted, ScriptedClient

#: To read one job with many tasks takes so long.
READING_S = 30.0


class Longer:
    """Makes jobs named "big..." need requests of their own; notes when each was read, and how many at once."""

    def __init__(self, client: ScriptedClient) -> None:
        self.client, self.check_batch = client, client.check_batch
        self.read: list[str] = []
        self.at_once = self.most_at_once = 0
        client.check_batch = self.check  # type: ignore[method-assign,assignment]

    async def check(self, job_ids: Sequence[str]) -> dict[str, Seen | Deferred]:
        """One poll."""
        answer = await self.check_batch(job_ids)
        return {one: Deferred(partial(self.read_rest, one)) if one.startswith("big") else answer[one] for one in answer}

    async def read_rest(self, job_id: str) -> Seen:
        """The requests for one big job."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.client.clock.sleep(READING_S)
        self.read.append(job_id)
        self.at_once -= 1
        return (await self.check_batch([job_id]))[job_id]


async def test_jobs_with_many_tasks_do_not_delay_other_jobs(scripted: Scripted, clock: FakeClock) -> None:
    """Ten jobs that each take 30 s to read, and thirty others that end after 100 s: those are seen within 5 s."""
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED if at_s >= 100 else JobState.RUNNING))
    longer = Longer(client)
    big = [asyncio.create_task(wait(client, handle(f"big{number}"), EVERY_5_S)) for number in range(10)]
    others = [handle(f"j{number}") for number in range(30)]
    began_at = clock.now()
    async for _, ended in wait_many(client, others, EVERY_5_S):
        assert isinstance(ended, Job)
    assert clock.now() - began_at <= 106
    assert longer.most_at_once == 1
    assert [one.state for one in await asyncio.gather(*big)] == [JobState.SUCCEEDED] * 10
    assert is_idle(client)


async def test_each_job_with_many_tasks_is_read_in_turn(scripted: Scripted, clock: FakeClock) -> None:
    """Three such jobs wait for 10 minutes: each is read about as often as the others."""
    client = scripted(lambda one, at_s: job(one))
    longer = Longer(client)
    waits = waits_for(client, big0=EVERY_5_S, big1=EVERY_5_S, big2=EVERY_5_S)
    await clock.sleep(600)
    counts = [longer.read.count(f"big{number}") for number in range(3)]
    assert sum(counts) >= 18
    assert max(counts) - min(counts) <= 1
    await cancel(*waits)
    assert is_idle(client)


@pytest.mark.parametrize("name", ["big0", "j0"])
async def test_outage_counts_for_a_job_with_many_tasks_as_for_any_other(
    name: str, scripted: Scripted, clock: FakeClock
) -> None:
    """The endpoint fails from the 12th second on: with an outage budget of 60 s the wait ends after some 72 s."""
    client = scripted(lambda one, at_s: job(one))
    client.failing = lambda job_ids, at_s: DOWN if at_s > 12 else None
    Longer(client)
    waits = waits_for(client, **{name: rests(5, 60)})
    began_at = clock.now()
    await asyncio.wait(waits)
    assert ends(*waits) == [errors.ProviderLost]
    assert clock.now() - began_at <= 72 + READING_S
    assert is_idle(client)


async def test_job_that_becomes_readable_after_an_outage_is_read(scripted: Scripted, clock: FakeClock) -> None:
    """An outage of a minute begins while one such job is read and another one is in the queue: both end well."""
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED if at_s >= 150 else JobState.RUNNING))
    client.failing = lambda job_ids, at_s: DOWN if 20 < at_s < 80 else None
    Longer(client)
    waits = waits_for(client, big0=rests(5, 3600), big1=rests(5, 3600), j0=rests(5, 3600))
    assert [one.state for one in await asyncio.gather(*waits)] == [JobState.SUCCEEDED] * 3
    assert not poller_of(client)._longer
