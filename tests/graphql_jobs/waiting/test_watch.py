"""What one wait remembers of an outage."""

from __future__ import annotations

from math import inf

from graphql_jobs import errors
from graphql_jobs.waiting.checkpoints import Checkpoint
from graphql_jobs.waiting.watch import Watch
from tests.graphql_jobs.waits import DOWN, handle, job, rests


def test_outage_of_the_endpoint_counts_from_its_beginning() -> None:
    """Since 20 s, with a budget of 60 s: given up at 80 s, although no poll of the job failed."""
    watch = Watch(handle("a"), rests(5, 60), Checkpoint(0.0))
    watch.judge(job("a"), 10.0)
    assert watch.gives_up_at(20.0, inf) == 80.0
    assert watch.judge_outage(DOWN, 20.0, 79.9, inf) is None
    assert isinstance(watch.judge_outage(DOWN, 20.0, 80.0, inf), errors.ProviderLost)


def test_failed_poll_of_a_job_counts_until_the_job_is_answered() -> None:
    """A poll failed at 15 s; the outage of the endpoint began at 20 s and is over at 50 s: given up at 75 s."""
    watch = Watch(handle("a"), rests(5, 60), Checkpoint(0.0))
    watch.judge(job("a"), 10.0)
    watch.judge(DOWN, 15.0)
    watch.end_outage(20.0, 50.0)
    assert (watch.deadline_at, watch.gives_up_at(70.0, inf)) == (75.0, 75.0)
    watch.judge(job("a"), 60.0)
    assert (watch.deadline_at, watch.gives_up_at(70.0, inf)) == (24 * 3600.0, 130.0)


def test_delay_that_began_within_the_budget_is_sat_out() -> None:
    """An outage since 20 s with a budget of 60 s, and a delay that the server asked for at 79 s, or at 81 s."""
    watch = Watch(handle("a"), rests(5, 60), Checkpoint(0.0))
    watch.judge(job("a"), 10.0)
    assert watch.judge_outage(DOWN, 20.0, 3000.0, 79.0) is None
    assert isinstance(watch.judge_outage(DOWN, 20.0, 3000.0, 81.0), errors.ProviderLost)


def test_outage_is_no_part_of_an_absence() -> None:
    """A job that is missing from 10 s on may be so for 30 s: 15 s, and 25 s in which it was not polled, and 15 s."""
    watch = Watch(handle("a"), rests(5, 60), Checkpoint(0.0))
    watch.judge(errors.JobNotFound("fake", "a", ""), 10.0)
    watch.end_outage(25.0, 50.0)
    assert watch.deadline_at == 65.0


def test_failed_polls_are_no_part_of_an_absence() -> None:
    """The same with a poll of the job that failed at 25 s, and one at 50 s that says that it is missing."""
    watch = Watch(handle("a"), rests(5, 60), Checkpoint(0.0))
    absence = errors.JobNotFound("fake", "a", "")
    watch.judge(absence, 10.0)
    watch.judge(DOWN, 25.0)
    watch.end_outage(25.0, 45.0)
    watch.judge(absence, 50.0)
    assert watch.deadline_at == 65.0
