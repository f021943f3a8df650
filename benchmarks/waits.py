"""The section on ten thousand waits, and the one on how cost grows with their number."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks import gates
from benchmarks.floors import bin_counts, latency_floor_s, percentile, slope
from benchmarks.gates import Gate, at_most
from benchmarks.lineup import ENTRANTS
from benchmarks.plots import line_chart
from benchmarks.section import Section
from benchmarks.workloads import steady

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contest import Result
    from benchmarks.lineup import Lineup

_MEGABYTE = 1e6
#: Our choice: bins of the latency plot, over so many intervals.
_BINS, _INTERVALS = 60, 3

#: Which raw loop is the floor of whose CPU.
_FLOOR_OF = {"ours-ids": "raw-ids", "ours-bare": "raw-ids", "ours-each": "raw-ids", "ours-aliases": "raw-aliases"}
#: What Done-when 1 holds for, with the limit of CPU.
GATED = {
    "ours-bare": gates.CPU_TIMES_FLOOR_BARE,
    "ours-ids": gates.CPU_TIMES_FLOOR,
    "ours-aliases": gates.CPU_TIMES_FLOOR,
}
#: Those whose CPU the gates compare.
IN_TURNS = ("raw-ids", "ours-bare", "ours-ids", "raw-aliases", "ours-aliases")


def comparison(lineup: Lineup, plan: Sequence[tuple[int, Sequence[str]]], rounds: int) -> Section:
    """All contestants at T; `plan` names them for each number of jobs. Those that are compared: medians of `rounds`."""
    most, who = max(plan)
    lineup.run_in_turns([name for name in IN_TURNS if name in who], steady(most), rounds)
    results = [(lineup.run(name, steady(jobs)), jobs) for jobs, names in plan for name in names]
    interval_s = lineup.scale.interval_s
    columns = (
        "contestant",
        "jobs",
        "requests",
        "their floor",
        f"p50, s (floor {latency_floor_s(interval_s, 0.5):.2f})",
        f"p99, s (floor {latency_floor_s(interval_s, 0.99):.2f})",
        "CPU, s",
        "µs per status",
        "times the floor",
        "peak, MB",
        "loop lag p99, ms",
        "wrong ends",
    )
    rows = [_row(lineup, result, results) for result, _ in results]
    note = (
        f"T = {interval_s:g} s. Requests since the start, without the looks that registered the waits. CPU of the "
        "contestant's process from the moment it begins to wait, user and system; per status that it read. The floor "
        "of CPU is a raw loop that posts the same bytes with aiohttp and decodes with the standard library, all "
        "requests of an interval in one burst, where caches stay warm."
    )
    if rounds > 1:
        note += (
            f" At the most jobs, ours and the floors ran {rounds} times in turns: medians of their CPU, with the least "
            "and the most."
        )
    chart = _latency_chart([result for result, jobs in results if jobs == most], interval_s)
    return Section("waits", "Ten thousand waits", columns, rows, note, _gates(lineup, results), {"latency.svg": chart})


def growth(lineup: Lineup, numbers: Sequence[int], rounds: int) -> Section:
    """Ours by ids beside the raw loop, from a hundred waits to fifty thousand; of the most, medians of `rounds`."""
    lineup.run_in_turns(("raw-spread", "raw-ids", "ours-ids"), steady(numbers[-1]), rounds)
    raw, burst, results = (
        [lineup.run(name, steady(jobs)) for jobs in numbers] for name in ("raw-spread", "raw-ids", "ours-ids")
    )
    floors = [lineup.request_floor(result, steady(result.jobs)) for result in results]
    columns = (
        *("jobs", "requests", "their floor", "CPU, s", "its floor, s", "that in one burst, s", "µs per status"),
        *("bytes per waiting job", "peak, MB"),
    )
    rows = [
        (
            f"{result.jobs:,}",
            f"{result.verdict['requests']:,}",
            f"{floor:,}",
            _cpu_range(result),
            _cpu_range(floor_result),
            _cpu_range(burst_result),
            _number(_us_per_status(result)),
            _number(_bytes_per_wait(result), 0),
            _number(_peak_mb(result), 0),
        )
        for result, floor_result, burst_result, floor in zip(results, raw, burst, floors, strict=True)
    ]
    note = (
        "Ours by ids, batches of 500; the floor of CPU is the raw loop, its requests at even distances over T; "
        "with all requests of an interval in one burst it is shown, and not gated. The most jobs ran "
        f"{rounds} times in turns: medians of their CPU, with the least and the most. Bytes: resident memory with all "
        "waits registered, less that before the first."
    )
    requests = [float(result.verdict["requests"]) for result in results]
    cpu_s = {
        name: [_cpu_s(one) for one in row]
        for name, row in {"ours by ids": results, "floor": raw, "floor in one burst": burst}.items()
    }
    plots = {
        "requests.svg": _growth_chart(
            "Requests", numbers, {"ours by ids": requests, "floor": [float(f) for f in floors]}
        ),
        "cpu.svg": _growth_chart("CPU of the client, s", numbers, cpu_s),
    }
    return Section("growth", "How cost grows", columns, rows, note, growth_gates(results, raw, floors), plots)


def _cpu_s(result: Result) -> float:
    return result.figures.get("cpu_s", 0.0)


def change_feed(lineup: Lineup, jobs: int) -> Section:
    """Sweeps by aliases beside aiWARE's list of what ended, by hand: nothing is gated, it says whether to build it."""
    small = replace(steady(jobs), name=f"{jobs:,} jobs, 100 aliases", batch=100)
    pairs = [(name, steady(jobs)) for name in ("raw-aliases", "feed-30", "feed-500")]
    results = [lineup.run(name, workload) for name, workload in [("raw-aliases", small), *pairs]]
    columns = ("contestant", "aliases", "requests", "CPU, s", "p50, s", "p99, s", "wrong ends")
    rows = [
        (
            ENTRANTS[result.contestant].label,
            "100" if result.workload == small.name else "500",
            f"{result.verdict['requests']:,}",
            _number(result.figures.get("cpu_s")),
            _number(percentile(result.latencies_s, 0.5) if result.latencies_s else None),
            _number(percentile(result.latencies_s, 0.99) if result.latencies_s else None),
            gates.no_wrong_ends("", result.verdict, result.failure).figure,
        )
        for result in results
    ]
    note = f"{jobs:,} jobs. What is listed is checked whole, with its tasks, before it counts as ended (guarantee 4)."
    return Section("feed", "aiWARE's change feed", columns, rows, note)


