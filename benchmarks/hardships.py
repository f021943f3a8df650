"""The sections on hard workloads and on faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import gates
from benchmarks.floors import percentile
from benchmarks.gates import Gate, at_most, recovery_s
from benchmarks.lineup import ENTRANTS, REQUESTS_PER_S
from benchmarks.section import Section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contest import Result
    from benchmarks.lineup import Lineup
    from benchmarks.workloads import Workload

CONTESTANTS = ("ours-ids", "robosaur", "aiohttp")
_COLUMNS = ("workload", "contestant", "requests", "their floor", "most in 1 s", "p50, s", "p99, s", "wrong ends")


def hard_workloads(lineup: Lineup, workloads: Sequence[Workload]) -> Section:
    """The herd, the long tail, the limited server: one contestant after another."""
    results = [(workload, lineup.run(name, workload)) for workload in workloads for name in CONTESTANTS]
    rows = [_row(lineup, workload, result) for workload, result in results]
    ours = [(workload, result) for workload, result in results if result.contestant == "ours-ids"]
    found = [gates.no_wrong_ends(f"{workload.name}: wrong ends", of.verdict, of.failure) for workload, of in ours]
    note = (
        f"{workloads[0].jobs:,} jobs. A long tail's wait must be given up by its deadline. A limited server refuses "
        "with 429 and Retry-After: 10, and refused requests count in its window too."
    )
    return Section("hard", "Hard workloads", _COLUMNS, rows, note, found)


def faults(lineup: Lineup, workloads: Sequence[Workload], contestants: Sequence[str]) -> Section:
    """Every fault row, with the contestants side by side."""
    rows: list[tuple[str, ...]] = []
    found: list[Gate] = []
    pairs = [
        (_ours(workload, name), workload)
        for workload in workloads
        for name in contestants
        if not (workload.cancelled_share and ENTRANTS[name].is_whole)  # it has no single waits to cancel
    ]
    for (name, workload), result in zip(pairs, lineup.run_together(pairs), strict=True):
        back_s = _recovery_s(lineup, workload, result)
        recovery = "-" if back_s is None else f"{back_s:.2f}"
        rows.append((*_row(lineup, workload, result), recovery))
        if name.startswith("ours"):
            found += fault_gates(workload, result, back_s, lineup.scale.interval_s)
    note = (
        f"{workloads[0].jobs:,} jobs, the same seed for all; a contestant that ended early missed what came later. "
        f"Ours keeps to {REQUESTS_PER_S:g} requests per second. Known again: the time from the end of an outage, a "
        "pause or a restart until the last end of that time was known; the longest of all."
    )
    return Section("faults", "Faults", (*_COLUMNS, "known again, s"), rows, note, found)


def fault_gates(workload: Workload, result: Result, back_s: float | None, interval_s: float) -> list[Gate]:
    """Done-when 2, for one row."""
    found = [
        gates.no_wrong_ends(f"{workload.name}: wrong ends", result.verdict, result.failure),
        at_most(f"{workload.name}: requests in any second", result.verdict["most_per_s"], REQUESTS_PER_S),
    ]
    if back_s is not None:
        found.append(at_most(f"{workload.name}: known again after the outage", back_s, interval_s, " s"))
    if workload.cancelled_share:
        missing = int(workload.jobs * workload.cancelled_share) - result.verdict["cancelled"]
        found.append(at_most(f"{workload.name}: waits to cancel that were not", missing, 0))
    return found


def _ours(workload: Workload, contestant: str) -> str:
    """Single waits are cancelled where each job has one."""
    return "ours-each" if workload.cancelled_share and contestant == "ours-ids" else contestant


def _recovery_s(lineup: Lineup, workload: Workload, result: Result) -> float | None:
    """The longest, over all outages and restarts; None if there were none, or nothing was known after them."""
    backs = [result.started_at + lineup.scale.of(outage.until_s) for outage in workload.outages] + result.restarts_at
    if not backs or not result.latencies_s:
        return None
    return max(recovery_s(result.verdict["latencies_s"], back_at) for back_at in backs)


def _row(lineup: Lineup, workload: Workload, result: Result) -> tuple[str, ...]:
    late_s = result.latencies_s
    return (
        workload.name,
        ENTRANTS[result.contestant].label,
        f"{result.verdict['requests']:,}",
        f"{lineup.request_floor(result, workload):,}",
        f"{result.verdict['most_per_s']:,}",
        f"{percentile(late_s, 0.5):.2f}" if late_s else "-",
        f"{percentile(late_s, 0.99):.2f}" if late_s else "-",
        gates.no_wrong_ends("", result.verdict, result.failure).figure,
    )
