"""The benchmark's floors and gates: every gate can fail."""

from dataclasses import replace
from typing import Any

import pytest

from benchmarks import check as check_part
from benchmarks.contest import Result
from benchmarks.report import Gate, at_most, no_wrong_ends
from benchmarks.thousand import thousand_gates
from benchmarks.waits import fault_gates, growth_gates, median, waits_gates
from benchmarks.workloads import Workload, faulty

WELL: dict[str, Any] = dict.fromkeys(("missed", "doubled", "false_failed", "early", "unbounded", "strange"), 0)
WELL |= {"requests": 10, "most_per_s": 4, "statuses": 1_000, "overlapping": 0, "cancelled": 0, "delayed_ids": []}
WELL |= {"latencies_s": [["a", 0.0, 1.0]]}
FIGURES = {"cpu_s": 1.0, "wall_s": 60.0, "peak_mb": 90.0}


def result(workload: Workload | None = None, /, figures: Any = FIGURES, **verdict: Any) -> Result:
    """A result without an error, with the given changes."""
    return Result("ours_wait_many", workload or Workload("x", 1_000), {**WELL, **verdict}, figures)


def failed(gates: list[Gate]) -> list[str]:
    """The rules that are broken."""
    return [gate.rule for gate in gates if not gate.passed]


class Fixed(Workload):
    """Jobs with the given durations."""

    durations: tuple[float | None, ...] = ()

    def durations_s(self) -> list[float | None]:
        return list(self.durations)


@pytest.mark.parametrize(
    ("durations_s", "batch", "floor"),
    [
        # Ends at 3, 7, 7 and 12: four live at 5, three at 10, one at 15.
        ((3.0, 7.0, 12.0, 7.0), 2, 2 + 2 + 1),
        ((3.0, 7.0, 12.0), 1, 1 + 2 + 3),
        # An end on a tick is seen by that tick.
        ((5.0,), 1, 1),
        ((5.1,), 1, 2),
        # A job that never ends is polled until its deadline.
        ((None,), 500, 4),
    ],
)
def test_request_floor_is_the_sum_over_ticks_of_full_batches(
    monkeypatch: pytest.MonkeyPatch, durations_s: tuple[float | None, ...], batch: int, floor: int
) -> None:
    """T = 5 s, deadline 20 s."""
    monkeypatch.setattr(Fixed, "durations", durations_s)
    assert result(Fixed("x", 1, batch=batch, deadline_s=20.0)).floor == floor


def test_request_floor_of_ten_thousand_jobs_is_that_of_another_measurement() -> None:
    """192 requests with the first poll of each job, which takes 20."""
    assert result(Workload("x", 10_000)).floor == pytest.approx(172, abs=5)


def test_durations_are_the_same_every_time_and_scale_with_the_interval() -> None:
    """20 to 60 s at T = 5 s; a fifth of it at 1 s. The burst ends within a second; one in a hundred never ends."""
    steady = Workload("x", 100)
    assert steady.durations_s() == steady.durations_s()
    assert all(duration_s and 20 <= duration_s <= 60 for duration_s in steady.durations_s())
    assert replace(steady, interval_s=1.0).durations_s() == pytest.approx(
        [(one or 0) / 5 for one in steady.durations_s()]
    )
    burst = [one or 0.0 for one in replace(steady, course="burst").durations_s()]
    assert max(burst) - min(burst) <= 1.0
    assert replace(steady, course="tail").durations_s().count(None) == 1


def test_fault_rows_have_names_of_their_own_and_limits() -> None:
    """Fifteen rows; all but that of the rate-limited server send at most 4 requests per second."""
    rows = faulty(1_000)
    assert len({row.name for row in rows}) == len(rows) == 15
    assert [row.requests_per_s for row in rows] == [4.0] * 14 + [None]


def test_percentile_is_a_latency_that_was_measured() -> None:
    """Of 1 to 100: 50 and 99; without the jobs from 51 on: 50."""
    of = result(latencies_s=[[str(number), 0.0, float(number)] for number in range(100, 0, -1)])
    assert (of.late_s(0.5), of.late_s(0.99), of.late_s(1.0, [str(n) for n in range(51, 101)])) == (50.0, 99.0, 50.0)
    assert result(latencies_s=[]).late_s(0.5) is None


def test_recovery_counts_ends_from_before_the_service_was_back() -> None:
    """Back at 75: ends of 20 and 74 are known at 76 and 78; one of 80 does not count. 0 if all were known before."""
    row = Workload("x", 3, outages=((15.0, 75.0),))
    assert result(row, latencies_s=[["a", 20.0, 56.0], ["b", 74.0, 4.0], ["c", 80.0, 30.0]]).recovery_s() == 3.0
    assert result(row, latencies_s=[["a", 20.0, 1.0], ["c", 80.0, 30.0]]).recovery_s() == 0.0
    assert result(row, latencies_s=[]).recovery_s() is None


def test_figure_at_the_limit_passes() -> None:
    """1.1 of 1.1 passes; 1.11 and a missing figure do not."""
    assert [at_most("x", figure, 1.1).passed for figure in (1.1, 1.11, None)] == [True, False, False]


