"""`make bench`: contestants wait for the same jobs, beside what nobody can beat; exits with 1 if a gate fails.

All of it takes about an hour and a quarter and renews docs/benchmarks.md; `QUICK=1` takes less than three minutes, with
fewer rows, and writes nothing. `PARTS=waits,faults` runs some parts alone.
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

from benchmarks.check_cost import check_cost
from benchmarks.gates import exit_status
from benchmarks.hardships import CONTESTANTS, faults, hard_workloads
from benchmarks.lineup import Lineup
from benchmarks.prefect_waits import under_prefect
from benchmarks.waits import IN_TURNS, change_feed, comparison, growth
from benchmarks.workloads import SEED, Scale, faulty, special

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.gates import Gate
    from benchmarks.section import Section

    #: In whose times, and what runs.
    _Part = tuple[Lineup, Callable[[Lineup], Section]]

_DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
#: Our choice, for faults: T = 1 s and durations of 4 to 12 s. Where CPU is compared, all times are those of the issue.
_QUICK_FACTOR = 0.2
#: Columns where the output goes to a file.
_LOG_WIDTH = 180

_ALL = (*IN_TURNS, "robosaur", "ours-each", "aiohttp", "gql")
#: Who waits for how many jobs.
FULL = [(1_000, _ALL), (10_000, _ALL)]
#: A contestant takes more than a minute at ten thousand jobs, whoever it is.
QUICK = [(10_000, ("raw-ids", "ours-ids"))]


def main() -> int:
    """Run the parts that are asked for, show and write each as soon as it is done. Gives the exit status."""
    quick = bool(os.environ.get("QUICK"))
    console = Console()
    if not console.is_terminal:
        console.width = _LOG_WIDTH
    parts = _quick_parts(console) if quick else _full_parts(console)
    wanted = (os.environ.get("PARTS") or ",".join(parts)).split(",")
    if unknown := set(wanted) - set(parts):
        console.print(f"No such part: {', '.join(sorted(unknown))}. There are: {', '.join(parts)}.")
        return 2
    found: list[Gate] = []
    for name in wanted:
        console.print(f"[bold]{name}[/bold]")
        load = os.getloadavg()[0]
        lineup, run = parts[name]
        section = run(lineup)
        conditions = _conditions(lineup.scale, load)
        section.show(console)
        console.print(conditions, highlight=False, style="dim")
        found += section.gates
        if not quick:
            section.write(_DOCUMENT, conditions)
    return _summary(console, found)


def _full_parts(console: Console) -> Mapping[str, _Part]:
    whole = Lineup(Scale(), console)
    return {
        "check": (whole, lambda _: check_cost(rounds=15)),
        "waits": (whole, lambda lineup: comparison(lineup, FULL, rounds=3)),
        "growth": (whole, lambda lineup: growth(lineup, [100, 1_000, 10_000, 50_000], rounds=3)),
        "feed": (whole, lambda lineup: change_feed(lineup, 10_000)),
        "hard": (whole, lambda lineup: hard_workloads(lineup, special(10_000))),
        "faults": (whole, lambda lineup: faults(lineup, faulty(1_000), CONTESTANTS)),
        "prefect": (whole, lambda lineup: under_prefect(lineup, 1_000)),
    }


def _quick_parts(console: Console) -> Mapping[str, _Part]:
    """One check, all of ours by ids beside its floor as in the whole run, and three of the faults at shorter times."""
    whole, short = Lineup(Scale(), console), Lineup(Scale(_QUICK_FACTOR), console)
    some = [workload for workload in faulty(1_000) if workload.name.startswith(("5 %", "token", "killed"))]
    return {
        "check": (whole, lambda _: check_cost(rounds=5)),
        "waits": (whole, lambda lineup: comparison(lineup, QUICK, rounds=1)),
        "faults": (short, lambda lineup: faults(lineup, some, ("ours-ids",))),
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