def growth_gates(results: Sequence[Result], raw: Sequence[Result], floors: Sequence[int]) -> list[Gate]:
    """Done-when 4, for results with ever more jobs."""
    numbers = [float(result.jobs) for result in results]
    rise = slope(numbers, [float(result.verdict["requests"]) for result in results])
    dearer, last = (_us_per_status(result) for result in results[-2:])
    is_measured = all(one.figures for one in (*results, *raw))
    cpu_rise, raw_rise = (slope(numbers, [_cpu_s(one) for one in row]) for row in (results, raw))
    return [
        at_most(
            "requests: slope over the number of jobs, times the floor's",
            rise / slope(numbers, [float(floor) for floor in floors]),
            gates.REQUESTS_TIMES_FLOOR,
        ),
        at_most(
            "CPU: slope over the number of jobs, times the floor's",
            cpu_rise / raw_rise if is_measured else None,
            gates.CPU_TIMES_FLOOR,
        ),
        at_most(
            f"CPU per status at {results[-1].jobs:,} jobs, times that at {results[-2].jobs:,}",
            last / dearer if last and dearer else None,
            gates.CPU_GROWTH,
        ),
        at_most(
            f"memory per waiting job at {results[-1].jobs:,} jobs",
            _bytes_per_wait(results[-1]),
            gates.BYTES_PER_WAIT,
            " bytes",
        ),
    ]


