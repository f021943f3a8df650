"""The section on waiting under Prefect: one task run for all, beside one for each, on a real server."""

from __future__ import annotations

import json
import os
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from benchmarks import gates
from benchmarks.floors import percentile
from benchmarks.gates import Gate, at_most
from benchmarks.lineup import ENTRANTS
from benchmarks.section import Section
from benchmarks.workloads import steady
from scripts.stack import Stack

if TYPE_CHECKING:
    from benchmarks.contest import Result
    from benchmarks.lineup import Lineup


@dataclass(frozen=True)
class UnderPrefect:
    """A result, with what Prefect had to do for it."""

    result: Result
    server_cpu_s: float
    task_runs: int

    @property
    def total_cpu_s(self) -> float | None:
        """Client and server; None if the contestant did not come to its end."""
        cpu_s = self.result.figures.get("cpu_s")
        return None if cpu_s is None else cpu_s + self.server_cpu_s


def under_prefect(lineup: Lineup, jobs: int) -> Section:
    """Both ways, one after the other, on one server."""
    lineup.console.print("  starting a Prefect server ...", style="dim")
    with Stack() as stack:
        all_in_one, each = (_measure(lineup, stack, name, jobs) for name in ("ours-prefect", "prefect-each"))
    columns = (
        "contestant",
        "jobs",
        "task runs",
        "client CPU, s",
        "server CPU, s",
        "p50, s",
        "p99, s",
        "peak, MB",
        "wrong ends",
    )
    note = (
        "CPU of the client from the moment that the flow is called until it has ended, so with the creation of the "
        "task runs; of the server with all that it does by itself meanwhile. wait_for_jobs gives its ends at once, so "
        "its latency is that of the judge's own answers."
    )
    rows = [_row(of) for of in (all_in_one, each)]
    return Section("prefect", "Waits under Prefect", columns, rows, note, prefect_gates(all_in_one, each))


def prefect_gates(all_in_one: UnderPrefect, each: UnderPrefect) -> list[Gate]:
    """Done-when 3."""
    cheap, dear = all_in_one.total_cpu_s, each.total_cpu_s
    return [
        at_most(f"task runs for {all_in_one.result.jobs:,} handles", all_in_one.task_runs, gates.TASK_RUNS),
        at_most(
            "CPU of client and server, as a share of one task per wait",
            cheap / dear if cheap and dear else None,
            gates.PREFECT_SHARE,
        ),
        gates.no_wrong_ends("wait_for_jobs: wrong ends", all_in_one.result.verdict, all_in_one.result.failure),
    ]


def _measure(lineup: Lineup, stack: Stack, contestant: str, jobs: int) -> UnderPrefect:
    runs, cpu_s = _task_runs(stack), _server_cpu_s()
    result = lineup.run(contestant, steady(jobs), stack.environment)
    return UnderPrefect(result, _server_cpu_s() - cpu_s, _task_runs(stack) - runs)


def _task_runs(stack: Stack) -> int:
    request = urllib.request.Request(
        f"{stack.environment['PREFECT_API_URL']}/task_runs/count", b"{}", {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return int(json.load(answer))


def _server_cpu_s() -> float:
    """Of the Prefect server that this process started, and of all that it started."""
    children = psutil.Process(os.getpid()).children()
    [server] = [child for child in children if child.cmdline()[1:5] == ["-m", "prefect", "server", "start"]]
    times = [process.cpu_times() for process in (server, *server.children(recursive=True))]
    return float(sum(of.user + of.system for of in times))


def _row(of: UnderPrefect) -> tuple[str, ...]:
    result, late_s = of.result, of.result.latencies_s
    return (
        ENTRANTS[result.contestant].label,
        f"{result.jobs:,}",
        f"{of.task_runs:,}",
        f"{result.figures['cpu_s']:.2f}" if result.figures else "-",
        f"{of.server_cpu_s:.2f}",
        f"{percentile(late_s, 0.5):.2f}" if late_s else "-",
        f"{percentile(late_s, 0.99):.2f}" if late_s else "-",
        f"{result.figures['peak_bytes'] / 1e6:.0f}" if result.figures else "-",
        gates.no_wrong_ends("", result.verdict, result.failure).figure,
    )
