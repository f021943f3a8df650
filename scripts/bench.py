"""`make bench`: contestants wait for the same jobs, beside what nobody can beat; exits with 1 if a gate fails.

All of it takes about an hour and a half and renews docs/benchmarks.md; `QUICK=1` takes less than three minutes, at a
fifth of all times and with fewer rows, and writes nothing. `PARTS=waits,faults` runs some parts alone.
"""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from scripts.benchmark.check_cost import check_cost
from scripts.benchmark.gates import exit_status
from scripts.benchmark.hardships import CONTESTANTS, faults, hard_workloads
from scripts.benchmark.lineup import Lineup
from scripts.benchmark.prefect_waits import under_prefect
from scripts.benchmark.waits import IN_TURNS, change_feed, comparison, growth
from scripts.benchmark.workloads import SEED, Scale, faulty, special

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scripts.benchmark.gates import Gate
    from scripts.benchmark.section import Section

_DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
#: Our choice: T = 1 s and durations of 4 to 12 s.
_QUICK_FACTOR = 0.2
#: Columns where the output goes to a file.
_LOG_WIDTH = 180

_ALL = (*IN_TURNS, "robosaur", "ours-each", "aiohttp", "gql")
#: Who waits for how many jobs.
FULL = [(1_000, _ALL), (10_000, _ALL)]
_QUICK = [(1_000, ("robosaur", "aiohttp")), (10_000, IN_TURNS)]


def main() -> int:
    """Run the parts that are asked for, show and write each as soon as it is done. Gives the exit status."""
    quick = bool(os.environ.get("QUICK"))
    console = Console()
    if not console.is_terminal:
        console.width = _LOG_WIDTH
    lineup = Lineup(Scale(_QUICK_FACTOR if quick else 1.0), console)
    parts = _quick_parts(lineup) if quick else _full_parts(lineup)
    wanted = (os.environ.get("PARTS") or ",".join(parts)).split(",")
    if unknown := set(wanted) - set(parts):
        console.print(f"No such part: {', '.join(sorted(unknown))}. There are: {', '.join(parts)}.")
        return 2
    found: list[Gate] = []
    for name in wanted:
        console.print(f"[bold]{name}[/bold]")
        load = os.getloadavg()[0]
        section = parts[name]()
        conditions = _conditions(lineup.scale, load)
        section.show(console)
        console.print(conditions, highlight=False, style="dim")
        found += section.gates
        if not quick:
            section.write(_DOCUMENT, conditions)
    return _summary(console, found)


def _full_parts(lineup: Lineup) -> Mapping[str, Callable[[], Section]]:
    return {
        "check": lambda: check_cost(rounds=15),
        "waits": lambda: comparison(lineup, FULL, rounds=3),
        "growth": lambda: growth(lineup, [100, 1_000, 10_000, 50_000], rounds=3),
        "feed": lambda: change_feed(lineup, 10_000),
        "hard": lambda: hard_workloads(lineup, special(10_000)),
        "faults": lambda: faults(lineup, faulty(1_000), CONTESTANTS),
        "prefect": lambda: under_prefect(lineup, 1_000),
    }


def _quick_parts(lineup: Lineup) -> Mapping[str, Callable[[], Section]]:
    """The gates' rows, the strongest peers, and three of the faults; Prefect and growth only where they are named."""
    some = [workload for workload in faulty(1_000) if workload.name.startswith(("5 %", "429", "killed"))]
    return {
        "check": lambda: check_cost(rounds=5),
        "waits": lambda: comparison(lineup, _QUICK, rounds=1),
        "faults": lambda: faults(lineup, some, ("ours-ids",)),
    }


def _summary(console: Console, found: list[Gate]) -> int:
    failed = [gate for gate in found if not gate.passed]
    for gate in failed:
        console.print(
            f"[bold red]FAILED[/bold red]  {gate.rule}: {gate.figure} (at most {gate.limit})", highlight=False
        )
    console.print(f"{len(found) - len(failed)} of {len(found)} gates passed.")
    return exit_status(found)


def _conditions(scale: Scale, load: float) -> str:
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("aiohttp", "gql", "graphql-core", "orjson", "prefect", "tenacity")
    )
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, one run, seed {SEED}, all times multiplied by {scale.factor:g}: Python "
        f"{platform.python_version()}, {os.cpu_count()} cores, the emulator on one and contestants on another, load "
        f"average {load:.1f} at its begin, loopback without TLS, {packages}."
    )


if __name__ == "__main__":
    sys.exit(main())
