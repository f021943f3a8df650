"""The start and end of an outage: any answer ends it, except for a job whose own poll failed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import errors, wait
from graphql_jobs.job import Job, JobState
from graphql_jobs.transport import rate_limit
from graphql_jobs.waiting.policy import Deadlines, Schedule, WaitPolicy
from graphql_jobs.waiting.watch import Watch
from tests.graphql_jobs.waits import (
    DOWN,
    EVERY_5_S,
    REFUSED,
    Slow,
    cancel,
    ends,
    every,
    handle,
    is_idle,
    job,
    until,
    waits_for,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql_jobs.handle import Seen
    from graphql_jobs.waiting.watch import Ended
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Scripted


@pytest.mark.parametrize("trouble", ["delays", "outages"])
async def test_time_between_two_outages_does_not_count(trouble: str, scripted: Scripted, clock: FakeClock) -> None:
    """Two outages of a minute in total; between them other jobs are answered, and one job is not polled."""
    client = scripted(until(400))
    if trouble == "outages":
        client.failing = lambda job_ids, at_s: DOWN if 96 <= at_s < 107 or 119 <= at_s < 169 else None
    waits = [*waits_for(client, p=every(60, 60), a=EVERY_5_S), *waits_for(client, p=every(60, 60))]
    await clock.sleep(96)
    if trouble == "delays":
        client.session.server_delay.extend(11)
        await clock.sleep(23)
        client.session.server_delay.extend(50)
    await asyncio.wait(waits)
    assert ends(*waits) == [Job] * 3
    assert not [at_s for at_s, job_ids in client.polls if "p" in job_ids and 96 <= at_s < 119]


@pytest.mark.parametrize("trouble", ["delays", "outages"])
async def test_outage_counts_from_its_beginning(trouble: str, scripted: Scripted, clock: FakeClock) -> None:
    """It begins at 116 s; a job that is polled every minute, with a budget of 100 s, is given up at 216 s."""
    client = scripted(until(1e9))

    def away(job_ids: Sequence[str], at_s: float) -> Exception | None:
        if at_s < 116:
            return None
        if trouble == "delays":
            client.session.server_delay.extend(20)
        return DOWN

    client.failing = away
    waits = waits_for(client, a=every(5, 600), p=every(60, 100))
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    assert ends(waits[1]) == [errors.ProviderLost]
    assert 216 <= clock.now() - client.began_at <= 226
    await cancel(*waits)
    assert is_idle(client)


async def test_answer_to_a_poll_of_before_an_outage_does_not_end_it(scripted: Scripted, clock: FakeClock) -> None:
    """A request from before the outage is answered 50 s later; the other waits count from the first failure."""
    client = scripted(until(1e9))
    client.max_batch = 1  # each has its own request
    client.failing = lambda job_ids, at_s: DOWN if at_s > 11 else None
    slow = Slow(client)
    slow.is_slow = lambda job_ids: "s" in job_ids and 9 < clock.now() - client.began_at < 11
    waits = waits_for(client, s=EVERY_5_S)
    await clock.sleep(1)
    waits += waits_for(client, a=every(5, 60), p=every(600, 60))
    await clock.sleep(55)
    (answer,) = slow.slow
    answer.set()
    await asyncio.wait(waits[1:])
    assert ends(*waits[1:]) == [errors.ProviderLost] * 2
    assert clock.now() - client.began_at <= 82
    await cancel(*waits)


async def test_job_with_a_poll_under_way_is_not_polled_again_after_a_delay(
    scripted: Scripted, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last poll failed, its outage budget is spent, and its answer comes after a delay of the server."""
    monkeypatch.setattr(rate_limit, "spread_s", lambda: 0.0)
    client = scripted(until(1e9))
    client.failing = lambda job_ids, at_s: DOWN if "x" in job_ids and 4 < at_s < 9 else None
    slow = Slow(client)
    slow.is_slow = lambda job_ids: "x" in job_ids and clock.now() - client.began_at > 9
    waits = waits_for(client, x=every(5, 5.4))
    await clock.sleep(10.2)
    client.session.server_delay.extend(0.5)
    waits += waits_for(client, n=EVERY_5_S)
    await clock.sleep(1)
    assert [job_ids for job_ids in slow.asked[2:] if "n" in job_ids]
    assert len([job_ids for job_ids in slow.asked[2:] if "x" in job_ids]) == len(slow.slow) == 1
    slow.slow[0].set()
    await clock.sleep(1)
    assert not [waiting for waiting in waits if waiting.done()]
    await cancel(*waits)


async def test_deadline_that_passed_in_a_delay_ends_the_wait_with_the_next_poll(
    scripted: Scripted, clock: FakeClock
) -> None:
    """400 jobs: each is polled once after the delay, not twice."""
    client = scripted(until(1e9))
    policy = WaitPolicy(Schedule(60, 0, 60), Deadlines(total_s=140))
    waits = waits_for(client, **{f"j{number}": policy for number in range(400)})
    await clock.sleep(74)
    client.session.server_delay.extend(80)
    await asyncio.wait(waits)
    assert set(ends(*waits)) == {errors.WaitTimedOut}
    polled = [job_id for at_s, job_ids in client.polls if at_s > 74.5 for job_id in job_ids]
    assert len(polled) == len(set(polled)) == 400


