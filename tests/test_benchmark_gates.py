"""The benchmark's gates: each finds what it must, and one that fails is shown and fails the run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from benchmarks import __main__ as bench
from benchmarks.contest import Result
from benchmarks.gates import Gate, at_most, exit_status, no_wrong_ends, recovery_s
from benchmarks.hardships import fault_gates
from benchmarks.lineup import ENTRANTS, Lineup
from benchmarks.prefect_waits import UnderPrefect, prefect_gates
from benchmarks.section import Section
from benchmarks.waits import GATED, IN_TURNS, comparison, growth_gates
from benchmarks.workloads import Scale, Workload, steady

if TYPE_CHECKING:
    from pathlib import Path

WELL: dict[str, int] = dict.fromkeys(
    ("missed", "doubled", "false_failed", "early", "unbounded", "strange", "statuses_before"), 0
)
FIGURES = {"cpu_s": 1.0, "before_bytes": 0.0, "waiting_bytes": 2_048_000.0, "peak_bytes": 1e8, "lag_p99_s": 0.0}


def result(jobs: int = 1_000, figures: dict[str, float] = FIGURES, failure: str = "", **verdict: Any) -> Result:
    """A result without fault, but for what is given."""
    judged = {**WELL, "requests": 10, "most_per_s": 4, "statuses": 1_000, "latencies_s": [[0.0, 1.0]], **verdict}
    return Result("ours-ids", "x", jobs, [1.0] * jobs, judged, figures, 0.0, failure)


def failed(gates: list[Gate]) -> list[str]:
    """The rules that do not hold."""
    return [gate.rule for gate in gates if not gate.passed]


def test_a_figure_at_the_limit_passes_and_one_above_it_fails() -> None:
    """1.1 of 1.1, 1.11 of 1.1."""
    assert at_most("x", 1.1, 1.1).passed
    assert not at_most("x", 1.11, 1.1).passed


def test_what_was_not_measured_has_not_passed() -> None:
    """A contestant that broke down left no figure."""
    assert at_most("x", None, 1.1) == Gate("x", "not measured", "1.1", False)


@pytest.mark.parametrize("wrong", ["missed", "doubled", "false_failed", "early", "unbounded", "strange"])
def test_one_wrong_end_fails_the_gate_and_is_named(wrong: str) -> None:
    """One of each kind."""
    gate = no_wrong_ends("x", WELL | {wrong: 1})
    assert (gate.passed, gate.figure) == (False, f"1 {wrong.replace('_', '-')}")
    assert no_wrong_ends("x", WELL).passed


def test_a_contestant_that_broke_down_fails_the_gate() -> None:
    """Even if it had told every end."""
    assert no_wrong_ends("x", WELL, "ended with 1").figure == "ended with 1"


def test_recovery_counts_what_ended_before_the_service_was_back() -> None:
    """Back at 75: ends of 20 and 74 are known at 76 and 78; one of 80 is none of it. 0 if all were known before."""
    assert recovery_s([(20.0, 56.0), (74.0, 4.0), (80.0, 30.0)], 75.0) == 3.0
    assert recovery_s([(20.0, 1.0), (80.0, 30.0)], 75.0) == 0.0
    assert recovery_s([], 75.0) == 0.0


def test_a_fault_row_fails_for_wrong_ends_the_budget_or_a_late_recovery() -> None:
    """A missed end; 5 requests in a second; 5.1 s after the outage at T = 5 s; 9 waits cancelled instead of 10."""
    row = steady(1_000)
    assert failed(fault_gates(row, result(), 5.0, 5.0)) == []
    assert len(failed(fault_gates(row, result(missed=1), None, 5.0))) == 1
    assert len(failed(fault_gates(row, result(most_per_s=5), None, 5.0))) == 1
    assert len(failed(fault_gates(row, result(), 5.1, 5.0))) == 1
    cancelled = replace(row, cancelled_share=0.01)
    assert failed(fault_gates(cancelled, result(cancelled=10), None, 5.0)) == []
    assert len(failed(fault_gates(cancelled, result(cancelled=9), None, 5.0))) == 1


def test_growth_fails_for_a_steeper_slope_a_dearer_status_or_more_memory() -> None:
    """Floors of 10 and 20 requests for 1,000 and 2,000 jobs."""
    small, floors = result(), [10, 20]
    raw = [result(1_000), result(2_000, FIGURES | {"cpu_s": 1.6})]

    def of(**changes: Any) -> list[str]:
        figures = FIGURES | {"waiting_bytes": 4_096_000.0, "cpu_s": 2.0} | changes.pop("figures", {})
        return failed(growth_gates([small, result(2_000, figures, statuses=2_000, **changes)], raw, floors))

    assert of(requests=21) == []
    assert "requests: slope" in of(requests=22)[0]
    assert "CPU: slope" in of(requests=20, figures={"cpu_s": 2.3})[0]
    assert "CPU per status" in of(requests=20, figures={"cpu_s": 2.6})[1]
    assert "memory" in of(requests=20, figures={"waiting_bytes": 4_098_001.0})[0]


class _Lineup(Lineup):
    """Gives results that were made up."""

    def __init__(self, **changes: Result) -> None:
        super().__init__(Scale(), Console())
        self._made_up = changes

    def run(self, contestant: str, workload: Workload, environment: Any = None) -> Result:
        if known := self._known.get((contestant, workload.name)):
            return known
        return self._compete(contestant, workload, environment)

    def _compete(self, contestant: str, workload: Workload, environment: Any) -> Result:
        name = contestant.replace("-", "_")
        return replace(self._made_up.get(name, result()), contestant=contestant, jobs=workload.jobs)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({}, ""),
        ({"requests": 2_300}, "requests"),
        ({"latencies_s": [[0.0, 5.6]] * 99}, "p99"),
        ({"statuses": 499}, "CPU per status"),
        ({"figures": FIGURES | {"peak_bytes": 1.6e8}}, "peak memory"),
        ({"figures": {}}, "CPU per status"),
        ({"doubled": 1}, "wrong ends"),
    ],
)
def test_ten_thousand_waits_fail_for_requests_latency_cpu_memory_or_wrong_ends(
    changed: dict[str, Any], rule: str
) -> None:
    """2,300 requests where the floor is 2; 5.6 s; 2.004 times the floor's CPU; 160 MB; a doubled end."""
    broken = failed(compared(**{"ours-ids": changed}).gates)
    assert all(f"wait_many by ids, 1,000 jobs: {rule}" in one for one in broken[:1])
    assert bool(broken) == bool(changed)


