"""`wait` and `wait_many`: ends, changes, and the start of deadlines."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from graphql_jobs import errors
from graphql_jobs.handle import JobHandle
from graphql_jobs.job import Job, JobFailure, JobState, JobTask
from graphql_jobs.waiting.policy import Deadlines, Schedule, WaitPolicy
from graphql_jobs.waiting.wait import require_success, wait, wait_many
from tests.graphql_jobs.waits import handle, job

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Scripted

EVERY_SECOND = Schedule(1, 1, 1)


def ending(end: JobState, at_s: float) -> Callable[[str, float], Job]:
    """A script: running, and ended a number of seconds after the start."""
    return lambda job_id, now_s: job(job_id, end if now_s >= at_s else JobState.RUNNING)


async def test_wait_ends_with_the_job(scripted: Scripted) -> None:
    """Running, ended at 5 s: the job is returned in any final state."""
    for end in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED):
        client = scripted(ending(end, 5))
        ended = await wait(client, handle(), WaitPolicy(EVERY_SECOND))
        assert ended.state is end


async def test_job_that_had_ended_before_costs_one_poll(scripted: Scripted) -> None:
    """The wait ends with the first poll, without a delay."""
    client = scripted(lambda job_id, at_s: job(job_id, JobState.SUCCEEDED))
    await wait(client, handle())
    assert client.polls == [(0, ("a",))]
    assert client.clock.slept == []


async def test_wait_for_no_job_ends_at_once(scripted: Scripted) -> None:
    """No handle, no poll."""
    client = scripted(lambda job_id, at_s: None)
    assert [ended async for ended in wait_many(client, [])] == []
    assert client.polls == []


async def test_handles_of_one_job_are_waited_for_once(scripted: Scripted) -> None:
    """Three handles of two jobs: two ends, and each poll asks for two jobs."""
    client = scripted(lambda job_id, at_s: job(job_id, JobState.SUCCEEDED if at_s > 2 else JobState.RUNNING))
    ends = [ended async for ended in wait_many(client, [handle("a"), handle("b"), handle("a")])]
    assert sorted(one.job_id for one, _ in ends) == ["a", "b"]
    assert all(len(job_ids) == 2 for _, job_ids in client.polls)


async def test_ends_are_given_as_they_come(scripted: Scripted, clock: FakeClock) -> None:
    """Job c ends at 3 s, a at 10 s, b at 20 s: they are yielded in that order, at those instants."""
    ends_at = {"a": 10, "b": 20, "c": 3}
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED if at_s >= ends_at[one] else JobState.RUNNING))
    seen: list[tuple[str, float]] = []
    async for one, ended in wait_many(client, [handle(name) for name in "abc"], WaitPolicy(EVERY_SECOND)):
        assert isinstance(ended, Job)
        seen.append((one.job_id, clock.now() - client.began_at))
    assert [name for name, _ in seen] == ["c", "a", "b"]
    assert all(0 <= at_s - ends_at[name] <= 1 for name, at_s in seen)


async def test_ended_job_is_not_polled_again(scripted: Scripted) -> None:
    """Job a has ended at the first poll: later polls ask only for b."""
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED if one == "a" or at_s > 3 else JobState.RUNNING))
    assert len([end async for end in wait_many(client, [handle("a"), handle("b")])]) == 2
    assert client.polls[0][1] == ("a", "b")
    assert {job_ids for _, job_ids in client.polls[1:]} == {("b",)}


async def test_on_change_is_called_for_changes_only(scripted: Scripted) -> None:
    """Queued twice, running twice, progress, a task's status, the end: five calls for seven polls."""
    tasks = (JobTask("t", JobState.RUNNING, "running"),)
    shown = [
        job("a", JobState.PENDING),
        job("a", JobState.PENDING),
        job("a", JobState.RUNNING),
        job("a", JobState.RUNNING),
        Job("fake", "a", JobState.RUNNING, "running", (), (), 50),
        Job("fake", "a", JobState.RUNNING, "running", tasks, (), 50),
        job("a", JobState.SUCCEEDED),
    ]
    client = scripted(lambda job_id, at_s: shown[len(client.polls) - 1])
    changes: list[Job] = []
    await wait(client, handle(), on_change=changes.append)
    assert changes == [shown[0], shown[2], shown[4], shown[5], shown[6]]


