"""Waits that end before the job: by deadlines, outages and absences (guarantees 1, 3 and 10)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from graphql_jobs import errors
from graphql_jobs.job import Job, JobState
from graphql_jobs.waiting.policy import Deadlines, Schedule, WaitPolicy
from graphql_jobs.waiting.wait import wait, wait_many
from tests.graphql_jobs.waits import DOWN, handle, job

if TYPE_CHECKING:
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Scripted

SLOW = Schedule(60, 1, 60)
LIMITS = {"total_s": JobState.RUNNING, "queued_s": JobState.PENDING, "running_s": JobState.RUNNING}


def later(at_s: float, end_s: float) -> JobState:
    """Running, and succeeded after `end_s`."""
    return JobState.SUCCEEDED if at_s > end_s else JobState.RUNNING


async def test_job_that_finished_after_its_deadline_succeeded(scripted: Scripted, clock: FakeClock) -> None:
    """The status is read before the deadline is judged: submitted 2 h ago, total_s=3600, complete: succeeded."""
    client = scripted(lambda one, at_s: job("a", JobState.SUCCEEDED))
    ended = await wait(client, handle(submitted_at=clock.now() - 7200), WaitPolicy(deadlines=Deadlines(total_s=3600)))
    assert ended.state is JobState.SUCCEEDED


async def test_job_that_ends_at_its_deadline_succeeded(scripted: Scripted, clock: FakeClock) -> None:
    """The poll at the instant of the deadline shows the end: succeeded."""
    client = scripted(lambda one, at_s: job("a", JobState.SUCCEEDED if at_s >= 100 else JobState.RUNNING))
    ended = await wait(client, handle(submitted_at=clock.now()), WaitPolicy(SLOW, Deadlines(total_s=100)))
    assert ended.state is JobState.SUCCEEDED


@pytest.mark.parametrize("name", LIMITS)
async def test_each_deadline_ends_the_wait_at_its_instant_and_is_named(
    name: str, scripted: Scripted, clock: FakeClock
) -> None:
    """A deadline of 100.5 s and polls up to a minute apart: the wait ends at 100.5 s, not at the next poll."""
    client = scripted(lambda one, at_s: job("a", LIMITS[name]))
    deadlines = Deadlines(**{name: 100.5})
    with pytest.raises(errors.WaitTimedOut, match=f"{name}=100.5") as caught:
        await wait(client, handle(submitted_at=clock.now()), WaitPolicy(SLOW, deadlines))
    assert clock.now() - client.began_at == pytest.approx(100.5, abs=1e-3)
    assert caught.value.waited_s == pytest.approx(100.5, abs=1e-3)
    assert caught.value.job_ids == ("a",)
    assert LIMITS[name].lower() in str(caught.value)


@pytest.mark.parametrize("name", LIMITS)
async def test_no_deadline_ends_a_wait_before_its_instant(name: str, scripted: Scripted, clock: FakeClock) -> None:
    """The job ends 0.3 s before the deadline, seen by a poll every 0.2 s: succeeded."""
    client = scripted(lambda one, at_s: job("a", JobState.SUCCEEDED if at_s >= 100.3 else LIMITS[name]))
    policy = WaitPolicy(Schedule(0.2, 1, 0.2), Deadlines(**{name: 100.6}))
    assert (await wait(client, handle(submitted_at=clock.now()), policy)).state is JobState.SUCCEEDED


@pytest.mark.parametrize("name", ["total_s", "queued_s"])
async def test_deadlines_count_from_the_submission(name: str, scripted: Scripted, clock: FakeClock) -> None:
    """Submitted 90 s ago by a process that was stopped: of 100 s, ten are left."""
    client = scripted(lambda one, at_s: job("a", LIMITS[name]))
    with pytest.raises(errors.WaitTimedOut) as caught:
        await wait(client, handle(submitted_at=clock.now() - 90), WaitPolicy(SLOW, Deadlines(**{name: 100})))
    assert clock.now() - client.began_at == pytest.approx(10, abs=1e-3)
    assert caught.value.waited_s == pytest.approx(100, abs=1e-3)


async def test_deadline_counts_from_the_creation_without_a_submission(scripted: Scripted, clock: FakeClock) -> None:
    """A bare id, created 90 s ago by the provider's clock: of 100 s, ten are left."""
    created_at = datetime.fromtimestamp(clock.now() - 90, UTC)
    client = scripted(lambda one, at_s: job("a", JobState.RUNNING, raw_created=created_at.isoformat()))
    with pytest.raises(errors.WaitTimedOut):
        await wait(client, handle(), WaitPolicy(SLOW, Deadlines(total_s=100)))
    assert clock.now() - client.began_at == pytest.approx(10, abs=1e-3)


