"""When to look again and when to give up: pure functions of numbers."""

from __future__ import annotations

from itertools import islice
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs.errors import InvalidInput
from graphql_jobs.job import JobState
from graphql_jobs.schedule import MIN_DELAY_S, Deadlines, Schedule, WaitPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = st.floats(min_value=0.001, max_value=1e6)
SCHEDULES = st.builds(Schedule, first_delay_s=SECONDS, growth=st.floats(min_value=1, max_value=10), max_delay_s=SECONDS)


class Highest(Random):
    """Always draws the upper end: shows the steps themselves."""

    def uniform(self, a: float, b: float) -> float:
        """The upper end."""
        return b


class Lowest(Random):
    """Always draws the lower end."""

    def uniform(self, a: float, b: float) -> float:
        """The lower end."""
        return a


@given(SCHEDULES, st.integers(0, 2**32))
def test_every_delay_lies_within_its_bounds(schedule: Schedule, seed: int) -> None:
    """Never below MIN_DELAY_S and never above the cap, whatever is drawn."""
    highest = max(schedule.max_delay_s, MIN_DELAY_S)
    for delay_s in islice(schedule.delays(Random(seed)), 50):
        assert MIN_DELAY_S <= delay_s <= highest


@given(SCHEDULES)
def test_the_steps_never_shrink_and_reach_the_cap(schedule: Schedule) -> None:
    """Steps grow by `growth` until they stand at `max_delay_s`."""
    steps = list(islice(schedule.delays(Highest()), 30))
    assert steps == sorted(steps)
    assert steps[0] == max(min(schedule.first_delay_s, schedule.max_delay_s), MIN_DELAY_S)
    if schedule.growth >= 2:
        assert list(islice(schedule.delays(Highest()), 100))[-1] == max(schedule.max_delay_s, MIN_DELAY_S)


def test_the_steps_grow_by_the_factor() -> None:
    """2 s, 3 s, 4.5 s, then the cap of 5 s."""
    assert list(islice(Schedule(2, 1.5, 5).delays(Highest()), 5)) == [2, 3, 4.5, 5, 5]


def test_the_jitter_reaches_from_nearly_nothing_to_the_whole_step() -> None:
    """Full jitter, also at the cap: the smallest draw is MIN_DELAY_S, the largest the step itself."""
    assert list(islice(Schedule(2, 2, 8).delays(Lowest()), 4)) == [MIN_DELAY_S] * 4
    drawn = list(islice(Schedule(10, 1, 10).delays(Random(7)), 2000))
    assert min(drawn) < 1
    assert max(drawn) > 9
    assert 4.5 < sum(drawn) / len(drawn) < 5.5


def test_two_waits_do_not_march_in_step() -> None:
    """Two seeds, two sequences."""
    schedule = Schedule()
    assert list(islice(schedule.delays(Random(1)), 5)) != list(islice(schedule.delays(Random(2)), 5))


@pytest.mark.parametrize("value", [0, -1, float("nan")])
@pytest.mark.parametrize("name", ["first_delay_s", "max_delay_s"])
def test_a_pause_must_be_positive(name: str, value: float) -> None:
    """Zero seconds between two looks would be a loop without a pause."""
    with pytest.raises(InvalidInput, match=name):
        Schedule(**{name: value})


@pytest.mark.parametrize("growth", [0.99, 0, -1, float("nan")])
def test_growth_must_not_shrink(growth: float) -> None:
    """A factor below one would ask ever more often."""
    with pytest.raises(InvalidInput, match="growth"):
        Schedule(growth=growth)


@pytest.mark.parametrize("value", [0, -5, float("nan")])
@pytest.mark.parametrize("name", ["total_s", "queued_s", "running_s"])
def test_a_deadline_must_be_positive(name: str, value: float) -> None:
    """A deadline of zero seconds is a mistake and not a wish."""
    with pytest.raises(InvalidInput, match=name):
        Deadlines(**{name: value})


@pytest.mark.parametrize("name", ["total_s", "outage_budget_s", "not_found_grace_s", "max_delay_s"])
def test_every_bound_is_finite(name: str) -> None:
    """Law 3: every wait ends, so total_s=inf is refused."""
    kinds: dict[str, Callable[..., object]] = {"total_s": Deadlines, "max_delay_s": Schedule}
    kind = kinds.get(name, WaitPolicy)
    with pytest.raises(InvalidInput, match=name):
        kind(**{name: float("inf")})


def test_the_policy_names_what_is_wrong() -> None:
    """An outage budget of zero, a negative grace; a grace of zero is a wish that can be granted."""
    with pytest.raises(InvalidInput, match="outage_budget_s"):
        WaitPolicy(outage_budget_s=0)
    with pytest.raises(InvalidInput, match="not_found_grace_s"):
        WaitPolicy(not_found_grace_s=-1)
    assert WaitPolicy(not_found_grace_s=0).not_found_grace_s == 0


@pytest.mark.parametrize(
    ("state", "running_since", "expected"),
    [
        (JobState.PENDING, None, (160, "queued_s=60")),
        (JobState.RUNNING, 150.0, (450, "running_s=300")),
        (JobState.RUNNING, 900.0, (1100, "total_s=1000")),
        (JobState.RUNNING, None, (1100, "total_s=1000")),
        (JobState.UNKNOWN, 150.0, (450, "running_s=300")),
    ],
    ids=["queued", "running", "total comes first", "start not known", "unknown word"],
)
def test_the_next_deadline_is_the_first_that_the_state_can_miss(
    state: JobState, running_since: float | None, expected: tuple[float, str]
) -> None:
    """Submitted at 100 with 60 s in the queue, 300 s running and 1000 s in all."""
    assert Deadlines(1000, 60, 300).next_at(state, 100, running_since) == expected


@given(st.sampled_from(JobState), SECONDS, st.none() | SECONDS, st.none() | SECONDS, st.none() | SECONDS)
def test_no_deadline_lies_beyond_the_total(
    state: JobState, total_s: float, queued_s: float | None, running_s: float | None, since: float | None
) -> None:
    """Whatever else is set: the total bounds the wait."""
    at, name = Deadlines(total_s, queued_s, running_s).next_at(state, 1000, since)
    assert at <= 1000 + total_s
    assert name.split("=")[0] in {"total_s", "queued_s", "running_s"}
