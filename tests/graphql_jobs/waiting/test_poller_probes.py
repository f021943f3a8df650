"""Probes of an outage that hang or fail, and the waits for other jobs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from graphql_jobs import errors
from graphql_jobs.job import Job
from graphql_jobs.waiting.poller import poller_of
from tests.graphql_jobs.waits import DOWN, REFUSED, Slow, cancel, ends, every, until, waits_for

if TYPE_CHECKING:
    import pytest

    from graphql_jobs.providers.base import JobClient
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Scripted

BAD = errors.RequestRefused("fake", "check", "job a", "HTTP 400")


def count_steps(client: JobClient, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The instants of the poller's steps; it raises after a thousand steps."""
    poller, steps = poller_of(client), list[float]()
    step = poller._step

    def counted() -> None:
        steps.append(client.session.clock.now())
        if len(steps) > 1000:
            poller._stop(RuntimeError("the poller spins"))
        else:
            step()

    monkeypatch.setattr(poller, "_step", counted)
    return steps


async def test_poller_is_idle_while_a_probe_hangs_beyond_the_outage_budget(
    scripted: Scripted, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server does not answer, and the budget ends while a probe is under way: the poller takes few steps."""
    client = scripted(until(1e9))
    steps = count_steps(client, monkeypatch)
    answer = client.check_batch

    async def hang(job_ids: list[str]) -> object:
        if clock.now() - client.began_at > 20:
            await clock.sleep(20)
            raise DOWN
        return await answer(job_ids)

    monkeypatch.setattr(client, "check_batch", hang)
    waits = waits_for(client, a=every(5, 50), b=every(5, 50))
    await asyncio.wait(waits)
    assert ends(*waits) == [errors.ProviderLost] * 2
    assert len(steps) < 100


async def test_wait_with_a_small_outage_budget_is_probed_before_it_gives_up(
    scripted: Scripted, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is refused, and probes are sent once a minute: a new wait gives up after its 10 s."""
    client = scripted(until(1e9))
    client.failing = lambda job_ids, at_s: REFUSED if at_s >= 20 else None
    steps = count_steps(client, monkeypatch)
    waits = waits_for(client, a=every(5, 3600), b=every(5, 3600))
    await clock.sleep(200)
    (newcomer,) = waits_for(client, c=every(5, 10))
    joined_at = clock.now()
    await asyncio.wait([newcomer])
    assert clock.now() - joined_at <= 11
    assert ends(newcomer) in ([errors.CheckRefused], [errors.ProviderLost])
    assert len(steps) < 200
    await cancel(*waits)


async def test_refused_job_ends_no_wait_for_a_job_that_was_not_polled(scripted: Scripted, clock: FakeClock) -> None:
    """The server refuses the only job, which counts as an outage; then a wait for a good job begins."""
    for _ in range(10):
        client = scripted(until(1e9))
        client.failing = lambda job_ids, at_s: BAD if at_s > 20 and "a" in job_ids else None
        waits = waits_for(client, a=every(5, 7200))
        await clock.sleep(60)
        waits += waits_for(client, b=every(5, 7200))
        await clock.sleep(200)
        assert not any(one.done() for one in waits)
        assert any("b" in job_ids for _, job_ids in client.polls)
        await cancel(*waits)


async def test_wait_that_begins_while_a_refused_job_is_polled_is_not_refused(
    scripted: Scripted, clock: FakeClock
) -> None:
    """The poll that is under way says nothing about a job whose wait began after it."""
    client = scripted(lambda job_id, at_s: until(100 if job_id == "b" else 1e9)(job_id, at_s))
    slow = Slow(client)
    answer = slow.answer

    async def refuse_late(job_ids: list[str]) -> object:
        if "a" in job_ids and clock.now() - client.began_at > 20:
            await clock.sleep(10)
            raise BAD
        return await answer(job_ids)

    slow.answer = refuse_late  # type: ignore[assignment]
    waits = waits_for(client, a=every(5, 7200))
    while not poller_of(client)._breaker.failure or not slow.at_once:
        await clock.sleep(1)
    (newcomer,) = waits_for(client, b=every(5, 7200))
    await asyncio.wait([newcomer])
    assert ends(newcomer) == [Job]
    await cancel(*waits)


async def test_job_with_a_poll_under_way_when_a_delay_began_is_given_up_by_its_own_deadline(
    scripted: Scripted, clock: FakeClock
) -> None:
    """Its answer comes in the delay, after another wait with a later deadline has begun."""
    client = scripted(until(1e9))
    slow = Slow(client)
    slow.is_slow = lambda job_ids: clock.now() - client.began_at > 90
    (first,) = waits_for(client, a=every(5, 60, 600))
    while not slow.slow:
        await clock.sleep(1)
    await clock.sleep(1)
    client.session.server_delay.extend(3600)
    (second,) = waits_for(client, b=every(5, 60))
    await clock.sleep(20)
    slow.slow[0].set()
    await asyncio.wait([first])
    assert clock.now() - client.began_at <= 601
    await cancel(first, second)
