"""The model: what a job is, whichever provider runs it. Pure, and plain JSON both ways.

All instants are aware datetimes in UTC; in JSON they are ISO 8601 text.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from graphql_jobs.errors import InvalidInput
from graphql_jobs.kept_addresses import keep_address, kept_address
from graphql_jobs.parsing import instant_or_none

if TYPE_CHECKING:
    from datetime import datetime

#: Our choice: long enough for every id seen (76 characters, aiWARE's older tasks), short enough to log.
MAX_ID_CHARACTERS = 200
#: In a handle's details: the id of the job that it does again. What comes next is started once for both.
REPEATS = "repeats"
#: Our choice: so many different statuses of tasks, and so many failures, are handed over.
MAX_STATUSES = 20
MAX_FAILURES = 100
#: The name of the address of an export's file.
FILE_URL = "file_url"


class JobState(StrEnum):
    """The six states of a job or task. UNKNOWN is a word that the provider's table lacks: not an end."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"

    # Enum's own is written in Python, and jobs and tasks are hashed with each look.
    __hash__ = str.__hash__

    @property
    def is_terminal(self) -> bool:
        """Whether the provider will not change it any more by itself."""
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
    """One task of a job. `engine_id` and `started_at` are None where the provider gives none.

    A named tuple, since a check makes one for each task of each job: a third of a frozen dataclass's cost. For the same
    reason the instant is read when it is asked for.
    """

    task_id: str
    state: JobState
    raw_status: str
    engine_id: str | None = None
    #: As the provider wrote it.
    raw_started: str | float | None = None
    failure: JobFailure | None = None
    #: A failure of this task does not count: a standby stood in for it, or it is a standby that nobody needed.
    excused: bool = False

    @property
    def started_at(self) -> datetime | None:
        """When it began to run."""
        return instant_or_none(self.raw_started)


class Job(NamedTuple):
    """A job as it was when it was last read. A named tuple for the same reason as its tasks.

    `state` is our judgement (law 4: a job that says complete may be FAILED), `raw_status` the provider's word.
    `progress_percent` is for showing only: Datasaur leaves it at 0 on delivered jobs.
    """

    provider: str
    job_id: str
    state: JobState
    raw_status: str
    tasks: tuple[JobTask, ...] = ()
    failures: tuple[JobFailure, ...] = ()
    progress_percent: int | None = None
    #: As the provider wrote them.
    raw_created: str | float | None = None
    raw_modified: str | float | None = None
    target_id: str | None = None
    result_id: str | None = None

    @property
    def created_at(self) -> datetime | None:
        """When it was submitted."""
        return instant_or_none(self.raw_created)

    @property
    def modified_at(self) -> datetime | None:
        """When it was last changed: of a job that has ended, when it did."""
        return instant_or_none(self.raw_modified)

    def describe(self) -> str:
        """One line for a log or a state message: the state, the provider's word, the tasks, the failures."""
        parts = [f"{self.state} (status {self.raw_status!r})"]
        if self.tasks:
            done = sum(task.state.is_terminal for task in self.tasks)
            parts.append(f"{done} of {len(self.tasks)} tasks ended")
        if self.progress_percent:  # 0 says nothing: Datasaur leaves it there on jobs that are done
            parts.append(f"progress {self.progress_percent}")
        if self.failures:
            parts.append("; ".join(str(failure) for failure in self.failures[:3]))
        if len(self.failures) > 3:
            parts.append(f"and {len(self.failures) - 3} more failures")
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON of bounded size; tasks are counted by their status, since a job may have thousands.

        A status is a value and never the name of a field, since Prefect reads some names (law 11).
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


class JobHandle(BaseModel):
    """All that is needed to wait for, read, cancel or collect a job, from any process and on any later day.

    Plain JSON both ways (`to_json`, `from_json`); holds no credentials. `details` keeps what only the answer to the
    submission told, such as an aiWARE job's `target_id`, and which job a repeated one `REPEATS`. An address among them,
    such as a Datasaur export's `file_url`, lets anyone download for some hours: it is taken out of the handle and stays
    in this process (`address`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    provider: str = Field(min_length=1)
    endpoint: str = Field(min_length=1)
    job_id: str = Field(min_length=1, max_length=MAX_ID_CHARACTERS)
    operation: str | None = None
    submitted_at: AwareDatetime | None = None
    details: dict[str, str] = Field(default_factory=dict, repr=False)

    @model_validator(mode="after")
    def _put_addresses_aside(self) -> Self:
        for name in [name for name, value in self.details.items() if name == FILE_URL or "://" in value]:
            keep_address(self.details.pop(name), self.endpoint, self.job_id, name)
        return self

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return self.model_dump(mode="json")

    def address(self, name: str) -> str | None:
        """The address that the answer to the submission told, if this process has read that answer."""
        return kept_address(self.endpoint, self.job_id, name)

    @classmethod
    def from_json(cls, plain: object) -> Self:
        """Read what `to_json` wrote. Raises `InvalidInput` that names the first wrong field."""
        try:
            return cls.model_validate(plain)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = ".".join(["handle", *map(str, first["loc"])])
            raise InvalidInput(name, f"{first['msg']}.") from None


@dataclass(frozen=True, slots=True)
class CancelOutcome:
    """What came of a cancel. `confirmed`: the provider was read again and no longer runs the job."""

    job_id: str
    confirmed: bool
    message: str
    job: Job | None = field(default=None, repr=False)
