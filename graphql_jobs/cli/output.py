"""What the commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from graphql_jobs.cli.exit_codes import ExitCode, code_of
from graphql_jobs.handle import CancelOutcome
from graphql_jobs.job import Job, JobState
from graphql_jobs.numbers import json_text

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Our choice: more jobs share one bar.
_BARS = 10
_STYLES = {ExitCode.SUCCEEDED: "green", ExitCode.NOT_ENDED: "cyan", ExitCode.CANCELLED: "yellow"}

End = Job | CancelOutcome | Exception


def print_line(text: str, style: str = "", *, to_errors: bool = False) -> None:
    """Print a text as it is: it may come from a server, so nothing in it is markup."""
    Console(stderr=to_errors, highlight=False).print(Text(text, style=style), soft_wrap=True)


def print_error(text: str) -> None:
    """Print the reason for the exit code."""
    print_line(f"graphql-jobs: {text}", "red", to_errors=True)


def print_end(provider: str, job_id: str, end: End, *, as_json: bool) -> None:
    """Print one job on one line: its state, the outcome of its cancel, or the error."""
    if as_json:
        sys.stdout.write(json_text(_plain(provider, job_id, end)) + "\n")
        sys.stdout.flush()
    else:
        print_line(f"{job_id}  {_words(end)}", _STYLES.get(code_of(end), "red"))


def _words(end: End) -> str:
    if isinstance(end, Job):
        return end.describe()
    return end.message if isinstance(end, CancelOutcome) else str(end)


def _plain(provider: str, job_id: str, end: End) -> dict[str, object]:
    if isinstance(end, Job):
        return end.to_json()
    if isinstance(end, CancelOutcome):
        state = end.job.state if end.job else JobState.CANCELLED
        return {"provider": provider, "job_id": job_id, "state": str(state), "message": end.message}
    return {"provider": provider, "job_id": job_id, "state": str(JobState.UNKNOWN), "error": str(end)}


class WaitProgress:
    """A bar for each job in a terminal; elsewhere one line for each change. It uses standard error."""

    def __init__(self, job_ids: Sequence[str]) -> None:
        self._console = Console(stderr=True, highlight=False)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._progress = Progress(
            *columns,
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
            redirect_stdout=sys.stdout.isatty(),
        )
        self._all = self._progress.add_task("jobs ended", total=len(job_ids), visible=len(job_ids) != 1)
        one_by_one = job_ids if len(job_ids) <= _BARS else ()
        self._bars = {job_id: self._progress.add_task(f"job {job_id}", total=None) for job_id in one_by_one}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._progress.stop()

    def changed(self, job: Job) -> None:
        """Show the job's status."""
        if self._progress.disable and not job.state.is_terminal:  # the end is a result
            print_line(f"{job.job_id}  {job.describe()}", to_errors=True)
        if job.job_id in self._bars:
            done, total = job.progress_percent or 0, 100
            if job.tasks:
                done, total = sum(task.state.is_terminal for task in job.tasks), len(job.tasks)
            words = f"job {job.job_id} {job.state.lower()}"
            self._progress.update(self._bars[job.job_id], description=words, completed=done, total=total)

    def ended(self, job_id: str) -> None:
        """Count the job as ended."""
        self._progress.advance(self._all)
        if job_id in self._bars:
            self._progress.update(self._bars.pop(job_id), visible=False)
