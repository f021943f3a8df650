"""The benchmark's floors and workloads: pure functions of the durations."""

from __future__ import annotations

import pytest

from benchmarks.floors import bin_counts, latency_floor_s, percentile, request_floor, slope
from benchmarks.workloads import BATCH, Scale, faulty, special, steady


def test_the_request_floor_is_the_sum_over_ticks_of_full_batches() -> None:
    """T = 5, B = 2, ends at 3, 7, 7, 12: four live at 5, three at 10, one at 15: 2 + 2 + 1."""
    assert request_floor([3.0, 7.0, 12.0, 7.0], 5.0, 2, 600.0) == 5


def test_an_end_on_a_tick_is_seen_by_that_tick() -> None:
    """One job of 5 s is asked for once, at 5 s."""
    assert request_floor([5.0], 5.0, 1, 600.0) == 1
    assert request_floor([5.1], 5.0, 1, 600.0) == 2


def test_without_batches_the_floor_is_each_jobs_own() -> None:
    """ceil(d / T) looks for each."""
    assert request_floor([3.0, 7.0, 12.0], 5.0, 1, 600.0) == 1 + 2 + 3


def test_a_job_that_never_ends_is_asked_for_until_its_deadline() -> None:
    """20 s at T = 5: four looks."""
    assert request_floor([None], 5.0, 500, 20.0) == 4


def test_ten_thousand_jobs_have_the_floor_that_was_measured_elsewhere() -> None:
    """192 requests with the poll at the beginning, which takes 20 and is not in ours."""
    assert request_floor(steady(10_000).durations_s(Scale()), 5.0, BATCH, 600.0) == pytest.approx(172, abs=5)


def test_the_floor_is_the_same_at_every_scale() -> None:
    """All times shrink alike."""
    floors = {request_floor(steady(1_000).durations_s(Scale(f)), 5.0 * f, BATCH, 600.0 * f) for f in (1.0, 0.2)}
    assert len(floors) == 1


def test_nothing_to_wait_for_needs_no_request() -> None:
    """An empty list."""
    assert request_floor([], 5.0, 500, 600.0) == 0


def test_latency_is_uniform_over_the_interval() -> None:
    """p50 = T / 2, p99 = 0.99 T."""
    assert latency_floor_s(5.0, 0.5) == 2.5
    assert latency_floor_s(5.0, 0.99) == pytest.approx(4.95)


def test_a_percentile_is_a_value_that_was_seen() -> None:
    """Of 1 to 100: 50 and 99; of one value, that one; of none, an error."""
    values = [float(value) for value in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (50.0, 99.0, 7.0)
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_slopes_and_bins() -> None:
    """From the first to the last point; what lies outside goes into the outer bins."""
    assert slope([1.0, 2.0, 5.0], [10.0, 99.0, 18.0]) == 2.0
    assert bin_counts([-1.0, 0.0, 0.9, 1.0, 9.0], 1.0, 3) == [3, 1, 1]


def test_durations_are_the_same_for_the_same_seed() -> None:
    """And others for another; within 20 to 60 s."""
    workload = steady(100)
    assert workload.durations_s(Scale()) == workload.durations_s(Scale()) != workload.durations_s(Scale(), seed=2)
    assert all(duration_s and 20 <= duration_s <= 60 for duration_s in workload.durations_s(Scale()))


def test_the_herd_ends_within_a_second_and_of_the_tail_one_in_a_hundred_never_ends() -> None:
    """At any scale."""
    herd, tail, _ = special(1_000)
    ends = [duration_s or 0.0 for duration_s in herd.durations_s(Scale(0.2))]
    assert max(ends) - min(ends) <= 1.0
    assert tail.durations_s(Scale()).count(None) == 10


def test_every_fault_row_of_the_issue_is_there_and_has_a_budget() -> None:
    """Eleven rows with names of their own; one job in a hundred is cancelled in the last."""
    rows = faulty(1_000)
    assert len({row.name for row in rows}) == len(rows) == 11
    assert all(row.budgeted for row in rows)
    job_ids = [str(number) for number in range(1_000)]
    assert len(set(rows[-1].cancelled(job_ids))) == 10
    assert rows[0].cancelled(job_ids) == []
