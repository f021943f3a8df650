"""From when to when an outage counts for a wait: until the next answer about any job, but never less than its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from graphql_jobs import errors, gate
from graphql_jobs.agenda import Agenda
from graphql_jobs.hub import hub_of
from graphql_jobs.job import Job
from graphql_jobs.schedule import Deadlines, Schedule, WaitPolicy
from graphql_jobs.sights import Sight
from graphql_jobs.waiter import Waiter
from graphql_jobs.watch import Watch
from tests.graphql_jobs.hubs import DOWN, EVERY_5_S, Slow, ends, handle, is_idle, job, rests, until, waits_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql_jobs.provider import Seen
    from graphql_jobs.watch import Ended
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Scripted


@pytest.mark.parametrize("trouble", ["pauses", "outages"])
async def test_the_time_between_two_outages_does_not_count(trouble: str, scripted: Scripted, clock: FakeClock) -> None:
    """Two of a minute in all; between them others are answered, while one job rests."""
    client = scripted(until(400))
    if trouble == "outages":
        client.failing = lambda job_ids, at_s: DOWN if 96 <= at_s < 107 or 119 <= at_s < 169 else None
    waits = waits_for(client, p=rests(60, 60), a=EVERY_5_S)
    await clock.sleep(96)
    if trouble == "pauses":
        client.session.gate.close(11)
        await clock.sleep(23)
        client.session.gate.close(50)
    await asyncio.wait(waits)
    assert ends(*waits) == [Job, Job]
    assert not [at_s for at_s, job_ids in client.looks if "p" in job_ids and 96 <= at_s < 119]


@pytest.mark.parametrize("trouble", ["pauses", "outages"])
async def test_one_outage_still_counts_for_all_of_it(trouble: str, scripted: Scripted, clock: FakeClock) -> None:
    """With a job that is looked at every 5 s beside it, in vain, and with pauses that follow on each other."""
    client = scripted(until(1e9))

    def away(job_ids: Sequence[str], at_s: float) -> Exception | None:
        if at_s < 116:
            return None
        if trouble == "pauses":
            client.session.gate.close(20)
        return DOWN

    client.failing = away
    waits = waits_for(client, a=rests(5, 600), p=rests(60, 100))
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    assert ends(waits[1]) == [errors.ProviderLost]
    assert 216 <= clock.now() - client.began_at <= 226
    waits[0].cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    assert is_idle(client)


async def test_whose_own_look_failed_is_looked_at_when_the_outage_is_over(scripted: Scripted, clock: FakeClock) -> None:
    """Its next look would come a minute later, in the second outage: only an answer of its own ends what it counts."""
    client = scripted(until(400))
    waits = waits_for(client, a=EVERY_5_S, p=rests(60, 60))
    client.failing = lambda job_ids, at_s: (
        DOWN if (60 <= at_s < 85 and "p" in job_ids) or 70 <= at_s < 85 or 90 <= at_s < 139 else None
    )
    await asyncio.wait(waits)
    assert ends(*waits) == [Job, Job]
    looks = [at_s for at_s, job_ids in client.looks if "p" in job_ids]
    assert [at_s for at_s in looks if 85 <= at_s < 90]


@pytest.mark.parametrize("ends_by", ["a cancel", "its budget"])
async def test_a_pause_after_which_nobody_is_due_is_over_with_one_look(
    ends_by: str, scripted: Scripted, clock: FakeClock
) -> None:
    """The only job that was due in it is no longer waited for; a hundred rest for long, and a second pause comes."""
    client = scripted(until(400))
    names = [f"j{number}" for number in range(100)]
    often, *waits = waits_for(client, often=rests(5, 3), **dict.fromkeys(names, rests(200, 60)))
    await clock.sleep(9)
    client.session.gate.close(10)
    await clock.sleep(2)
    if ends_by == "a cancel":
        often.cancel()
    await clock.sleep(19)
    assert often.done()
    (looked,) = [job_ids for at_s, job_ids in client.looks if at_s > 9]
    assert len(looked) == 1
    client.session.gate.close(55)
    await asyncio.wait(waits)
    assert set(ends(*waits)) == {Job}


async def test_a_job_in_flight_is_asked_for_once_whatever_begins_and_ends_meanwhile(
    scripted: Scripted, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its look before failed, its patience is over, and its answer comes after a pause that others were told."""
    monkeypatch.setattr(gate, "spread_s", lambda: 0.0)
    client = scripted(until(1e9))
    client.failing = lambda job_ids, at_s: DOWN if "x" in job_ids and 4 < at_s < 9 else None
    slow = Slow(client)
    slow.is_slow = lambda job_ids: "x" in job_ids and clock.now() - client.began_at > 9
    waits = waits_for(client, x=rests(5, 5.4))
    await clock.sleep(10.2)
    client.session.gate.close(0.5)
    waits += waits_for(client, n=EVERY_5_S)
    await clock.sleep(1)
    assert [job_ids for job_ids in slow.asked[2:] if "n" in job_ids]
    assert len([job_ids for job_ids in slow.asked[2:] if "x" in job_ids]) == len(slow.slow) == 1
    slow.slow[0].set()
    await clock.sleep(1)
    assert not [waiting for waiting in waits if waiting.done()]
    for waiting in waits:
        waiting.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


async def test_a_deadline_that_passed_in_a_pause_ends_the_wait_with_the_first_look_after_it(
    scripted: Scripted, clock: FakeClock
) -> None:
    """It rests for a minute, and others are answered: it is looked at then, and once, though nothing is new."""
    client = scripted(until(1e9))
    often, once = waits_for(client, a=EVERY_5_S, p=WaitPolicy(Schedule(60, 0, 60), Deadlines(total_s=100)))
    await clock.sleep(96)
    client.session.gate.close(22)
    await asyncio.wait([once])
    assert ends(once) == [errors.WaitTimedOut]
    assert clock.now() - client.began_at <= 122
    assert len([at_s for at_s, job_ids in client.looks if "p" in job_ids and at_s >= 96]) == 1
    often.cancel()
    await asyncio.gather(often, return_exceptions=True)


