"""What the poller does while nobody may ask: in a pause that a server wants, in an outage, and right after them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

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


def delays(client: ScriptedClient, from_s: float, pause_s: float) -> Callable[[Sequence[str], float], None]:
    """What looks in the 5 s from that instant is told to pause."""

    def limited(job_ids: Sequence[str], at_s: float) -> None:
        if from_s <= at_s < from_s + 5:
            client.session.server_delay.extend(pause_s)

    return limited


async def test_nothing_is_sent_while_the_server_wants_a_pause(scripted: Scripted) -> None:
    """`Retry-After: 40` seen by any request of the session: no look until it is over, then all go on."""
    client = scripted(until(100))
    client.failing = delays(client, 20, 40)
    await all_of(client, [f"j{number}" for number in range(300)])
    closed_at = next(at_s for at_s, _ in client.looks if at_s >= 20)
    looks = [at_s for at_s, _ in client.looks if at_s > closed_at]
    assert looks[0] >= closed_at + 40


async def test_processes_that_are_told_the_same_pause_do_not_come_back_together(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each adds a random time to the pause: 0.7 s here."""
    monkeypatch.setattr(rate_limit, "spread_s", lambda: 0.7)
    client = scripted(until(100))
    client.failing = delays(client, 20, 40)
    await all_of(client, ["a"])
    closed_at = next(at_s for at_s, _ in client.looks if at_s >= 20)
    assert next(at_s for at_s, _ in client.looks if at_s > closed_at) == pytest.approx(closed_at + 40.7)


@pytest.mark.parametrize("trouble", ["a pause", "an outage"])
async def test_after_a_pause_or_an_outage_the_looks_are_spread_again(trouble: str, scripted: Scripted) -> None:
    """A thousand jobs, looked at every 5 s, and 40 s in which none could be: a minute later no second holds more than
    a third of the looks of an interval, as before."""
    client = scripted(until(200))
    if trouble == "a pause":
        client.failing = delays(client, 20, 40)
    else:
        client.failing = lambda job_ids, at_s: DOWN if 20 <= at_s < 60 else None
    await all_of(client, [f"j{number}" for number in range(1000)])
    for from_s in (10, 75, 150):
        looks = [int(at_s) for at_s, _ in client.looks if from_s <= at_s < from_s + 5]
        assert 8 <= len(looks) <= 14
        assert max(looks.count(second) for second in set(looks)) <= 4


async def test_wait_whose_deadline_comes_before_the_end_of_the_delay_gives_up(
    scripted: Scripted, clock: FakeClock
) -> None:
    """The server asks for an hour; one deadline is after 300 s, the other wait sits the hour out and sees the end."""
    client = scripted(until(3600))
    client.failing = delays(client, 10, 3600)
    began_at = clock.now()
    patient = asyncio.create_task(wait(client, handle("b"), every(5, 60)))
    async with asyncio.timeout(5):  # of real time: else it would end only with the delay
        with pytest.raises(
            errors.ProviderLost, match=r"outage_budget_s=60, and the deadline total_s=300 passed.*delay"
        ):
            await wait(client, handle("a"), every(5, 60, 300))
        assert 300 <= clock.now() - began_at <= 302
        assert (await patient).job_id == "b"
    assert not [at_s for at_s, _ in client.looks if 15 < at_s < 3610]
    assert is_idle(client)


@pytest.mark.parametrize("begins_s", [0, 59])
async def test_job_is_polled_after_a_delay_before_its_wait_is_given_up(begins_s: float, scripted: Scripted) -> None:
    """Budget 60 s; a delay of 60 s, or of 3,600 s, that begins with the outage or just before it is over: sat out."""
    for delay_s in (60, 3600):
        client = scripted(until(0))

        def failing(job_ids: Sequence[str], at_s: float, client: ScriptedClient = client) -> Exception | None:
            if at_s >= begins_s and len(client.looks) >= 1 and not client.session.server_delay.active_since:
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


async def test_who_joins_in_a_pause_gives_up_by_its_own_deadline(scripted: Scripted, clock: FakeClock) -> None:
    """Nothing was ever seen of the job."""
    client = scripted(until(0))
    client.session.server_delay.extend(3600)
    with pytest.raises(errors.ProviderLost):
        await wait(client, handle("a"), every(60, 60, 60))
    assert clock.now() - client.began_at == pytest.approx(60, abs=1)
    assert client.looks == []


