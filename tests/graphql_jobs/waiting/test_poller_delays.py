"""Delays that the server asks for, and outages: the polls during and after them, and the ends of waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import errors, wait, wait_many
from graphql_jobs.job import Job
from graphql_jobs.transport import rate_limit
from graphql_jobs.waiting.policy import Deadlines, Schedule, WaitPolicy
from graphql_jobs.waiting.poller import poller_of
from tests.graphql_jobs.waits import DOWN, EVERY_5_S, Slow, all_of, ends, every, handle, is_idle, until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Scripted, ScriptedClient


LIMITED = errors.RateLimited("fake", "check", "", "HTTP 429")


def delays(client: ScriptedClient, from_s: float, delay_s: float) -> Callable[[Sequence[str], float], None]:
    """Polls in the 5 s from that instant are answered with `Retry-After`."""

    def limited(job_ids: Sequence[str], at_s: float) -> None:
        if from_s <= at_s < from_s + 5:
            client.session.server_delay.extend(delay_s)

    return limited


async def test_no_poll_is_sent_in_a_delay_of_the_server(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Retry-After: 40` for any request of the session: the next poll comes after that and a random time (0.7 s)."""
    monkeypatch.setattr(rate_limit, "spread_s", lambda: 0.7)
    client = scripted(until(100))
    client.failing = delays(client, 20, 40)
    await all_of(client, [f"j{number}" for number in range(300)])
    delayed_at = next(at_s for at_s, _ in client.polls if at_s >= 20)
    assert next(at_s for at_s, _ in client.polls if at_s > delayed_at) == pytest.approx(delayed_at + 40.7)


@pytest.mark.parametrize("trouble", ["a delay", "an outage"])
async def test_polls_are_spread_again_after_a_delay_or_an_outage(trouble: str, scripted: Scripted) -> None:
    """A thousand jobs with interval 5 s, and 40 s without polls: after that, the polls are spread again."""
    client = scripted(until(200))
    if trouble == "a delay":
        client.failing = delays(client, 20, 40)
    else:
        client.failing = lambda job_ids, at_s: DOWN if 20 <= at_s < 60 else None
    await all_of(client, [f"j{number}" for number in range(1000)])
    for from_s in (10, 75, 150):
        polls = [int(at_s) for at_s, _ in client.polls if from_s <= at_s < from_s + 5]
        assert 8 <= len(polls) <= 14
        assert max(polls.count(second) for second in set(polls)) <= 4


async def test_wait_whose_deadline_comes_before_the_end_of_the_delay_gives_up(
    scripted: Scripted, clock: FakeClock
) -> None:
    """The server asks for an hour: one deadline is after 300 s, the other wait continues and sees the end."""
    client = scripted(until(3600))
    client.failing = delays(client, 10, 3600)
    began_at = clock.now()
    other = asyncio.create_task(wait(client, handle("b"), every(5, 60)))
    async with asyncio.timeout(5):  # of real time: otherwise it would end only with the delay
        with pytest.raises(
            errors.ProviderLost, match=r"outage_budget_s=60, and the deadline total_s=300 passed.*delay"
        ):
            await wait(client, handle("a"), every(5, 60, 300))
        assert 300 <= clock.now() - began_at <= 302
        assert (await other).job_id == "b"
    assert not [at_s for at_s, _ in client.polls if 15 < at_s < 3610]
    assert is_idle(client)


@pytest.mark.parametrize("begins_s", [0, 59])
async def test_job_is_polled_after_a_delay_before_its_wait_is_given_up(begins_s: float, scripted: Scripted) -> None:
    """Budget 60 s, and a delay of 60 or 3,600 s that begins with the outage or just before its end: waited for."""
    for delay_s in (60, 3600):
        client = scripted(until(0))

        def failing(job_ids: Sequence[str], at_s: float, client: ScriptedClient = client) -> Exception | None:
            if at_s >= begins_s and len(client.polls) >= 1 and not client.session.server_delay.active_since:
                client.session.server_delay.extend(delay_s)  # noqa: B023 (called in this round of the loop)
                return LIMITED
            return None if client.session.server_delay.active_since else DOWN

        client.failing = failing
        ended = await all_of(client, [f"j{number}" for number in range(500)], every(5, 60))
        assert {type(one) for one in ended.values()} == {Job}


@pytest.mark.parametrize("delay_s", [7, 40, 1000])
async def test_server_that_asks_for_delay_after_delay_ends_the_waits_by_the_outage_budget(
    delay_s: float, scripted: Scripted, clock: FakeClock
) -> None:
    """Each request of 1,000 jobs is answered with `Retry-After`: the first one after 100 s ends all waits."""
    client = scripted(until(0))

    def failing(job_ids: Sequence[str], at_s: float) -> Exception:
        client.session.server_delay.extend(delay_s)
        return LIMITED

    client.failing = failing
    ended = await all_of(client, [f"j{number}" for number in range(1000)], every(5, 100))
    assert {type(one) for one in ended.values()} == {errors.ProviderLost}
    assert 100 <= clock.now() - client.began_at <= 100 + delay_s + 3
    assert is_idle(client)