async def test_where_probes_are_rare_who_gives_up_is_not_kept_waiting_for_one(
    scripted: Scripted, clock: FakeClock
) -> None:
    """A token that is refused is tried again every minute; a wait allows 100 s."""
    client = scripted(until(1e9))
    refused = errors.SignInFailed("fake", "check", "", "HTTP 401")
    client.failing = lambda job_ids, at_s: refused if at_s >= 30 else None
    waits = waits_for(client, a=rests(5, 100), b=rests(5, 1000))
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    assert ends(waits[0]) == [errors.ProviderLost]
    assert 130 <= clock.now() - client.began_at <= 141
    waits[1].cancel()
    await asyncio.gather(*waits, return_exceptions=True)


async def test_the_answers_of_others_do_not_save_a_job_that_cannot_be_asked_for(
    scripted: Scripted, clock: FakeClock
) -> None:
    """Two such jobs are enough to open the breaker; the third, healthy, closes it again and again."""
    client = scripted(until(1e9))
    client.max_batch = 1
    client.failing = lambda job_ids, at_s: DOWN if job_ids[0] in {"x", "z"} else None
    *bad, good = waits_for(client, x=rests(7, 200), z=rests(7, 200), y=rests(20, 30))
    async with asyncio.timeout(20):  # of real time: else it would ask for ever
        await asyncio.wait(bad)
    assert ends(*bad) == [errors.ProviderLost] * 2
    assert 200 <= clock.now() - client.began_at <= 230
    assert not good.done()
    good.cancel()
    await asyncio.gather(good, return_exceptions=True)


async def test_who_joins_in_a_pause_costs_the_others_nothing(
    scripted: Scripted, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three hundred come one after the other while the server wants to hear nothing: each is judged, and it alone."""
    client = scripted(until(0))
    judged = 0
    judge = Watch.judge

    def counted(watch: Watch, seen: Seen, now: float, *, looked: bool = True) -> Ended | None:
        nonlocal judged
        judged += 1
        return judge(watch, seen, now, looked=looked)

    monkeypatch.setattr(Watch, "judge", counted)
    client.session.gate.close(400)
    waits = []
    for number in range(300):
        waits += waits_for(client, **{f"j{number}": EVERY_5_S})
        await clock.sleep(1)
    assert judged <= 310
    assert not client.looks
    await asyncio.wait(waits)
    assert set(ends(*waits)) == {Job}


async def test_who_joins_second_in_a_pause_gives_up_by_its_own_budget(scripted: Scripted, clock: FakeClock) -> None:
    """Its patience is over long before that of the first."""
    client = scripted(until(0))
    client.session.gate.close(3600)
    (first,) = waits_for(client, a=rests(5, 3000))
    await clock.sleep(20)
    (second,) = waits_for(client, b=rests(5, 60))
    async with asyncio.timeout(20):  # of real time
        await asyncio.wait([second])
    assert 80 <= clock.now() - client.began_at <= 82
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)


async def test_nothing_is_remembered_of_who_joins_while_all_is_well(scripted: Scripted, clock: FakeClock) -> None:
    """Before an outage and after it, in which others joined."""
    client = scripted(until(1e9))
    client.failing = lambda job_ids, at_s: DOWN if 30 <= at_s < 42 else None
    waits = waits_for(client, a=EVERY_5_S)
    for number in range(60):
        waits += waits_for(client, **{f"j{number}": EVERY_5_S})
        await clock.sleep(1)
    assert not hub_of(client)._outage._newcomers
    for waiting in waits:
        waiting.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


def test_a_wait_counts_an_outage_of_its_own_until_it_is_answered_itself() -> None:
    """Whether a look of its own failed is what tells; afterwards its limit is that of before."""
    held, looked = (Watch(handle("a"), rests(5, 60), Sight(0.0)) for _ in range(2))
    for watch in (held, looked):
        watch.judge(job("a"), 10.0)
        for at_s in (20.0, 30.0):
            assert watch.judge(DOWN, at_s, looked=False) is None
    looked.judge(DOWN, 35.0)
    looked.judge(DOWN, 40.0, looked=False)
    assert (held.deadline_at, looked.deadline_at) == (80.0, 80.0)
    assert (held.relieve(50.0), looked.relieve(50.0)) == (24 * 3600.0, 50.0)
    assert (held.deadline_at, looked.deadline_at) == (24 * 3600.0, 80.0)


def test_an_outage_is_no_part_of_an_absence() -> None:
    """A job that is missing from 10 s on may be so for 30: 15 s, and 25 s in which nobody could look, and 15 s."""
    watch = Watch(handle("a"), rests(5, 60), Sight(0.0))
    watch.judge(errors.JobNotFound("fake", "a", ""), 10.0)
    watch.judge(DOWN, 25.0, looked=False)
    assert watch.relieve(50.0) == 65.0


def test_who_waits_with_others_for_one_job_is_relieved_too() -> None:
    """The first of two counts a look that failed; the second joined after it."""
    slot = Agenda().slot("a")
    watches = [Watch(handle("a"), rests(5, 60), Sight(0.0)) for _ in range(2)]
    slot.waiters = tuple(Waiter({"a": watch}, False) for watch in watches)
    watches[0].judge(DOWN, 20.0)
    watches[1].judge(DOWN, 30.0, looked=False)
    assert slot.relieve(40.0) == 40.0
    assert [watch.deadline_at for watch in watches] == [80.0, 24 * 3600.0]
