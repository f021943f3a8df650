"""The loop that waits: what ends it, and that looks are shared and bounded."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from graphql_jobs import errors
from graphql_jobs.handle import JobHandle
from graphql_jobs.job import Job, JobFailure, JobState, JobTask
from graphql_jobs.waiting.policy import Deadlines, Schedule, WaitPolicy
from graphql_jobs.waiting.wait import require_success, wait, wait_many

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Scripted

EVERY_SECOND = Schedule(1, 1, 1)


def job(job_id: str, state: JobState, raw_status: str = "", tasks: tuple[JobTask, ...] = ()) -> Job:
    """A job as one look shows it."""
    return Job("fake", job_id, state, raw_status or state.lower(), tasks)


def handle(job_id: str = "a", submitted_at: float | None = None) -> JobHandle:
    """A handle, with the instant of its submission if it is known."""
    instant = datetime.fromtimestamp(submitted_at, UTC) if submitted_at is not None else None
    return JobHandle(provider="fake", endpoint="http://fake.invalid/graphql", job_id=job_id, submitted_at=instant)


def ending(end: JobState, at_s: float) -> Callable[[str, float], Job]:
    """A script: running, and ended so many seconds after the start."""
    return lambda job_id, now_s: job(job_id, end if now_s >= at_s else JobState.RUNNING)


async def test_a_wait_ends_with_the_job(scripted: Scripted) -> None:
    """Pending, running, succeeded at 5 s: the job is given, whatever its end."""
    for end in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED):
        client = scripted(ending(end, 5))
        ended = await wait(client, handle(), WaitPolicy(EVERY_SECOND))
        assert ended.state is end


async def test_looking_stops_when_all_have_ended(scripted: Scripted) -> None:
    """A job that had ended before costs one look and no pause."""
    client = scripted(lambda job_id, at_s: job(job_id, JobState.SUCCEEDED))
    await wait(client, handle())
    assert client.looks == [(0, ("a",))]
    assert client.clock.slept == []


async def test_no_handles_no_looks(scripted: Scripted) -> None:
    """Waiting for nothing ends at once."""
    client = scripted(lambda job_id, at_s: None)
    assert [ended async for ended in wait_many(client, [])] == []
    assert client.looks == []


async def test_handles_of_one_job_are_waited_for_once(scripted: Scripted) -> None:
    """Three handles of two jobs: two ends, and each look names two jobs."""
    client = scripted(lambda job_id, at_s: job(job_id, JobState.SUCCEEDED if at_s > 2 else JobState.RUNNING))
    ends = [ended async for ended in wait_many(client, [handle("a"), handle("b"), handle("a")])]
    assert sorted(one.job_id for one, _ in ends) == ["a", "b"]
    assert all(len(job_ids) == 2 for _, job_ids in client.looks)


async def test_ends_are_given_as_they_come(scripted: Scripted, clock: FakeClock) -> None:
    """Job c ends at 3 s, a at 10 s, b at 20 s: given in that order, at those instants."""
    ends_at = {"a": 10, "b": 20, "c": 3}
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED if at_s >= ends_at[one] else JobState.RUNNING))
    seen: list[tuple[str, float]] = []
    async for one, ended in wait_many(client, [handle(name) for name in "abc"], WaitPolicy(EVERY_SECOND)):
        assert isinstance(ended, Job)
        seen.append((one.job_id, clock.now() - client.began_at))
    assert [name for name, _ in seen] == ["c", "a", "b"]
    assert all(0 <= at_s - ends_at[name] <= 1 for name, at_s in seen)


async def test_what_has_ended_is_not_looked_at_again(scripted: Scripted) -> None:
    """Job a ends at once: the later looks name b alone."""
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED if one == "a" or at_s > 3 else JobState.RUNNING))
    assert len([end async for end in wait_many(client, [handle("a"), handle("b")])]) == 2
    assert client.looks[0][1] == ("a", "b")
    assert {job_ids for _, job_ids in client.looks[1:]} == {("b",)}


async def test_many_jobs_are_looked_at_in_batches(scripted: Scripted) -> None:
    """250 jobs are three requests a look."""
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED))
    ends = [end async for end in wait_many(client, [handle(f"j{number}") for number in range(250)])]
    assert len(ends) == 250
    assert [len(job_ids) for _, job_ids in client.looks] == [100, 100, 50]


async def test_on_change_is_called_for_changes_only(scripted: Scripted) -> None:
    """Queued twice, running twice, progress, a task's status, the end: five calls for seven looks."""
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
    client = scripted(lambda job_id, at_s: shown[len(client.looks) - 1])
    changes: list[Job] = []
    await wait(client, handle(), on_change=changes.append)
    assert changes == [shown[0], shown[2], shown[4], shown[5], shown[6]]


