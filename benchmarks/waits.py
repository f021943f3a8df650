"""Ten thousand waits, the growth of their cost, and the faults."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Any

from benchmarks.contest import COLUMNS, Result, compete
from benchmarks.report import Gate, Section, at_most, line_chart, no_wrong_ends, number
from benchmarks.workloads import Workload
from scripts.processes import cpu_s
from scripts.stack import Stack

REQUESTS_TIMES_FLOOR, LATENCY_SLACK_S, PEAK_MB, CPU_TIMES_FLOOR, CORE_PERCENT = 1.1, 0.5, 100.0, 3.0, 3.0
#: Our choices: how much the cost of a status may grow with more jobs; concurrent contests, on two cores.
CPU_GROWTH, _AT_ONCE = 1.25, 6
_COLUMNS = (*COLUMNS, "CPU, s", "µs per status", "server CPU, s", "peak, MB")
_FAULT_COLUMNS = ("workload", *COLUMNS, "most in 1 s", "polled twice at once", "known again, s")
_FAULT_NOTE = "Known again: from the end of an outage, delay or restart until the last end of before was known."


@cache
def _measured(contestant: str, jobs: int, _round: int) -> Result:
    """Measured once, even if a later section needs it again."""
    if contestant != "prefect_task_each":
        return compete(contestant, Workload("steady", jobs))
    with Stack() as stack:
        os.environ.update(stack.environment)  # for the contestant
        before_s = cpu_s(stack.parts["server"].pid)
        result = compete(contestant, Workload("steady", jobs))
        return replace(result, figures=result.figures | {"server_s": cpu_s(stack.parts["server"].pid) - before_s})


def waits(jobs: int, rounds: int, peers: Mapping[str, int]) -> Section:
    """Ours and the floor, alternating for a number of rounds, and the peers with their numbers of jobs."""
    floor, ours = in_turns(jobs, rounds)
    results = [floor, ours, *(_measured(name, of, 0) for name, of in peers.items())]
    note = f"Floor and ours ran {rounds} times in turns: the run with the median of the CPU. Server: that of Prefect."
    known = {one.cells()[0]: [(one.late_s(step / 100) or 0.0, step / 100) for step in range(1, 101)] for one in results}
    plots = {"latency.svg": line_chart("Share of the ends that are known", "s after the end", known)}
    return Section(_COLUMNS, list(map(_row, results)), note, waits_gates(ours, floor), plots)


def growth(rounds: Mapping[int, int]) -> Section:
    """Ours and the floor, for growing numbers of jobs; `rounds` for each number."""
    pairs = [in_turns(*of) for of in rounds.items()]
    lines = {
        "requests.svg": ("Requests", _lines(pairs, lambda one: float(one.verdict["requests"]))),
        "cpu.svg": ("CPU of the client, s", _lines(pairs, lambda one: one.figures.get("cpu_s", 1.0))),
    }
    plots = {file: line_chart(title, "jobs", of, logarithmic=True) for file, (title, of) in lines.items()}
    gates = growth_gates([ours for _, ours in pairs])
    return Section(_COLUMNS, [_row(one) for pair in pairs for one in pair], "As above.", gates, plots)


def _lines(pairs: Any, read: Callable[[Result], float]) -> dict[str, list[tuple[float, float]]]:
    return {of[0].cells()[0]: [(one.workload.jobs, read(one)) for one in of] for of in zip(*pairs, strict=True)}


def in_turns(jobs: int, rounds: int) -> tuple[Result, Result]:
    """The floor and ours: the runs with the median of the CPU."""
    pairs = [(_measured("raw_loop", jobs, turn), _measured("ours_wait_many", jobs, turn)) for turn in range(rounds)]
    return median([floor for floor, _ in pairs]), median([ours for _, ours in pairs])


def median(results: Sequence[Result]) -> Result:
    """The run with the median of the CPU; a run that failed is returned instead."""
    wrong = [one for one in results if not no_wrong_ends("", one).passed]
    return wrong[0] if wrong else sorted(results, key=lambda one: one.figures["cpu_s"])[len(results) // 2]


def waits_gates(ours: Result, floor: Result) -> list[Gate]:
    """The rules for the largest number of jobs."""
    figures, label, interval_s = ours.figures, f"{ours.workload.jobs:,} jobs: ", ours.workload.interval_s
    own, raw = ours.us_per_status, floor.us_per_status
    percent = 100 * figures["cpu_s"] / figures["wall_s"] if figures else None
    return [
        at_most(f"{label}requests, times the floor", ours.verdict["requests"] / ours.floor, REQUESTS_TIMES_FLOOR),
        at_most(f"{label}p99", ours.late_s(0.99), interval_s + LATENCY_SLACK_S, " s"),
        at_most(f"{label}CPU per status, times the raw loop's", own / raw if own and raw else None, CPU_TIMES_FLOOR),
        at_most(f"{label}CPU, of one core", percent, CORE_PERCENT, " %"),
        at_most(f"{label}peak memory", figures.get("peak_mb"), PEAK_MB, " MB"),
        no_wrong_ends(f"{label}wrong ends", ours),
    ]


def growth_gates(ours: Sequence[Result]) -> list[Gate]:
    """The rules from the smallest number of jobs to the largest."""
    rise, floor = (ours[-1].verdict["requests"] - ours[0].verdict["requests"]), ours[-1].floor - ours[0].floor
    before, last = (one.us_per_status for one in ours[-2:])
    dearer = f"CPU per status at {ours[-1].workload.jobs:,} jobs, times that at {ours[-2].workload.jobs:,}"
    return [
        at_most("requests: slope over the jobs, times the floor's", rise / max(1, floor), REQUESTS_TIMES_FLOOR),
        at_most(dearer, last / before if last and before else None, CPU_GROWTH),
        *(no_wrong_ends(f"{one.workload.jobs:,} jobs: wrong ends", one) for one in ours),
    ]


def _row(one: Result) -> tuple[str, ...]:
    cpu = (number(one.figures.get("cpu_s")), number(one.us_per_status, 1), number(one.figures.get("server_s")))
    return (*one.cells(), *cpu, number(one.figures.get("peak_mb"), 0))


def faults(workloads: Sequence[Workload], peer_jobs: int) -> Section:
    """Every row; some at the same time, each with its own emulator, since CPU is not measured."""
    pairs = [("ours_wait_each" if of.cancelled_share else "ours_wait_many", of) for of in workloads]
    pairs += [("coroutine_each", replace(of, jobs=peer_jobs)) for of in workloads if peer_jobs]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        results = list(pool.map(lambda pair: compete(*pair), pairs))
    rows = [_fault_row(one) for index in range(len(workloads)) for one in results[index :: len(workloads)]]
    gates = [gate for one in results[: len(workloads)] for gate in fault_gates(one)]
    return Section(_FAULT_COLUMNS, rows, _FAULT_NOTE, gates)


def fault_gates(one: Result) -> list[Gate]:
    """The rules for ours in one row."""
    of, verdict, name = one.workload, one.verdict, one.workload.name
    found = [no_wrong_ends(f"{name}: wrong ends", one)]
    found.append(at_most(f"{name}: jobs polled twice at once", verdict["overlapping"], 0))
    if of.requests_per_s:
        found.append(at_most(f"{name}: requests in any second", verdict["most_per_s"], of.requests_per_s))
    if of.outages or of.kills_at_s:
        found.append(at_most(f"{name}: known again", one.recovery_s(), of.interval_s, " s"))
    if any(fault["kind"] == "delay" for fault in of.faults):  # T without the delay, and T more
        others_s = one.late_s(1.0, without=verdict["delayed_ids"])
        limit_s = 2 * of.interval_s + LATENCY_SLACK_S
        found.append(at_most(f"{name}: the latest end of other jobs", others_s, limit_s, " s"))
    if of.cancelled_share:
        missing = int(of.jobs * of.cancelled_share) - verdict["cancelled"]
        found.append(at_most(f"{name}: waits to cancel that were not", missing, 0))
    return found


def _fault_row(one: Result) -> tuple[str, ...]:
    counts = (f"{one.verdict[name]:,}" for name in ("most_per_s", "overlapping"))
    return (one.workload.name, *one.cells(), *counts, number(one.recovery_s()))