async def test_wait_gives_up_in_time_although_probes_are_rare(scripted: Scripted, clock: FakeClock) -> None:
    """A refused token is tried again every minute: a wait with a budget of 100 s ends after 100 s."""
    client = scripted(until(1e9))
    client.failing = lambda job_ids, at_s: REFUSED if at_s >= 30 else None
    waits = waits_for(client, a=every(5, 100), b=every(5, 1000))
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    assert ends(waits[0]) == [errors.ProviderLost]
    assert 130 <= clock.now() - client.began_at <= 141
    await cancel(*waits)


async def test_answers_about_other_jobs_do_not_prolong_the_outage_of_a_job(
    scripted: Scripted, clock: FakeClock
) -> None:
    """Two jobs that can never be polled open the breaker, and a third job repeatedly closes it."""
    client = scripted(until(1e9))
    client.max_batch = 1
    client.failing = lambda job_ids, at_s: DOWN if job_ids[0] in {"x", "z"} else None
    *bad, good = waits_for(client, x=every(7, 200), z=every(7, 200), y=every(20, 30))
    async with asyncio.timeout(20):  # of real time: otherwise it would poll without end
        await asyncio.wait(bad)
    assert ends(*bad) == [errors.ProviderLost] * 2
    assert 200 <= clock.now() - client.began_at <= 230
    assert not good.done()
    await cancel(good)


async def test_jobs_that_cannot_be_polled_do_not_delay_other_jobs(scripted: Scripted, clock: FakeClock) -> None:
    """Three batches of them cause an outage in each interval; the ends of a thousand others are seen in time."""
    ends_at = {f"g{number}": 60 + number * 0.22 for number in range(1000)}
    client = scripted(
        lambda name, at_s: (
            DOWN if name[0] == "x" else job(name, JobState.SUCCEEDED if at_s >= ends_at[name] else JobState.RUNNING)
        )
    )
    seen_late: list[float] = []

    async def one(name: str) -> None:
        await wait(client, handle(name), EVERY_5_S)
        seen_late.append(clock.now() - client.began_at - ends_at[name])

    bad = waits_for(client, **{f"x{number}": every(60, 3600) for number in range(300)})
    await asyncio.gather(*(one(name) for name in ends_at))
    assert max(seen_late) <= 10
    assert len(client.polls) <= 450
    await cancel(*bad)


async def test_wait_that_begins_in_a_delay_is_not_judged_with_all_others(
    scripted: Scripted, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """300 waits begin one after the other in a delay of the server: no poll, and each is judged once."""
    client = scripted(until(0))
    judged = 0
    judge = Watch.judge

    def counted(watch: Watch, seen: Seen, now: float, **how: Any) -> Ended | None:
        nonlocal judged
        judged += 1
        return judge(watch, seen, now, **how)

    monkeypatch.setattr(Watch, "judge", counted)
    client.session.server_delay.extend(400)
    waits = []
    for number in range(300):
        waits += waits_for(client, **{f"j{number}": EVERY_5_S})
        await clock.sleep(1)
    assert judged <= 310
    assert not client.polls
    await asyncio.wait(waits)
    assert set(ends(*waits)) == {Job}


async def test_wait_that_begins_in_a_delay_gives_up_by_its_own_deadline(scripted: Scripted, clock: FakeClock) -> None:
    """Its deadline is much earlier than that of a wait that began before it. No poll is sent."""
    client = scripted(until(0))
    client.session.server_delay.extend(3600)
    (first,) = waits_for(client, a=every(5, 3000))
    await clock.sleep(20)
    (second,) = waits_for(client, b=every(5, 60, 60))
    async with asyncio.timeout(20):  # of real time
        await asyncio.wait([second])
    assert 80 <= clock.now() - client.began_at <= 82
    assert client.polls == []
    await cancel(first, second)


async def test_outage_is_forgotten_with_the_last_wait(scripted: Scripted, clock: FakeClock) -> None:
    """The answer that ends an outage ends the only wait; a wait in a later delay has its whole outage budget."""
    client = scripted(until(20))
    (first,) = waits_for(client, a=EVERY_5_S)
    await clock.sleep(12)
    client.session.server_delay.extend(10)
    await first
    await clock.sleep(600)
    client.session.server_delay.extend(3000)
    (second,) = waits_for(client, b=every(5, 60, 60))
    joined_at = clock.now()
    await asyncio.wait([second])
    assert ends(second) == [errors.ProviderLost]
    assert clock.now() - joined_at <= 61


async def test_wait_that_begins_in_an_outage_is_refused_with_the_next_probe(
    scripted: Scripted, clock: FakeClock
) -> None:
    """The token is refused, and probes are sent once a minute: the new wait ends within a minute."""
    client = scripted(until(1e9))
    client.failing = lambda job_ids, at_s: REFUSED if at_s >= 12 else None
    waits = waits_for(client, **{f"j{number}": every(5, 7200) for number in range(5)})
    await clock.sleep(400)
    probes = len(client.polls)
    while len(client.polls) == probes:
        await clock.sleep(0.5)
    client.session.server_delay.extend(5)
    await clock.sleep(6)
    (newcomer,) = waits_for(client, b=EVERY_5_S)
    joined_at = clock.now()
    await asyncio.wait([newcomer])
    assert ends(newcomer) == [errors.CheckRefused]
    assert clock.now() - joined_at <= 61
    await cancel(*waits)
