"""The poll queue: the jobs of the next batch, and the effect of a delayed endpoint."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest

from graphql_jobs.waiting.poll_queue import PolledJob, PollQueue, choose_probe


def queue_of(**due_at: float) -> PollQueue:
    """A queue with jobs that are polled every 10 s."""
    queue = PollQueue()
    for job_id, at in due_at.items():
        queue.put(PolledJob(job_id, queue, interval_s=10.0), at)
    return queue


def jobs_of(queue: PollQueue) -> list[PolledJob]:
    """The jobs in the queue."""
    return [job for jobs in queue._due.values() for job in jobs]


def taken(queue: PollQueue, now: float, at_most: int = 100) -> list[str]:
    """The ids of the next batch."""
    return [job.job_id for job in queue.take(now, at_most)]


def test_batch_holds_the_jobs_that_are_due_in_order() -> None:
    """Due at 1, 2 and 3 s, with two jobs per batch: at 2 s, the batch has the first two."""
    assert taken(queue_of(c=3, a=1, b=2), 2, at_most=2) == ["a", "b"]


def test_no_batch_before_a_job_is_due() -> None:
    """Due at 5 s: nothing at 4.9 s."""
    queue = queue_of(a=5)
    assert taken(queue, 4.9) == []
    assert queue.next_at() == 5


def test_job_with_half_of_its_interval_behind_it_fills_a_batch() -> None:
    """Interval 10 s: a job due in 5 s is polled with the job that is due now, a job due in 6 s is not."""
    assert taken(queue_of(a=0, b=5, c=6), 0) == ["a", "b"]


def test_job_whose_poll_is_under_way_is_not_taken_again() -> None:
    """It is not taken until it is put back."""
    queue = queue_of(a=0)
    [job] = queue.take(0, 100)
    assert job.is_under_way
    assert (queue.take(100, 100), choose_probe([job], inf), queue.next_at()) == ([], [], inf)
    queue.put(job, 10)
    assert taken(queue, 10) == ["a"]


def test_last_put_of_a_job_counts() -> None:
    """A job is put for 5 s, then for 2 s, then for 9 s: it is due once, at 9 s."""
    queue = queue_of(a=5)
    [job] = jobs_of(queue)
    queue.put(job, 2)
    queue.put(job, 9)
    assert taken(queue, 8.9) == []
    assert taken(queue, 9) == ["a"]
    assert taken(queue, 99) == []


def test_removed_job_is_forgotten_although_another_job_has_its_id() -> None:
    """A job is removed, and a new wait for it begins: the first due time does not count."""
    queue = queue_of(a=1)
    queue.remove(*jobs_of(queue))
    assert queue.next_at() == inf
    queue.put(PolledJob("a", queue), 1)
    assert (taken(queue, 1), taken(queue, 99)) == (["a"], [])


def test_queue_does_not_grow_when_a_job_is_put_again() -> None:
    """A job that is put for later ten thousand times leaves few entries."""
    queue = queue_of(a=0)
    [job] = jobs_of(queue)
    for number in range(10_000):
        queue.put(job, 1e6 - number)
    assert len(queue._instants) < 200
    assert len(queue._due) == 1
    assert taken(queue, 1e6) == ["a"]


def test_first_intervals_end_at_several_instants() -> None:
    """A thousand jobs polled together are next due at four instants, at most a third at each; then every 8 s."""
    at = [PolledJob(f"j{number}", PollQueue()).next_due_at(0.0, 8.0) for number in range(1000)]
    assert set(at) == {2.0, 4.0, 6.0, 8.0}
    assert max(at.count(one) for one in set(at)) <= 330
    polled = PolledJob("j1", PollQueue(), interval_s=8.0)
    assert polled.next_due_at(100.0, 8.0) == 108.0


@pytest.mark.parametrize(("now", "spread"), [(15, False), (15.1, True)])
def test_job_that_is_polled_late_is_spread_anew(now: float, spread: bool) -> None:
    """Interval 10 s, polled more than half an interval late: its next interval is shortened."""
    [job] = queue_of(a=10).take(now, 1)
    assert (job.interval_s == 0.0) is spread


def test_probe_is_a_job_whose_last_poll_did_not_fail() -> None:
    """Of a hundred due jobs, 99 failed the last time: the other one is always the probe."""
    for _ in range(20):
        jobs = jobs_of(queue_of(**{f"j{number}": float(number) for number in range(100)}))
        for job in jobs:
            job.is_answered = job.job_id == "j42"
        assert [job.job_id for job in choose_probe(jobs, 100)] == ["j42"]


def test_probes_do_not_follow_the_order_in_which_jobs_are_due() -> None:
    """Otherwise jobs that can never be polled would always be first."""
    jobs = jobs_of(queue_of(**{f"j{number}": float(number) for number in range(100)}))
    numbers = [int(job.job_id[1:]) for _ in range(1000) for job in choose_probe(jobs, 100)]
    assert len(set(numbers)) > 50
    assert any(later < earlier for earlier, later in pairwise(numbers))
