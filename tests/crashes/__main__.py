"""`make crash-test`: kill flow-run processes on real workers at every point, run them again, and count the jobs.

`TRIALS` is their number (280: five for each operation and point), `SEED` decides their order. `OPERATIONS` and `POINTS`
select some by the beginnings of their names, separated by commas. Exits with 1 if a promise was broken.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from scripts.processes import StackError
from scripts.stack import Stack
from tests.crashes.plan import OPERATIONS, Point, Trial, deal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.crashes.course import Verdict

_TRIALS = 280
#: Seconds that an emulated job is queued and runs: long enough to kill its process in between.
_PACE = ("--queued-s", "0.5", "--running-s", "1.5")
_LOG_WIDTH = 200


def main() -> int:
    """Run all trials and print the table. Returns the exit status."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _LOG_WIDTH
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's `&` leaves SIGINT ignored; `timeout` sends SIGTERM
        signal.signal(number, signal.default_int_handler)
    trials = _chosen()
    seed = os.environ.get("SEED") or "1"
    console.print(f"{len(trials)} trials, seed {seed}. Starting the emulator and a Prefect server of its own ...")
    began_at = time.monotonic()
    try:
        with Stack(emulator_options=(*_PACE, "--seed", seed)) as stack:
            os.environ.update(stack.environment)
            verdicts = _run(stack, trials, console)
    except StackError as error:
        console.print(f"[red]The crash test could not run:[/red] {error}", markup=True)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted; everything was ended.")
        return 130
    minutes = (time.monotonic() - began_at) / 60
    return _report(console, verdicts, minutes)


def _chosen() -> list[Trial]:
    operations = [one for one in OPERATIONS if _is_wanted(one.title, "OPERATIONS")]
    points = [point for point in Point if _is_wanted(point, "POINTS")]
    return deal(int(os.environ.get("TRIALS") or _TRIALS), int(os.environ.get("SEED") or 1), operations, points)


def _is_wanted(name: str, variable: str) -> bool:
    wanted = os.environ.get(variable)
    return not wanted or any(name.startswith(part.strip()) for part in wanted.split(","))


def _run(stack: Stack, trials: Sequence[Trial], console: Console) -> list[Verdict]:
    from tests.crashes.course import hide_new_jobs, run_trials  # Prefect reads its settings when it is imported

    done = 0

    def say(words: str) -> None:
        nonlocal done
        done += 1
        console.print(f"{time.strftime('%H:%M:%S')} {done:4d} of {len(trials)}  {words}", markup=False)

    hide_new_jobs(stack)
    return asyncio.run(run_trials(stack, trials, say))


def _report(console: Console, verdicts: Sequence[Verdict], minutes: float) -> int:
    console.print(outcome_table(verdicts))
    broken = [verdict for verdict in verdicts if verdict.problems]
    for verdict in broken:
        for problem in verdict.problems:
            console.print(f"[red]Broken:[/red] {verdict.trial.title}: ", end="")
            console.print(problem, markup=False)
    moved = sum(verdict.trial.moves for verdict in verdicts)
    late = sum(verdict.ending.retries > 1 for verdict in verdicts)
    console.print(
        f"{len(verdicts)} runs were killed and run again, {moved} of them on another worker with an empty home, in "
        f"{minutes:.0f} minutes. {late} were set to run again more than once, since a worker reported the death late."
    )
    console.print(f"{len(broken)} broke a promise." if broken else "All as is promised. Nothing was left running.")
    return 1 if broken else 0


def outcome_table(verdicts: Sequence[Verdict]) -> Table:
    """Points by operations: the number of trials, their final states, and the number of jobs."""
    shown = [one for one in OPERATIONS if any(verdict.trial.operation is one for verdict in verdicts)]
    table = Table("killed", *(one.title for one in shown), title="Trials by point and operation", show_lines=True)
    for point in Point:
        cells = [
            [verdict for verdict in verdicts if verdict.trial.point is point and verdict.trial.operation is one]
            for one in shown
        ]
        if any(cells):
            table.add_row(point, *map(_cell, cells))
    return table


def _cell(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return "-"
    counts: dict[str, int] = {}
    for verdict in verdicts:
        jobs = len(verdict.jobs)
        words = f"{verdict.ending.state}, {jobs} job{'' if jobs == 1 else 's'}"
        words = f"BROKEN {words}" if verdict.problems else words
        counts[words] = counts.get(words, 0) + 1
    return "\n".join(f"{count} x {words}" for words, count in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main())
