"""Poll intervals and deadlines: pure functions of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs.errors import InvalidInput
from graphql_jobs.waiting.policy import MIN_DELAY_S, Deadlines, Schedule, WaitPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = st.floats(min_value=0.001, max_value=1e6)
SCHEDULES = st.builds(Schedule, first_delay_s=SECONDS, growth=st.floats(min_value=0, max_value=10), max_delay_s=SECONDS)
AGES = st.floats(min_value=-1e6, max_value=1e9)


@given(SCHEDULES, AGES)
def test_interval_lies_within_its_bounds(schedule: Schedule, age_s: float) -> None:
    """Never below MIN_DELAY_S and never above the maximum, also for a job from the future."""
    interval_s = schedule.interval_s(age_s)
    assert MIN_DELAY_S <= interval_s <= max(schedule.max_delay_s, MIN_DELAY_S)


@given(SCHEDULES, AGES, AGES)
def test_older_job_is_not_polled_more_often(schedule: Schedule, one_s: float, other_s: float) -> None:
    """The interval never decreases with the age."""
    assert schedule.interval_s(min(one_s, other_s)) <= schedule.interval_s(max(one_s, other_s))


def test_interval_grows_with_the_age() -> None:
    """2 s at first, a minute at most, and a tenth of the age in between."""
    assert [Schedule(2, 0.1, 60).interval_s(age_s) for age_s in (0, 20, 100, 600, 6000)] == [2, 2, 10, 60, 60]


def test_interval_without_growth_stays() -> None:
    """Every 5 s at any age."""
    assert {Schedule(5, 0, 60).interval_s(age_s) for age_s in (0, 100, 1e6)} == {5}


@pytest.mark.parametrize("value", [0, -1, float("nan")])
@pytest.mark.parametrize("name", ["first_delay_s", "max_delay_s"])
def test_interval_must_be_positive(name: str, value: float) -> None:
    """Zero seconds between two polls would be a busy loop."""
    with pytest.raises(InvalidInput, match=name):
        Schedule(**{name: value})


@pytest.mark.parametrize("growth", [-0.01, -1, float("nan"), float("inf")])
def test_growth_must_not_shrink(growth: float) -> None:
    """With a negative share, intervals would become shorter and shorter."""
    with pytest.raises(InvalidInput, match="growth"):
        Schedule(growth=growth)


@pytest.mark.parametrize("value", [0, -5, float("nan")])
@pytest.mark.parametrize("name", ["total_s", "queued_s", "running_s"])
def test_deadline_must_be_positive(name: str, value: float) -> None:
    """A deadline of zero seconds is a mistake."""
    with pytest.raises(InvalidInput, match=name):
        Deadlines(**{name: value})


@pytest.mark.parametrize("name", ["total_s", "outage_budget_s", "not_found_grace_s", "max_delay_s"])
def test_every_bound_is_finite(name: str) -> None:
    """Guarantee 3, every wait ends: total_s=inf is refused."""
    kinds: dict[str, Callable[..., object]] = {"total_s": Deadlines, "max_delay_s": Schedule}
    kind = kinds.get(name, WaitPolicy)
    with pytest.raises(InvalidInput, match=name):
        kind(**{name: float("inf")})


def test_error_names_the_wrong_parameter() -> None:
    """An outage budget of zero and a negative grace are refused; a grace of zero is allowed."""
    with pytest.raises(InvalidInput, match="outage_budget_s"):
        WaitPolicy(outage_budget_s=0)
    with pytest.raises(InvalidInput, match="not_found_grace_s"):
        WaitPolicy(not_found_grace_s=-1)
    assert WaitPolicy(not_found_grace_s=0).not_found_grace_s == 0


@pytest.mark.parametrize(
    ("running_since", "changed_at", "expected"),
    [
        (None, None, (130, "unseen_s")),
        (None, 120.0, (160, "queued_s")),
        (150.0, 160.0, (360, "unchanged_s")),
        (150.0, 300.0, (450, "running_s")),
        (900.0, 950.0, (1100, "total_s")),
    ],
    ids=["not seen", "queued", "unchanged", "running", "total comes first"],
)
def test_next_deadline_is_the_first_that_the_job_can_miss(
    running_since: float | None, changed_at: float | None, expected: tuple[float, str]
) -> None:
    """Submitted at 100 s: 30 s unseen, 60 s queued, 300 s running, 200 s unchanged, 1,000 s in total."""
    deadlines = Deadlines(1000, queued_s=60, running_s=300, unchanged_s=200, unseen_s=30)
    assert deadlines.next_at(100, running_since, changed_at) == expected


@given(SECONDS, st.none() | SECONDS, st.none() | SECONDS, st.none() | SECONDS, st.none() | SECONDS)
def test_no_deadline_lies_beyond_the_total(
    total_s: float, queued_s: float | None, running_s: float | None, running: float | None, changed: float | None
) -> None:
    """`total_s` bounds the wait with any other deadlines."""
    at, name = Deadlines(total_s, queued_s, running_s).next_at(1000, running, changed)
    assert at <= 1000 + total_s
    assert name in {"total_s", "queued_s", "running_s"}