def _gates(lineup: Lineup, results: Sequence[tuple[Result, int]]) -> list[Gate]:
    """Done-when 1, for each of ours that took part, at the largest number of jobs at which it did."""
    found: list[Gate] = []
    largest = {result.contestant: result for result, _ in sorted(results, key=lambda pair: pair[1])}
    for mine in [largest[name] for name in GATED if name in largest]:
        label = f"{ENTRANTS[mine.contestant].label}, {mine.jobs:,} jobs"
        late_s = percentile(mine.latencies_s, 0.99) if mine.latencies_s else None
        requests = mine.verdict["requests"] / lineup.request_floor(mine, steady(mine.jobs))
        found += [
            at_most(f"{label}: requests, times the floor", requests, gates.REQUESTS_TIMES_FLOOR),
            at_most(f"{label}: p99", late_s, lineup.scale.interval_s + gates.LATENCY_SLACK_S, " s"),
            at_most(f"{label}: CPU per status, times the floor", _times_floor(mine, results), GATED[mine.contestant]),
            at_most(f"{label}: peak memory", _peak_mb(mine), gates.PEAK_MB, " MB"),
            gates.no_wrong_ends(f"{label}: wrong ends", mine.verdict, mine.failure),
        ]
    return found


def _row(lineup: Lineup, result: Result, results: Sequence[tuple[Result, int]]) -> tuple[str, ...]:
    late_s, figures = result.latencies_s, result.figures
    return (
        ENTRANTS[result.contestant].label,
        f"{result.jobs:,}",
        f"{result.verdict['requests']:,}",
        f"{lineup.request_floor(result, steady(result.jobs)):,}",
        _number(percentile(late_s, 0.5) if late_s else None),
        _number(percentile(late_s, 0.99) if late_s else None),
        _cpu_range(result),
        _number(_us_per_status(result), 1),
        _number(_times_floor(result, results)),
        _number(_peak_mb(result), 0),
        _number(figures["lag_p99_s"] * 1000 if figures else None, 1),
        gates.no_wrong_ends("", result.verdict, result.failure).figure,
    )


def _us_per_status(result: Result) -> float | None:
    read = result.verdict["statuses"] + result.verdict["statuses_before"]
    return result.figures["cpu_s"] * 1e6 / read if result.figures and read else None


def _times_floor(result: Result, results: Sequence[tuple[Result, int]]) -> float | None:
    wanted, own = (_FLOOR_OF.get(result.contestant), result.jobs), _us_per_status(result)
    floor = next((_us_per_status(other) for other, jobs in results if (other.contestant, jobs) == wanted), None)
    return own / floor if own and floor else None


def _cpu_range(result: Result) -> str:
    """Seconds; of several runs the median, the least and the most."""
    figures = result.figures
    shown = _number(figures.get("cpu_s"))
    if "cpu_most_s" not in figures:
        return shown
    return f"{shown} ({_number(figures['cpu_least_s'])} to {_number(figures['cpu_most_s'])})"


def _peak_mb(result: Result) -> float | None:
    return result.figures["peak_bytes"] / _MEGABYTE if result.figures else None


def _bytes_per_wait(result: Result) -> float | None:
    figures = result.figures
    return (figures["waiting_bytes"] - figures["before_bytes"]) / result.jobs if "waiting_bytes" in figures else None


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _latency_chart(results: Sequence[Result], interval_s: float) -> str:
    """The share of ends that were known within a time."""
    width = _INTERVALS * interval_s / _BINS
    series = {}
    for result in results:
        known, points = 0, [(0.0, 0.0)]
        for number, count in enumerate(bin_counts(result.latencies_s, width, _BINS)[:-1]):
            known += count
            points.append(((number + 1) * width, known / result.jobs))
        series[ENTRANTS[result.contestant].label] = points
    return line_chart("Ends known within so many seconds", "s after the end", "share", series, logarithmic=False)


def _growth_chart(title: str, numbers: Sequence[int], series: dict[str, list[float]]) -> str:
    points = {name: list(zip(map(float, numbers), values, strict=True)) for name, values in series.items()}
    return line_chart(title, "jobs waited for", title, points, logarithmic=True)
