"""When to look again and when to give up: pure functions of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs.errors import InvalidInput
from graphql_jobs.job import JobState
from graphql_jobs.waiting.policy import MIN_DELAY_S, Deadlines, Schedule, WaitPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = st.floats(min_value=0.001, max_value=1e6)
SCHEDULES = st.builds(Schedule, first_delay_s=SECONDS, growth=st.floats(min_value=0, max_value=10), max_delay_s=SECONDS)
AGES = st.floats(min_value=-1e6, max_value=1e9)


@given(SCHEDULES, AGES)
def test_every_pause_lies_within_its_bounds(schedule: Schedule, age_s: float) -> None:
    """Never below MIN_DELAY_S and never above the cap, also for a job from the future."""
    interval_s = schedule.interval_s(age_s)
    assert MIN_DELAY_S <= interval_s <= max(schedule.max_delay_s, MIN_DELAY_S)


@given(SCHEDULES, AGES, AGES)
def test_an_older_job_is_never_asked_for_more_often(schedule: Schedule, one_s: float, other_s: float) -> None:
    """The pauses grow with the age."""
    assert schedule.interval_s(min(one_s, other_s)) <= schedule.interval_s(max(one_s, other_s))


@given(SCHEDULES, AGES)
def test_a_pause_is_the_share_of_the_age_or_up_to_a_tenth_less(schedule: Schedule, age_s: float) -> None:
    """Within the bounds, a pause is at most the share, and at least the share divided by 1.1."""
    interval_s = schedule.interval_s(age_s)
    longest_s = max(schedule.max_delay_s, MIN_DELAY_S)
    share_s = min(max(schedule.growth * age_s, MIN_DELAY_S, min(schedule.first_delay_s, longest_s)), longest_s)
    assert share_s / 1.1 * (1 - 1e-9) <= interval_s <= share_s * (1 + 1e-9)


def test_the_pause_grows_with_the_age() -> None:
    """Quiet for 2 s at first, and a minute at the most; in between a tenth of the age, in steps."""
    pauses_s = [Schedule(2, 0.1, 60).interval_s(age_s) for age_s in (0, 20, 100, 600, 6000)]
    assert pauses_s == pytest.approx([2, 2, 2 * 1.1**16, 60, 60])


def test_without_growth_the_pause_stays() -> None:
    """Every 5 s, however old the job is."""
    assert {Schedule(5, 0, 60).interval_s(age_s) for age_s in (0, 100, 1e6)} == {5}


@pytest.mark.parametrize("value", [0, -1, float("nan")])
@pytest.mark.parametrize("name", ["first_delay_s", "max_delay_s"])
def test_a_pause_must_be_positive(name: str, value: float) -> None:
    """Zero seconds between two looks would be a loop without a pause."""
    with pytest.raises(InvalidInput, match=name):
        Schedule(**{name: value})


@pytest.mark.parametrize("growth", [-0.01, -1, float("nan"), float("inf")])
def test_growth_must_not_shrink(growth: float) -> None:
    """A negative share would ask ever more often."""
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
    """Guarantee 3: every wait ends, so total_s=inf is refused."""
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
        (JobState.PENDING, None, (160, "queued_s")),
        (JobState.RUNNING, 150.0, (450, "running_s")),
        (JobState.RUNNING, 900.0, (1100, "total_s")),
        (JobState.RUNNING, None, (1100, "total_s")),
        (JobState.UNKNOWN, 150.0, (450, "running_s")),
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
    assert name in {"total_s", "queued_s", "running_s"}