async def test_a_pause_that_is_over_in_time_is_forgotten(scripted: Scripted) -> None:
    """Ten pauses of 40 s, 20 s apart, and an outage budget of 60 s: they do not add up."""
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


async def test_a_bug_in_a_step_is_told_to_all_who_wait(scripted: Scripted, clock: FakeClock) -> None:
    """Not in a request but between two of them, when a timer rings: nobody waits for ever."""
    client = scripted(until(1e9))
    ends = asyncio.create_task(_all_errors(client))
    await clock.sleep(12)

    def broken(now: float, at_most: int, **_: bool) -> list[object]:
        raise ZeroDivisionError("a bug")

    poller_of(client)._queue.take = broken  # type: ignore[method-assign, assignment]
    async with asyncio.timeout(5):  # of real time
        assert await ends == "a bug"


async def _all_errors(client: ScriptedClient) -> str:
    try:
        async for _ in wait_many(client, [handle("a"), handle("b")], EVERY_5_S):
            pass
    except ZeroDivisionError as error:
        return str(error)
    return ""


async def test_two_short_outages_with_health_between_them_do_not_add_up(scripted: Scripted) -> None:
    """One wait every for 200 s, and may lose 20: it is looked at in time to know that the first one is over."""
    client = scripted(until(400))
    client.failing = lambda job_ids, at_s: DOWN if 210 <= at_s < 218 or 240 <= at_s < 252 else None
    waits = [
        asyncio.create_task(wait(client, handle(name), every(pause_s, 20)))
        for name, pause_s in zip("ab", (5, 200), strict=True)
    ]
    await asyncio.wait(waits)
    assert ends(*waits) == [Job, Job]


async def test_who_rests_for_long_gives_up_in_time_too(scripted: Scripted, clock: FakeClock) -> None:
    """The service is away from 30 s on for good; a wait whose next look is due at 400 s gives up after its 20."""
    client = scripted(until(1e9))
    client.failing = lambda job_ids, at_s: DOWN if at_s >= 30 else None
    often = asyncio.create_task(wait(client, handle("a"), every(1, 10)))
    rarely = asyncio.create_task(wait(client, handle("b"), every(400, 20)))
    await asyncio.wait([often, rarely])
    assert ends(often, rarely) == [errors.ProviderLost] * 2
    assert 50 <= clock.now() - client.began_at <= 53


async def test_a_job_in_flight_keeps_nobody_from_giving_up_in_a_pause(scripted: Scripted, clock: FakeClock) -> None:
    """One request hangs, over the deadline of its job; the other wait, with 60 s, gives up in a delay of 1,000 s."""
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


async def test_a_probe_costs_a_job_no_look_more(scripted: Scripted, clock: FakeClock) -> None:
    """A single job, looked at every minute, in an outage of half an hour: still a look every minute."""
    client = scripted(until(1e9))
    client.failing = lambda job_ids, at_s: DOWN if at_s >= 100 else None
    waiting = asyncio.create_task(wait(client, handle("j1"), every(60, 1800)))
    await asyncio.wait([waiting])
    assert ends(waiting) == [errors.ProviderLost]
    assert len(client.looks) <= 36


async def test_who_joins_in_a_pause_does_not_shorten_it(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens in it or in the random time after it, that time is drawn once."""
    drawn = iter([0.9] + [0.0] * 1000)
    monkeypatch.setattr(rate_limit, "spread_s", lambda: next(drawn))
    client = scripted(until(100))
    client.session.server_delay.extend(40)
    waits = [asyncio.create_task(wait(client, handle("a"), EVERY_5_S))]
    for number in range(50):
        await client.clock.sleep(0.81)
        waits.append(asyncio.create_task(wait(client, handle(f"j{number}"), EVERY_5_S)))
    await asyncio.gather(*waits)
    assert client.looks[0][0] == pytest.approx(40.9)


async def test_all_who_wait_are_told_of_a_bug_before_anything_else_is_done(
    scripted: Scripted, clock: FakeClock
) -> None:
    """Even a bug that strikes again while the poller is stopped."""
    client = scripted(until(1e9))
    told = asyncio.create_task(_all_errors(client))
    await clock.sleep(12)

    def broken(*_: object) -> int:
        raise ZeroDivisionError("a bug")

    client.batches.at_most = broken  # type: ignore[method-assign, assignment]
    async with asyncio.timeout(5):  # of real time
        assert await told == "a bug"