async def test_deadline_counts_from_the_first_poll_without_instants(scripted: Scripted, clock: FakeClock) -> None:
    """A bare id of a job without instants: 100 s from now."""
    client = scripted(lambda one, at_s: job("a", JobState.RUNNING))
    with pytest.raises(errors.WaitTimedOut):
        await wait(client, handle(), WaitPolicy(SLOW, Deadlines(total_s=100)))
    assert clock.now() - client.began_at == pytest.approx(100, abs=1e-3)


async def test_queue_deadline_is_off_once_the_job_has_run(scripted: Scripted, clock: FakeClock) -> None:
    """Running at 10 s, queued again at 100 s (aiWARE's retry of a task), done at 500 s, with queued_s=60: succeeded."""
    states = ((500, JobState.SUCCEEDED), (100, JobState.PENDING), (10, JobState.RUNNING), (0, JobState.PENDING))
    client = scripted(lambda one, at_s: job("a", next(state for since, state in states if at_s >= since)))
    policy = WaitPolicy(Schedule(5, 1, 5), Deadlines(queued_s=60))
    assert (await wait(client, handle(submitted_at=clock.now()), policy)).state is JobState.SUCCEEDED


async def test_unknown_status_ends_a_wait_only_by_its_deadline(scripted: Scripted, clock: FakeClock) -> None:
    """A status that is not in the table for a day: `WaitTimedOut` with total_s, and not before."""
    client = scripted(lambda one, at_s: job("a", JobState.UNKNOWN))
    with pytest.raises(errors.WaitTimedOut, match="unknown"):
        await wait(client, handle(submitted_at=clock.now()), WaitPolicy(SLOW, Deadlines(queued_s=5)))
    assert clock.now() - client.began_at == pytest.approx(24 * 3600, abs=1e-3)


async def test_failed_poll_is_not_a_failed_job(scripted: Scripted) -> None:
    """Half an hour of failed polls, then the job is complete: succeeded."""
    client = scripted(lambda one, at_s: DOWN if at_s < 1800 else job("a", JobState.SUCCEEDED))
    assert (await wait(client, handle())).state is JobState.SUCCEEDED


async def test_failed_batch_ends_no_wait(scripted: Scripted) -> None:
    """The whole request fails for a minute: both waits continue and see their jobs end."""
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED))
    client.failing = lambda job_ids, at_s: DOWN if at_s < 60 else None
    ends = [ended async for _, ended in wait_many(client, [handle(), handle(job_id="b")])]
    assert [isinstance(ended, Job) for ended in ends] == [True, True]


async def test_outage_ends_the_wait_when_its_budget_is_spent(scripted: Scripted, clock: FakeClock) -> None:
    """Down from 100 s on with 600 s of budget: `ProviderLost` at 700 s, with the last failure."""
    client = scripted(lambda one, at_s: job("a", JobState.RUNNING) if at_s < 100 else DOWN)
    policy = WaitPolicy(Schedule(10, 1, 10), outage_budget_s=600)
    with pytest.raises(errors.ProviderLost, match="HTTP 503") as caught:
        await wait(client, handle(submitted_at=clock.now()), policy)
    lost_since = next(at_s for at_s, _ in client.polls if at_s >= 100)
    assert clock.now() - client.began_at == pytest.approx(lost_since + 600, abs=1e-3)
    assert "outage_budget_s=600" in caught.value.detail


async def test_one_answer_ends_an_outage(scripted: Scripted, clock: FakeClock) -> None:
    """Down for 50 s of every 60 with a budget of 100 s: the wait continues for two hours, until its deadline."""
    client = scripted(lambda one, at_s: DOWN if at_s % 60 < 50 else job("a", JobState.RUNNING))
    policy = WaitPolicy(Schedule(2, 1, 2), Deadlines(total_s=7200), outage_budget_s=100)
    with pytest.raises(errors.WaitTimedOut, match="total_s"):
        await wait(client, handle(submitted_at=clock.now()), policy)


async def test_outage_of_one_job_ends_no_wait_for_another(scripted: Scripted) -> None:
    """All polls of b fail: a is done at 10 s, b is `ProviderLost` after its budget."""
    client = scripted(lambda one, at_s: DOWN if one == "b" else job("a", later(at_s, 10)))
    policy = WaitPolicy(Schedule(5, 1, 5), outage_budget_s=300)
    ends = {one.job_id: end async for one, end in wait_many(client, [handle(), handle(job_id="b")], policy)}
    assert isinstance(ends["a"], Job)
    assert isinstance(ends["b"], errors.ProviderLost)


