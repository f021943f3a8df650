"""`make demo`: real jobs of both services through real flows, on a Prefect server and a worker of its own.

Only the two services are emulated. All of it lives in a temporary folder and is gone at the end; exits with 1 if
anything was not as it must be.
"""

from __future__ import annotations

import asyncio
import os
import sys

from rich.console import Console

from scripts.processes import StackError
from scripts.stack import Stack

#: Seconds that an emulated job waits and works: long enough to be seen waiting, short enough to sit through.
_PACE = ("--queued-s", "2", "--running-s", "6")
#: Columns of the output where it goes to a file: wide enough for a job's id.
_LOG_WIDTH = 160


def main() -> int:
    """Build the stack, run the jobs, print what happened, take the stack down. Gives the exit status."""
    console = Console()
    if not console.is_terminal:
        console.width = _LOG_WIDTH
    try:
        console.print("Starting the emulator and a Prefect server of its own (its first start takes a while) ...")
        with Stack(emulator_options=_PACE) as stack:
            console.print("Registering blocks, deploying the flows of prefect.yaml, starting a process worker ...")
            stack.deploy()
            stack.start_worker()
            os.environ.update(stack.environment)
            from scripts.demo_runs import show  # Prefect reads its settings when it is imported

            problems = asyncio.run(show(stack, console))
    except StackError as error:
        console.print(f"[red]The demo could not run:[/red] {error}", markup=True, highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted; everything was ended.")
        return 130
    for problem in problems:
        console.print(f"[red]Not as it must be:[/red] {problem}", highlight=False)
    if not problems:
        console.print("All checks passed. Nothing was left running.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