@pytest.mark.parametrize("contestant", ["ours-bare", "ours-ids", "ours-aliases"])
def test_each_of_ours_is_held_to_the_raw_loop_that_asks_alike(contestant: str) -> None:
    """Its CPU 2.1 times that of all others: its gate of CPU fails. Its raw loop's too: it holds again."""
    dear = {"figures": FIGURES | {"cpu_s": 2.1}}
    raw = "raw-aliases" if contestant == "ours-aliases" else "raw-ids"
    rule = f"{ENTRANTS[contestant].label}, 1,000 jobs: CPU per status, times the floor"
    assert failed(compared(**{contestant: dear}).gates) == [rule]
    assert failed(compared(**{contestant: dear, raw: dear}).gates) == []


def test_all_that_is_gated_takes_part_with_ten_thousand_jobs() -> None:
    """Who does not take part has no gate; in the quick run one of ours has its gates, and its floor beside it."""
    assert set(GATED) <= set(dict(bench.FULL)[10_000])
    assert set(dict(bench.QUICK)[10_000]) == {"raw-ids", "ours-ids"}
    quick = comparison(_Lineup(), bench.QUICK, rounds=1)
    assert len(quick.rows) == 2
    assert [gate.rule for gate in quick.gates if "CPU" in gate.rule] == [
        "ours: wait_many by ids, 10,000 jobs: CPU per status, times the floor"
    ]


def compared(**changes: dict[str, Any]) -> Section:
    """A thousand jobs in two requests, without fault but for what is changed."""
    well: dict[str, Any] = {"requests": 2}
    made_up = {name.replace("-", "_"): result(**well | changes.get(name, {})) for name in (*GATED, *changes)}
    return comparison(_Lineup(**made_up), [(1_000, IN_TURNS)], rounds=1)


