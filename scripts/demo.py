"""`make demo`: real jobs of both services through real flows, on a separate Prefect server and worker.

Only the two services are emulated. Everything is in a temporary folder, which is removed at the end. Exits with 1 if
a check failed.
"""

from __future__ import annotations

import asyncio
import os
import sys

from rich.console import Console

from scripts.processes import StackError
from scripts.stack import Stack

#: Seconds that an emulated job is queued and runs: long enough to see both, short enough for a demo.
_PACE = ("--queued-s", "2", "--running-s", "6")
#: Columns of the output if it goes to a file: wide enough for a job's id.
_LOG_WIDTH = 160


def main() -> int:
    """Build the stack, run the jobs, print the results, end the stack. Returns the exit status."""
    console = Console()
    if not console.is_terminal:
        console.width = _LOG_WIDTH
    try:
        console.print("Starting the emulator and a separate Prefect server (its first start takes a while) ...")
        with Stack(emulator_options=_PACE) as stack:
            console.print("Registering blocks, deploying the flows of prefect.yaml, starting a process worker ...")
            stack.deploy()
            stack.start_worker()
            os.environ.update(stack.environment)
            from scripts.demo_runs import show  # Prefect reads its settings at import

            problems = asyncio.run(show(stack, console))
    except StackError as error:
        console.print(f"[red]The demo could not run:[/red] {error}", markup=True, highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted; everything was ended.")
        return 130
    for problem in problems:
        console.print(f"[red]Check failed:[/red] {problem}", highlight=False)
    if not problems:
        console.print("All checks passed. Nothing was left running.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
