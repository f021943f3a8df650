"""The model of a job, for all providers. Pure.

All instants are aware datetimes in UTC; in JSON they are ISO 8601 text.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from graphql_jobs.parsing import instant_or_none
from graphql_jobs.titles import job_name

if TYPE_CHECKING:
    from datetime import datetime

#: Our choice: the maximum number of different task statuses, and of failures, in a job's JSON.
MAX_STATUSES = 20
MAX_FAILURES = 100


class JobState(StrEnum):
    """The six states of a job or task. UNKNOWN: the status is not in the provider's table; the job has not ended."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"

    # Enum's own is slow Python code, and jobs and tasks are hashed with each poll.
    __hash__ = str.__hash__

    @property
    def is_terminal(self) -> bool:
        """Whether the job or task has ended."""
        return self in _TERMINAL


_TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


@dataclass(frozen=True, slots=True)
class JobFailure:
    """Why a job or one of its tasks failed, in the provider's words (cut to a bounded length)."""

    reason: str
    message: str
    task_id: str | None = None

    def __str__(self) -> str:
        where = f"task {self.task_id}: " if self.task_id else ""
        return f"{where}{self.reason}" + (f" ({self.message})" if self.message else "")


class JobTask(NamedTuple):
    """One task of a job. `engine_id`, `started_at` and `ended_at` are None if the provider omits them.

    A poll creates one for each task of each job. So it is a named tuple, which costs a third of a frozen dataclass, and
    the instant is parsed on access.
    """

    task_id: str
    state: JobState
    raw_status: str
    engine_id: str | None = None
    #: As the provider sent it.
    raw_started: str | float | None = None
    failure: JobFailure | None = None
    #: A failure of this task does not count: a standby task replaced it, or it is a standby that was not needed.
    excused: bool = False
    #: As the provider sent it.
    raw_ended: str | float | None = None

    @property
    def started_at(self) -> datetime | None:
        """When the task began to run."""
        return instant_or_none(self.raw_started)

    @property
    def ended_at(self) -> datetime | None:
        """When the task ended."""
        return instant_or_none(self.raw_ended)


class Job(NamedTuple):
    """A job as it was last read. It is a named tuple for the same reason as its tasks.

    `state` is our judgement (guarantee 4: a job with the status "complete" may be FAILED), `raw_status` the provider's
    word. `progress_percent` is for display only: Datasaur leaves it at 0 on delivered jobs.
    """

    provider: str
    job_id: str
    state: JobState
    raw_status: str
    tasks: tuple[JobTask, ...] = ()
    failures: tuple[JobFailure, ...] = ()
    progress_percent: int | None = None
    #: As the provider sent them.
    raw_created: str | float | None = None
    raw_modified: str | float | None = None
    target_id: str | None = None
    result_id: str | None = None

    @property
    def name(self) -> str:
        """The job in sentences: "aiWARE job 7"."""
        return job_name(self.provider, self.job_id)

    @property
    def created_at(self) -> datetime | None:
        """When the job was submitted."""
        return instant_or_none(self.raw_created)

    @property
    def modified_at(self) -> datetime | None:
        """When the job last changed: the end of a job that has ended."""
        return instant_or_none(self.raw_modified)

    def describe(self) -> str:
        """Return one line for a log or a state message: the state, the provider's word, the tasks, the failures."""
        parts = [f"{self.state} (status {self.raw_status!r})"]
        if self.tasks:
            done = sum(task.state.is_terminal for task in self.tasks)
            parts.append(f"{done} of {len(self.tasks)} tasks ended")
        if self.progress_percent:  # Datasaur leaves 0 on jobs that are done
            parts.append(f"progress {self.progress_percent}")
        if self.failures:
            parts.append("; ".join(str(failure) for failure in self.failures[:3]))
        if len(self.failures) > 3:
            parts.append(f"and {len(self.failures) - 3} more failures")
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON of bounded size, with the number of tasks per status, since a job may have thousands.

        A status is a value and never a key, since Prefect gives some keys a meaning (guarantee 11).
        """
        counts = Counter(task.raw_status for task in self.tasks).most_common()
        shown = [{"status": status, "count": count} for status, count in counts[:MAX_STATUSES]]
        if rest := sum(count for _, count in counts[MAX_STATUSES:]):
            shown.append({"status": "other statuses", "count": rest})
        failures = [str(failure) for failure in self.failures[:MAX_FAILURES]]
        if more := len(self.failures) - len(failures):
            failures.append(f"and {more} more failures")
        return {
            "provider": self.provider,
            "job_id": self.job_id,
            "state": str(self.state),
            "raw_status": self.raw_status,
            "task_counts": shown,
            "failures": failures,
            "created_at": self.created_at.isoformat() if self.created_at else None,
            "modified_at": self.modified_at.isoformat() if self.modified_at else None,
            "target_id": self.target_id,
            "result_id": self.result_id,
        }