async def test_intervals_come_from_the_schedule(scripted: Scripted) -> None:
    """The first interval is a part of 2 s, by the job's id; then 2 s, then a tenth of the age, up to 5 s."""
    client = scripted(ending(JobState.SUCCEEDED, 100))
    await wait(client, handle(), WaitPolicy(Schedule(2, 0.1, 5)))
    polls = [at_s for at_s, _ in client.looks]
    intervals = [later - earlier for earlier, later in pairwise(polls)]
    assert 0 < intervals[0] <= 2
    assert intervals[1:] == pytest.approx([min(max(2, at_s / 10), 5) for at_s in polls[1:-1]], abs=1e-5)


async def test_a_batch_that_is_too_much_is_halved(scripted: Scripted) -> None:
    """The provider takes two jobs at once: five jobs are asked for in pieces of one or two, and all are seen."""
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED))

    def too_many(job_ids: Sequence[str], at_s: float) -> Exception | None:
        return errors.TooMuchAtOnce("fake", "check", "", "capacity_exceeded") if len(job_ids) > 2 else None

    client.failing = too_many
    seen = await client.check(list("abcde"))
    assert list(seen) == list("abcde")
    assert all(isinstance(one, Job) for one in seen.values())
    assert sorted(one for _, job_ids in client.looks if len(job_ids) <= 2 for one in job_ids) == list("abcde")


async def test_one_job_that_is_too_much_is_an_error(scripted: Scripted) -> None:
    """A batch of one cannot be halved."""
    client = scripted(lambda one, at_s: None)
    client.failing = lambda job_ids, at_s: errors.TooMuchAtOnce("fake", "check", "", "too big")
    assert isinstance((await client.check(["a"]))["a"], errors.TooMuchAtOnce)


def test_success_is_required_of_the_job_and_not_of_the_wait() -> None:
    """Three ends: the job itself, `JobFailed` with the reason, `JobCancelled`."""
    assert require_success(job("a", JobState.SUCCEEDED)).job_id == "a"
    failed = Job("fake", "a", JobState.FAILED, "failed", (), (JobFailure("url_error", "404", "t1"),))
    with pytest.raises(errors.JobFailed, match=r"task t1: url_error \(404\)") as caught:
        require_success(failed)
    assert caught.value.job is failed
    with pytest.raises(errors.JobCancelled):
        require_success(job("a", JobState.CANCELLED))


async def test_a_task_that_started_is_where_running_begins(scripted: Scripted, clock: FakeClock) -> None:
    """First seen running now, but started 50 s ago: running_s=60 ends 10 s from now."""
    started = JobTask("t", JobState.RUNNING, "running", None, clock.now() - 50)
    client = scripted(lambda one, at_s: job(one, JobState.RUNNING, tasks=(started,)))
    with pytest.raises(errors.WaitTimedOut, match="running_s=60"):
        await wait(client, handle(submitted_at=clock.now() - 100), WaitPolicy(deadlines=Deadlines(running_s=60)))
    assert clock.now() - client.began_at == pytest.approx(10, abs=1e-3)


async def test_an_instant_before_the_submission_is_not_the_start_of_a_task(
    scripted: Scripted, clock: FakeClock
) -> None:
    """The text 0001-01-01T00:00:00Z means not started: the deadline of an hour does not fire at the first look."""
    zero = JobTask("t", JobState.RUNNING, "running", None, "0001-01-01T00:00:00.000Z")
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED if at_s > 9 else JobState.RUNNING, tasks=(zero,)))
    policy = WaitPolicy(deadlines=Deadlines(running_s=3600))
    assert (await wait(client, handle(submitted_at=clock.now()), policy)).state is JobState.SUCCEEDED


async def test_a_blank_around_a_job_id_does_no_harm(scripted: Scripted) -> None:
    """A handle that somebody typed as "a ": waited for, or refused as `InvalidInput`."""
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED))
    try:
        assert (await wait(client, handle("a "))).state is JobState.SUCCEEDED
    except errors.InvalidInput as refused:
        assert "job_id" in refused.parameter  # noqa: PT017 (either is right)


async def test_a_handle_of_another_provider_is_refused(scripted: Scripted) -> None:
    """A Datasaur handle given to another provider's client: `InvalidInput`, and nothing is sent."""
    client = scripted(lambda one, at_s: job(one, JobState.SUCCEEDED))
    other = JobHandle(provider="datasaur", endpoint="https://app.datasaur.ai/graphql", job_id="a")
    with pytest.raises(errors.InvalidInput):
        await wait(client, other)
    assert client.looks == []