async def test_intervals_come_from_the_schedule(scripted: Scripted) -> None:
    """The first interval is a part of 2 s, by the job's id; then 2 s, then a tenth of the age, up to 5 s."""
    client = scripted(ending(JobState.SUCCEEDED, 100))
    await wait(client, handle(), WaitPolicy(Schedule(2, 0.1, 5)))
    polls = [at_s for at_s, _ in client.polls]
    intervals = [later - earlier for earlier, later in pairwise(polls)]
    assert 0 < intervals[0] <= 2
    assert intervals[1:] == pytest.approx([min(max(2, at_s / 10), 5) for at_s in polls[1:-1]], abs=1e-5)


def test_require_success_raises_for_a_job_that_failed_or_was_cancelled() -> None:
    """Three ends: the job itself, `JobFailed` with the reason, `JobCancelled`."""
    assert require_success(job("a", JobState.SUCCEEDED)).job_id == "a"
    failed = Job("fake", "a", JobState.FAILED, "failed", (), (JobFailure("url_error", "404", "t1"),))
    with pytest.raises(errors.JobFailed, match=r"task t1: url_error \(404\)") as caught:
        require_success(failed)
    assert caught.value.job is failed
    with pytest.raises(errors.JobCancelled):
        require_success(job("a", JobState.CANCELLED))


async def test_running_counts_from_the_start_of_the_first_task(scripted: Scripted, clock: FakeClock) -> None:
    """Seen running for the first time now, but started 50 s ago: running_s=60 ends 10 s from now."""
    started = JobTask("t", JobState.RUNNING, "running", None, clock.now() - 50)
    client = scripted(lambda one, at_s: job(one, JobState.RUNNING, tasks=(started,)))
    with pytest.raises(errors.WaitTimedOut, match="running_s=60"):
        await wait(client, handle(submitted_at=clock.now() - 100), WaitPolicy(deadlines=Deadlines(running_s=60)))
    assert clock.now() - client.began_at == pytest.approx(10, abs=1e-3)


async def test_instant_before_the_submission_is_not_the_start_of_a_task(scripted: Scripted, clock: FakeClock) -> None:
    """0001-01-01T00:00:00Z means not started: the deadline of an hour does not pass with the first poll."""
    zero = JobTask("t", JobState.RUNNING, "running", None, "0001-01-01T00:00:00.000Z")
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED if at_s > 9 else JobState.RUNNING, tasks=(zero,)))
    policy = WaitPolicy(deadlines=Deadlines(running_s=3600))
    assert (await wait(client, handle(submitted_at=clock.now()), policy)).state is JobState.SUCCEEDED


async def test_blank_around_a_job_id_does_no_harm(scripted: Scripted) -> None:
    """The handle of "a ", as typed by hand: the job is waited for, or the id is refused as `InvalidInput`."""
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED))
    try:
        assert (await wait(client, handle("a "))).state is JobState.SUCCEEDED
    except errors.InvalidInput as refused:
        assert "job_id" in refused.parameter  # noqa: PT017 (either is right)


async def test_handle_of_another_provider_is_refused(scripted: Scripted) -> None:
    """A Datasaur handle given to another provider's client: `InvalidInput`, and nothing is sent."""
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED))
    other = JobHandle(provider="datasaur", endpoint="https://app.datasaur.ai/graphql", job_id="a")
    with pytest.raises(errors.InvalidInput):
        await wait(client, other)
    assert client.polls == []
