"""What people and automations see of a wait: events, a progress bar while the jobs run, and a report at their end.

The artifacts are written only on a change, in the background. An outage of Prefect's API neither fails nor delays the
wait: see `artifacts`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Self
from uuid import UUID

from prefect.context import FlowRunContext

from blocks.reporting.artifacts import key_of, write
from blocks.reporting.events import change_of, tell
from blocks.reporting.report import Ended, report, report_of_many
from graphql_jobs import Job, JobHandle, JobState
from graphql_jobs.titles import title_of

logger = logging.getLogger(__name__)

#: Our choice: how long the end of a wait stops for a write. After that, both continue.
_WRITE_S = 2.0

# Tasks that no caller awaits any more: the event loop has only weak references.
_in_background: set[asyncio.Task[None]] = set()


class Reporter:
    """The reports about the jobs of one wait in the flow run `run_id`. Its methods raise nothing."""

    def __init__(self, handles: Sequence[JobHandle], run_id: UUID | None, *, may_resume: bool = False) -> None:
        """`may_resume`: an earlier process may have begun this wait."""
        self._handles = {handle.job_id: handle for handle in handles}
        self._run_id, first = run_id, handles[0]
        self._title = title_of(first.provider)
        self._key = key_of(first.provider, first.endpoint, *self._handles)
        self._is_new = not may_resume and _is_first_attempt()
        self._ended: dict[str, Ended] = {}
        self._running: set[str] = set()
        self._wanted: tuple[int, str] | None = None
        self._written: tuple[int, str] | None = None
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._ended and self._run_id:
            await soon(self._finish(self._run_id))

    def changed(self, job: Job) -> None:
        """A poll showed a change of a job. For the argument `on_change` of a wait."""
        try:
            if job.state is JobState.RUNNING and job.job_id not in self._running:
                self._running.add(job.job_id)
                tell("running", self._handles[job.job_id], self._run_id, job)
            if len(self._handles) == 1 and not job.state.is_terminal and (progress := _progress_of(job)):
                self._show(*progress)
        except Exception:  # the wait goes on
            logger.exception("The change of %s could not be reported.", job.name)

    def ended(self, job_id: str, how: Ended) -> None:
        """The wait for a job has ended."""
        try:
            self._ended[job_id] = how
            if change := change_of(how):
                tell(change, self._handles[job_id], self._run_id, how)
            if (total := len(self._handles)) > 1:
                percent = 100 * len(self._ended) // total
                if not self._wanted or percent != self._wanted[0]:
                    self._show(percent, f"{len(self._ended)} of {total} {self._title} jobs ended")
            elif self._wanted and isinstance(how, Job) and how.state is JobState.SUCCEEDED:
                self._show(100, f"{how.name} succeeded")
        except Exception:  # as above
            logger.exception("The end of %s could not be reported.", self._handles[job_id].name)

    def _show(self, percent: int, words: str) -> None:
        self._wanted = percent, words
        if self._run_id and (not self._writing or self._writing.done()):
            self._writing = _in_the_background(self._write_progress(self._run_id))

    async def _write_progress(self, run_id: UUID) -> None:
        while self._wanted and self._wanted != self._written:
            self._written = percent, words = self._wanted
            await write(run_id, f"{self._key}-progress", "progress", percent, words, is_new=self._is_new)

    async def _finish(self, run_id: UUID) -> None:
        if self._writing:
            await self._writing
        waiting = len(self._handles) - len(self._ended)
        if len(self._handles) == 1:
            [(job_id, how)] = self._ended.items()
            text = report(self._handles[job_id], how)
        else:
            text = report_of_many(self._ended, self._handles, waiting)
        description = _description(*self._handles.values())
        await write(run_id, self._key, "markdown", text, description, is_new=self._is_new)


async def report_ends(handles: Sequence[JobHandle], run_id: UUID, ended: Mapping[str, Ended]) -> None:
    """Report the ends of the jobs of a run that ends without a process."""
    async with Reporter(handles, run_id, may_resume=True) as reporter:
        for job_id, how in ended.items():
            reporter.ended(job_id, how)


async def report_result(
    handle: JobHandle,
    job: Job,
    run_id: UUID | None,
    result: Mapping[str, Any],
    downstream: Mapping[str, UUID] = {},
) -> None:
    """Add the result, and the runs that were started with it, to the report of a job. Without a run, do nothing."""
    if run_id:
        text = report(handle, job, result, downstream)
        key = key_of(handle.provider, handle.endpoint, handle.job_id)
        description = f"{handle.name}: state, tasks, result and downstream runs"
        await soon(write(run_id, key, "markdown", text, description, is_new=_is_first_attempt()))


def _description(*handles: JobHandle) -> str:
    if len(handles) == 1:
        return f"{handles[0].name}: state and tasks"
    return f"{len(handles)} {title_of(handles[0].provider)} jobs: state, duration and reason of each"


async def soon(writing: Coroutine[Any, Any, None]) -> None:
    """Await a write for a moment. If it takes longer, it goes on in the background."""
    await asyncio.wait({_in_the_background(writing)}, timeout=_WRITE_S)


def _in_the_background(writing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(writing)
    _in_background.add(task)
    task.add_done_callback(_in_background.discard)
    return task


def _is_first_attempt() -> bool:
    context = FlowRunContext.get()
    return bool(context and context.flow_run and context.flow_run.run_count <= 1)


def _progress_of(job: Job) -> tuple[int, str] | None:
    """Return how far the job is: the ended tasks of all or, without tasks, the provider's own number."""
    if job.tasks:
        ended = sum(task.state.is_terminal for task in job.tasks)
        return 100 * ended // len(job.tasks), f"{ended} of {len(job.tasks)} tasks ended"
    if job.state is JobState.RUNNING:
        return job.progress_percent or 0, f"progress {job.progress_percent or 0} %"
    return None
