"""What one wait remembers of an outage."""

from __future__ import annotations

from graphql_jobs import errors
from graphql_jobs.sights import Sight
from graphql_jobs.watch import Watch
from tests.graphql_jobs.hubs import DOWN, handle, job, rests


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
    held.relieve(50.0)
    looked.relieve(50.0)
    assert (held.deadline_at, looked.deadline_at) == (24 * 3600.0, 80.0)


def test_an_outage_is_no_part_of_an_absence() -> None:
    """A job that is missing from 10 s on may be so for 30: 15 s, and 25 s in which nobody could look, and 15 s."""
    watch = Watch(handle("a"), rests(5, 60), Sight(0.0))
    watch.judge(errors.JobNotFound("fake", "a", ""), 10.0)
    watch.judge(DOWN, 25.0, looked=False)
    watch.relieve(50.0)
    assert watch.deadline_at == 65.0