@pytest.mark.parametrize(
    ("spent_s", "expected"),
    [([3.0, 9.0, 2.0], (3.0, 2.0, 9.0)), ([3.0], (3.0, None, None)), ([3.0, None, 2.0], (None, None, None))],
)
def test_of_rounds_in_turns_the_median_counts_unless_one_went_wrong(
    spent_s: list[float | None], expected: tuple[float | None, ...]
) -> None:
    """CPU seconds of each round; None where the contestant did not come to its end."""
    lost = result(figures={}, failure="ended with 1")
    lineup = _InTurns([result(figures=FIGURES | {"cpu_s": one}) if one else lost for one in spent_s])
    lineup.run_in_turns(["ours-ids"], steady(1_000), len(spent_s))
    figures = lineup.run("ours-ids", steady(1_000)).figures
    assert tuple(map(figures.get, ("cpu_s", "cpu_least_s", "cpu_most_s"))) == expected


class _InTurns(Lineup):
    """Gives one result after the other."""

    def __init__(self, results: list[Result]) -> None:
        super().__init__(Scale(), Console(quiet=True))
        self._results = iter(results)

    def _compete(self, contestant: str, workload: Workload, environment: Any) -> Result:
        return next(self._results)


def test_prefect_fails_for_a_second_task_run_or_more_than_a_tenth() -> None:
    """1 + 1 against 10 + 10 CPU seconds."""
    each = UnderPrefect(result(figures=FIGURES | {"cpu_s": 10.0}), 10.0, 1_000)
    assert failed(prefect_gates(UnderPrefect(result(), 1.0, 1), each)) == []
    assert len(failed(prefect_gates(UnderPrefect(result(), 1.0, 2), each))) == 1
    assert len(failed(prefect_gates(UnderPrefect(result(), 1.1, 1), each))) == 1
    assert len(failed(prefect_gates(UnderPrefect(result(figures={}), 1.0, 1), each))) == 1


def test_a_gate_that_fails_gives_exit_status_1() -> None:
    """One of two; none of two; no gates at all."""
    good, bad = at_most("x", 1.0, 1.0), at_most("y", 2.0, 1.0)
    assert (exit_status([good, bad]), exit_status([good, good]), exit_status([])) == (1, 0, 0)


def section(*gates: Gate) -> Section:
    return Section("check", "One check", ("a", "b"), [("1", "2 | 3")], "A note.", list(gates), {"x.svg": "<svg/>"})


@pytest.mark.parametrize(("figure", "status", "word"), [(1.0, 0, "1 of 1 gates passed"), (2.0, 1, "FAILED  y")])
def test_the_run_ends_with_the_status_of_its_gates(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], figure: float, status: int, word: str
) -> None:
    """And names those that failed, last of all."""
    monkeypatch.setenv("QUICK", "1")
    monkeypatch.setenv("PARTS", "check")
    monkeypatch.setattr(bench, "check_cost", lambda rounds: section(at_most("y", figure, 1.0)))
    assert bench.main() == status
    assert word in capsys.readouterr().out


def test_an_unknown_part_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With what there is."""
    monkeypatch.setenv("PARTS", "check,nonsense")
    assert bench.main() == 2
    assert "No such part: nonsense" in capsys.readouterr().out


def test_a_section_is_written_between_its_markers_and_can_be_written_again(tmp_path: Path) -> None:
    """What stands around stays; the failed gate is there; the plot lies beside the page."""
    page = tmp_path / "benchmarks.md"
    page.write_text("before\n<!-- bench:check -->\nold\n<!-- /bench:check -->\nafter\n")
    for _ in range(2):
        section(at_most("y", 2.0, 1.0)).write(page, "Conditions.")
    text = page.read_text()
    assert text.startswith("before\n<!-- bench:check -->\n| a | b |\n")
    assert text.endswith("Conditions.\n<!-- /bench:check -->\nafter\n")
    assert "| y | 2 | 1 | **failed** |" in text
    assert "| 1 | 2 / 3 |" in text
    assert "old" not in text
    assert (tmp_path / "benchmarks" / "x.svg").read_text() == "<svg/>"
    page.write_text("no place")
    with pytest.raises(ValueError, match="no place for check"):
        section().write(page, "Conditions.")


def test_a_failed_gate_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """In words, not by its colour alone."""
    section(at_most("y", 2.0, 1.0)).show(Console(width=120))
    assert "FAILED  y: 2 (at most 1)" in capsys.readouterr().out


def test_every_part_of_the_benchmark_has_its_place_in_the_page() -> None:
    """A marker for each, begin and end."""
    text = bench._DOCUMENT.read_text()
    for name in ("check", "waits", "growth", "hard", "faults", "prefect"):
        assert text.count(f"<!-- bench:{name} -->") == text.count(f"<!-- /bench:{name} -->") == 1
