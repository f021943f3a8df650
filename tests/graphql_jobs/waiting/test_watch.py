"""How one wait judges outages of the endpoint and absences of its job."""

from __future__ import annotations

from math import inf

import pytest

from graphql_jobs import errors
from graphql_jobs.waiting.checkpoints import Checkpoint
from graphql_jobs.waiting.watch import Watch
from tests.graphql_jobs.waits import DOWN, REFUSED, every, handle, job

ABSENT = errors.JobNotFound("fake", "a", "")


@pytest.fixture
def watch() -> Watch:
    """A wait with polls every 5 s, an outage budget of 60 s and a grace of 30 s; its job was polled at 10 s."""
    watch = Watch(handle("a"), every(5, 60), Checkpoint(0.0))
    watch.judge(job("a"), 10.0)
    return watch


def test_outage_of_the_endpoint_counts_from_its_beginning(watch: Watch) -> None:
    """An outage since 20 s, in which the job was not polled: the wait gives up at 80 s."""
    assert watch.gives_up_at(DOWN, 20.0) == 80.0
    assert isinstance(watch.give_up(DOWN, 20.0, 80.0), errors.ProviderLost)


def test_failed_poll_of_a_job_counts_until_the_job_is_answered(watch: Watch) -> None:
    """A poll fails at 15 s, so the wait gives up at 75 s; an answer at 60 s ends that outage."""
    watch.judge(DOWN, 15.0)
    assert (watch.deadline_at, watch.gives_up_at(DOWN, 70.0)) == (75.0, 75.0)
    watch.judge(job("a"), 60.0)
    assert (watch.deadline_at, watch.gives_up_at(DOWN, 70.0)) == (24 * 3600.0, 130.0)


def test_delay_that_began_within_the_outage_budget_is_sat_out(watch: Watch) -> None:
    """An outage since 20 s: a delay that began at 79 s is waited for until the deadline, one of 81 s is not."""
    assert watch.gives_up_at(DOWN, 20.0, 79.0) == 24 * 3600.0
    assert watch.gives_up_at(DOWN, 20.0, 81.0) == 80.0


def test_job_that_was_answered_is_not_refused_for_good(watch: Watch) -> None:
    """A rejected token ends a wait immediately only if its job was never seen."""
    new = Watch(handle("a"), every(5, 60), Checkpoint(0.0))
    assert (new.gives_up_at(REFUSED, 20.0), watch.gives_up_at(REFUSED, 20.0)) == (-inf, 80.0)
    assert isinstance(new.give_up(REFUSED, 20.0, 20.0), errors.CheckRefused)


def test_time_in_which_a_job_could_not_be_polled_is_no_part_of_its_absence(watch: Watch) -> None:
    """Missing at 15 s, an outage until 50 s, missing at 50 s and 55 s: the absence lasted 10 s, two poll intervals."""
    for at in (15.0, 50.0, 55.0):
        assert watch.judge(ABSENT, at) is None
    assert watch.deadline_at == 55.0 + 20.0


def test_failed_polls_are_no_part_of_an_absence(watch: Watch) -> None:
    """The same with a poll that failed at 20 s."""
    watch.judge(ABSENT, 15.0)
    watch.judge(DOWN, 20.0)
    watch.judge(ABSENT, 50.0)
    assert watch.deadline_at == 50.0 + 25.0
