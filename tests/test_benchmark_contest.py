"""Whole contests with a few jobs that last about a second: real processes, and the judgement of each."""

from dataclasses import replace

import pytest

from benchmarks.contest import compete
from benchmarks.workloads import Workload, faulty

STEADY = Workload("steady", 20, interval_s=0.1)


@pytest.mark.parametrize("contestant", ["raw_loop", "ours_wait_many", "ours_wait_each", "coroutine_each"])
def test_contestant_sees_every_end_once(contestant: str) -> None:
    """Twenty jobs; the cost is recorded."""
    result = compete(contestant, STEADY)
    assert (result.failure, result.verdict["detected"], result.verdict["doubled"]) == ("", 20, 0)
    assert result.verdict["statuses"] >= 20
    assert min(result.figures["cpu_s"], result.figures["wall_s"], result.us_per_status or 0) > 0


def test_contestant_that_fails_is_named_and_its_ends_are_missed() -> None:
    """The raw loop ends at the first 503."""
    result = compete("raw_loop", replace(STEADY, faults=({"kind": "server_error", "status": 503, "times": None},)))
    assert result.failure.startswith("ended with 1: ")
    assert (result.verdict["missed"], result.figures) == (20, {})


def test_killed_and_restarted_contestant_reports_no_end_twice() -> None:
    """It is killed at 0.6 and 1.2 s, and its earlier records count."""
    [row] = [row for row in faulty(20, t=0.2) if row.kills_at_s]
    result = compete("coroutine_each", row)
    verdict = result.verdict
    assert (verdict["detected"], verdict["missed"], verdict["doubled"]) == (20, 0, 0)
    assert len(result.restarts_at) >= 1


def test_cancelled_wait_is_not_missed() -> None:
    """One of ten is cancelled, unless its job has ended before."""
    verdict = compete("coroutine_each", replace(STEADY, jobs=10, cancelled_share=0.1)).verdict
    assert (verdict["cancelled"] + verdict["detected"], verdict["missed"], verdict["doubled"]) == (10, 0, 0)
    assert verdict["cancelled"] <= 1