@pytest.mark.parametrize("kind", [errors.SignInFailed, errors.NotAllowed, errors.RequestRefused, errors.BadEndpoint])
async def test_refusal_for_good_ends_the_wait_with_the_first_poll(
    kind: type[errors.RequestFailed], scripted: Scripted
) -> None:
    """The first poll is refused because of the token: one poll, and `CheckRefused`."""
    client = scripted(lambda one, at_s: None)
    client.failing = lambda job_ids, at_s: kind("fake", "check", "", "no")
    with pytest.raises(errors.CheckRefused, match=kind.meaning):
        await wait(client, handle())
    assert len(client.polls) == 1


async def test_job_that_was_answered_before_is_not_refused_for_good(scripted: Scripted, clock: FakeClock) -> None:
    """A proxy's 404 during a wait: the job is polled again, and has succeeded."""
    client = scripted(lambda one, at_s: job("a", later(at_s, 100)))
    wrong = errors.BadEndpoint("fake", "check", "", "HTTP 404")
    client.failing = lambda job_ids, at_s: wrong if 20 < at_s < 60 else None
    assert (await wait(client, handle())).state is JobState.SUCCEEDED
    assert clock.now() - client.began_at > 100


async def test_creation_in_the_future_does_not_put_the_deadline_off(scripted: Scripted, clock: FakeClock) -> None:
    """The provider's clock is years ahead: total_s counts from the first poll."""
    ahead = datetime(2090, 1, 1, tzinfo=UTC)
    client = scripted(lambda one, at_s: job("a", JobState.RUNNING, raw_created=ahead.isoformat()))
    with pytest.raises(errors.WaitTimedOut):
        await wait(client, handle(), WaitPolicy(deadlines=Deadlines(total_s=60)))
    assert clock.now() - client.began_at == pytest.approx(60, abs=1e-3)


async def test_outage_is_no_part_of_an_absence(scripted: Scripted) -> None:
    """Missing once, then half an hour of outage, then visible: found, since no poll was possible in between."""
    client = scripted(lambda one, at_s: job("a", JobState.SUCCEEDED) if at_s > 1815 else None)
    client.failing = lambda job_ids, at_s: DOWN if 2 < at_s < 1800 else None
    assert (await wait(client, handle())).state is JobState.SUCCEEDED


async def test_error_without_a_known_code_does_not_end_a_wait(scripted: Scripted) -> None:
    """Datasaur publishes no error codes: after one "database timeout", the job is complete: succeeded."""
    hiccup = errors.OperationFailed("fake", "check", "", "database timeout")
    client = scripted(lambda one, at_s: hiccup if at_s < 10 else job("a", JobState.SUCCEEDED))
    assert (await wait(client, handle())).state is JobState.SUCCEEDED


async def test_job_may_be_missing_for_its_grace(scripted: Scripted) -> None:
    """Absent for the first 20 s of 30: the wait continues and finds it."""
    client = scripted(lambda one, at_s: None if at_s < 20 else job("a", JobState.SUCCEEDED))
    assert (await wait(client, handle())).state is JobState.SUCCEEDED


async def test_job_that_stays_missing_is_not_found_when_its_grace_ends(scripted: Scripted, clock: FakeClock) -> None:
    """Always absent: `JobNotFound` after exactly 30 s."""
    client = scripted(lambda one, at_s: None)
    with pytest.raises(errors.JobNotFound):
        await wait(client, handle(), WaitPolicy(SLOW))
    assert clock.now() - client.began_at == pytest.approx(30, abs=1e-3)


async def test_without_a_grace_the_first_poll_decides(scripted: Scripted) -> None:
    """not_found_grace_s=0: `JobNotFound` after one poll."""
    client = scripted(lambda one, at_s: None)
    with pytest.raises(errors.JobNotFound):
        await wait(client, handle(), WaitPolicy(not_found_grace_s=0))
    assert len(client.polls) == 1


async def test_job_that_came_back_has_a_new_grace(scripted: Scripted) -> None:
    """Absent for 25 s, visible, absent for 25 s, done: neither absence was longer than the grace."""
    client = scripted(lambda one, at_s: None if at_s < 25 or 40 <= at_s < 65 else job("a", later(at_s, 70)))
    assert (await wait(client, handle(), WaitPolicy(Schedule(2, 1, 2)))).state is JobState.SUCCEEDED


async def test_failed_polls_do_not_prolong_the_grace_without_end(scripted: Scripted, clock: FakeClock) -> None:
    """Absent and failing by turns: `JobNotFound` within three minutes."""
    client = scripted(lambda one, at_s: DOWN if int(at_s) % 2 else None)
    with pytest.raises(errors.JobNotFound):
        await wait(client, handle(), WaitPolicy(Schedule(0.5, 1, 0.5)))
    assert 30 <= clock.now() - client.began_at < 180