@pytest.mark.parametrize("wrong", ["missed", "doubled", "false_failed", "early", "unbounded", "strange"])
def test_one_wrong_end_fails_the_gate_and_is_named(wrong: str) -> None:
    """One of each kind."""
    gate = no_wrong_ends("x", result(**{wrong: 1}))
    assert (gate.passed, gate.figure) == (False, f"1 {wrong.replace('_', '-')}")
    assert no_wrong_ends("x", result()).passed
    assert not no_wrong_ends("x", replace(result(), failure="ended with 1")).passed


@pytest.mark.parametrize(
    ("changed", "rules"),
    [
        ({}, []),
        ({"requests": 24}, ["requests, times the floor"]),
        ({"latencies_s": [["a", 0.0, 5.6]]}, ["p99"]),
        ({"statuses": 300}, ["CPU per status, times the raw loop's"]),
        ({"figures": FIGURES | {"wall_s": 33.0}}, ["CPU, of one core"]),
        ({"figures": FIGURES | {"peak_mb": 100.1}}, ["peak memory"]),
        ({"figures": {}}, ["CPU per status, times the raw loop's", "CPU, of one core", "peak memory"]),
        ({"doubled": 1}, ["wrong ends"]),
    ],
)
def test_waits_fail_for_requests_latency_cpu_memory_or_wrong_ends(changed: dict[str, Any], rules: list[str]) -> None:
    """24 requests where the floor is 21; 5.6 s; 3.3 times the raw loop's CPU; 3.03 % of a core; 100.1 MB."""
    assert failed(waits_gates(result(**changed), result())) == [f"1,000 jobs: {rule}" for rule in rules]


@pytest.mark.parametrize(
    ("changed", "rules"),
    [
        ({}, []),
        ({"requests": 60}, ["requests: slope over the jobs, times the floor's"]),
        ({"statuses": 700}, ["CPU per status at 2,000 jobs, times that at 1,000"]),
        ({"missed": 1}, ["2,000 jobs: wrong ends"]),
    ],
)
def test_growth_fails_for_a_steeper_slope_or_a_dearer_status(changed: dict[str, Any], rules: list[str]) -> None:
    """Twice the jobs, at nearly twice the requests and the same CPU per status."""
    assert (
        failed(growth_gates([result(requests=21), result(Workload("x", 2_000), **{"requests": 38, **changed})]))
        == rules
    )


def row(name: str) -> Workload:
    """The fault row whose name begins with this text."""
    return next(one for one in faulty(1_000) if one.name.startswith(name))


@pytest.mark.parametrize(
    ("name", "changed", "rule"),
    [
        ("unknown", {"missed": 1}, "wrong ends"),
        ("unknown", {"overlapping": 1}, "jobs polled twice at once"),
        ("unknown", {"most_per_s": 5}, "requests in any second"),
        ("a 60 s", {"latencies_s": [["a", 20.0, 60.1]]}, "known again"),
        ("30 s", {"latencies_s": [["a", 0.0, 10.6]]}, "the latest end of other jobs"),
        ("three 20 s", {"latencies_s": [["a", 0.0, 10.6]]}, "the latest end of other jobs"),
        ("1 %", {"cancelled": 9}, "waits to cancel that were not"),
    ],
)
def test_fault_row_fails_for_each_of_its_rules(name: str, changed: dict[str, Any], rule: str) -> None:
    """Known again 5.1 s after the outage's end; 10.6 s late without a delayed answer; 9 waits cancelled of 10."""
    well = {"cancelled": 10 if name == "1 %" else 0}
    assert failed(fault_gates(result(row(name), **well))) == []
    assert failed(fault_gates(result(row(name), **well | changed))) == [f"{row(name).name}: {rule}"]


def test_job_in_a_delayed_answer_may_be_late() -> None:
    """Only the latencies of the other jobs are bounded."""
    assert (
        failed(fault_gates(result(row("30 s"), latencies_s=[["a", 0.0, 1.0], ["b", 0.0, 31.0]], delayed_ids=["b"])))
        == []
    )


COUNTS = {
    "jobs": 22,
    "keys of jobs": 22,
    "results": 10,
    "hand-overs": 3,
    "jobs that the cancelled run remembers": 10,
    "cancelled jobs": 10,
    "task runs": 3,
}


@pytest.mark.parametrize("name", COUNTS)
def test_many_jobs_in_one_flow_run_fail_for_each_count(name: str) -> None:
    """Ten jobs and two flow runs with one job each; every count is one too high."""
    assert failed(thousand_gates(COUNTS, 10, 2)) == []
    assert len(failed(thousand_gates(COUNTS | {name: COUNTS[name] + 1}, 10, 2))) == 1


def test_median_run_counts_unless_one_went_wrong() -> None:
    """CPU of 3, 9 and 2 s: 3 s. With a failed run: that run."""
    results = [result(figures=FIGURES | {"cpu_s": cpu_s}) for cpu_s in (3.0, 9.0, 2.0)]
    assert median(results).figures["cpu_s"] == 3.0
    lost = replace(result(figures={}), failure="ended with 1")
    assert median([*results, lost]) is lost


def test_check_fails_above_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """4.1 times the raw post for one provider, 3.9 times for the other."""

    async def measured(*_: object) -> dict[str, tuple[float, ...]]:
        return {"dear": (1.0, 4.1, 4.1), "cheap": (1.0, 3.9, 3.9)}

    monkeypatch.setattr(check_part, "_measure", measured)
    assert failed(check_part.check(rounds=1).gates) == ["dear: CPU, times the floor"]