async def test_delays_with_answers_between_them_do_not_add_up(scripted: Scripted) -> None:
    """Ten delays of 40 s, 20 s apart, and an outage budget of 60 s: all waits see the end."""
    client = scripted(until(600))
    closed_at: list[float] = [0.0]

    def limited(job_ids: Sequence[str], at_s: float) -> None:
        if at_s >= closed_at[-1] + 60:
            client.session.server_delay.extend(40)
            closed_at.append(at_s)

    client.failing = limited
    policy = WaitPolicy(Schedule(5, 0, 5), Deadlines(total_s=900), outage_budget_s=60)
    ended = await all_of(client, [f"j{number}" for number in range(250)], policy)
    assert len(closed_at) >= 8
    assert not [one for one in ended.values() if isinstance(one, Exception)]


@pytest.mark.parametrize("where", ["queue", "batch size"])
async def test_bug_in_a_step_ends_all_waits(where: str, scripted: Scripted, clock: FakeClock) -> None:
    """A bug occurs between two requests, at the timer; a bug in the batch size occurs again when the poller stops."""
    client = scripted(until(1e9))
    told = asyncio.create_task(_all_errors(client))
    await clock.sleep(12)

    def broken(*_: object, **__: object) -> Any:
        raise ZeroDivisionError("a bug")

    if where == "queue":
        poller_of(client)._queue.take = broken  # type: ignore[method-assign]
    else:
        client.batches.at_most = broken  # type: ignore[method-assign]
    async with asyncio.timeout(5):  # of real time
        assert await told == "a bug"


async def _all_errors(client: ScriptedClient) -> str:
    try:
        async for _ in wait_many(client, [handle("a"), handle("b")], EVERY_5_S):
            pass
    except ZeroDivisionError as error:
        return str(error)
    return ""


async def test_two_short_outages_do_not_add_up(scripted: Scripted) -> None:
    """A wait polls every 200 s and has a budget of 20 s: a probe shows in time that the first outage is over."""
    client = scripted(until(400))
    client.failing = lambda job_ids, at_s: DOWN if 210 <= at_s < 218 or 240 <= at_s < 252 else None
    waits = [
        asyncio.create_task(wait(client, handle(name), every(delay_s, 20)))
        for name, delay_s in zip("ab", (5, 200), strict=True)
    ]
    await asyncio.wait(waits)
    assert ends(*waits) == [Job, Job]


async def test_wait_with_a_long_interval_gives_up_in_time(scripted: Scripted, clock: FakeClock) -> None:
    """The service fails from 30 s on: a wait whose next poll is due at 400 s gives up after its budget of 20 s."""
    client = scripted(until(1e9))
    client.failing = lambda job_ids, at_s: DOWN if at_s >= 30 else None
    often = asyncio.create_task(wait(client, handle("a"), every(1, 10)))
    rarely = asyncio.create_task(wait(client, handle("b"), every(400, 20)))
    await asyncio.wait([often, rarely])
    assert ends(often, rarely) == [errors.ProviderLost] * 2
    assert 50 <= clock.now() - client.began_at <= 53


async def test_hanging_poll_keeps_no_other_wait_from_giving_up_in_a_delay(scripted: Scripted, clock: FakeClock) -> None:
    """One request hangs; two other waits, with deadlines of 60 s and 30 s, give up in a delay of 1,000 s."""
    client = scripted(until(1e9))
    slow = Slow(client)
    slow.is_slow = lambda job_ids: "x" in job_ids
    hanging = asyncio.create_task(wait(client, handle("x"), WaitPolicy(EVERY_5_S.schedule, Deadlines(total_s=30))))
    await clock.sleep(10)
    other = asyncio.create_task(wait(client, handle("o"), every(400, 60, 60)))
    await clock.sleep(1)
    client.session.server_delay.extend(1000)
    joins = asyncio.create_task(wait(client, handle("p"), every(400, 30, 30)))
    await asyncio.wait([other, joins])
    assert ends(other, joins) == [errors.ProviderLost] * 2
    assert clock.now() - client.began_at <= 80
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)


async def test_probes_poll_a_job_no_more_often_than_its_interval(scripted: Scripted, clock: FakeClock) -> None:
    """A single job, polled every minute, in an outage of half an hour: still one poll a minute."""
    client = scripted(until(1e9))
    client.failing = lambda job_ids, at_s: DOWN if at_s >= 100 else None
    waiting = asyncio.create_task(wait(client, handle("j1"), every(60, 1800)))
    await asyncio.wait([waiting])
    assert ends(waiting) == [errors.ProviderLost]
    assert len(client.polls) <= 36


async def test_wait_that_begins_in_a_delay_does_not_shorten_it(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty waits begin in a delay or in the random time after it: that time is chosen once."""
    drawn = iter([0.9] + [0.0] * 1000)
    monkeypatch.setattr(rate_limit, "spread_s", lambda: next(drawn))
    client = scripted(until(100))
    client.session.server_delay.extend(40)
    waits = [asyncio.create_task(wait(client, handle("a"), EVERY_5_S))]
    for number in range(50):
        await client.clock.sleep(0.81)
        waits.append(asyncio.create_task(wait(client, handle(f"j{number}"), EVERY_5_S)))
    await asyncio.gather(*waits)
    assert client.polls[0][0] == pytest.approx(40.9)
