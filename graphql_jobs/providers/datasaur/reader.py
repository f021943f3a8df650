"""Convert Datasaur's answers to the model. Pure functions and tables."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, NamedTuple

from graphql_jobs import errors
from graphql_jobs.job import MAX_FAILURES, Job, JobFailure, JobState
from graphql_jobs.parsing import Entry, brief, instant_or_none, objects, short_or_none, text_or_none
from graphql_jobs.providers.status_table import StatusTable
from graphql_jobs.transport.diagnosis import COMMON_CODES, Dialect, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date, datetime

PROVIDER = "datasaur"

# Source: docs/providers/datasaur.md#status (enum JobStatus, introspection of 2022-12, unchanged in the 2026 samples).
STATES = StatusTable(
    PROVIDER,
    {
        "QUEUED": JobState.PENDING,
        "NONE": JobState.PENDING,
        "IN_PROGRESS": JobState.RUNNING,
        "DELIVERED": JobState.SUCCEEDED,
        "FAILED": JobState.FAILED,
    },
)

# Source: docs/providers/datasaur.md#errors-and-limits: the one error whose shape is known.
CODES: Mapping[str, Kind] = {"AuthenticationError": errors.SignInFailed}


def code_of(entry: Mapping[str, object]) -> str:
    """Return `extensions.type` if it is known, else `extensions.code`, which was never seen."""
    extensions = entry.get("extensions")
    if not isinstance(extensions, dict):
        return ""
    words = [word for word in (extensions.get("type"), extensions.get("code")) if isinstance(word, str)]
    return next((word for word in words if word in CODES or word in COMMON_CODES), words[0] if words else "")


DIALECT = Dialect(PROVIDER, code_of, CODES)


def read_job(entry: Entry, clean: Callable[[str], str] = str) -> Job:
    """Return one job. `progress` is only shown; `clean` cuts the provider's words and removes secrets."""
    raw_status = text_or_none(entry, "status") or ""
    if raw_status not in STATES:
        raw_status = clean(raw_status)  # first, since the table logs unknown words
    progress, failures = entry.get("progress"), entry.get("errors")
    return Job(
        PROVIDER,
        str(entry.get("id")),
        STATES[raw_status],
        raw_status,
        (),
        _read_failures(objects(failures), clean) if failures else (),
        progress if type(progress) is int else None,
        short_or_none(entry.get("createdAt")),
        short_or_none(entry.get("updatedAt")),
        None,
        text_or_none(entry, "resultId"),
    )


def read_submitted(value: object) -> Entry | None:
    """Return the job in the answer to a submission: the answer itself or its `job` beside a `name`; None if missing."""
    if not isinstance(value, dict):
        return None
    job = value.get("job", value)
    return job if isinstance(job, dict) and isinstance(job.get("id"), str) and job["id"] else None


class ProjectPage(NamedTuple):
    """A page of a list of projects, and their total number if the answer has it."""

    nodes: list[Entry]
    total: int


def read_projects(value: object) -> ProjectPage | None:
    """Return the page in an answer, or None if it is invalid or a project in it has no id or no name."""
    nodes = value.get("nodes") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(nodes, list):
        return None
    entries = [node for node in objects(nodes) if text_or_none(node, "id") and isinstance(node.get("name"), str)]
    total = value.get("totalCount")
    return ProjectPage(entries, total if type(total) is int else 0) if len(entries) == len(nodes) else None


class Project(NamedTuple):
    """A project in a list. `changed_at` is the instant of its completion or, without one, of its last change."""

    id: str
    name: str
    tags: tuple[str, ...]
    changed_at: datetime | None

    @property
    def day(self) -> date | None:
        """The day of its completion or last change, in UTC."""
        return self.changed_at.astimezone(UTC).date() if self.changed_at else None


def read_project(entry: Entry) -> Project:
    """Return a project of a page that `read_projects` accepted."""
    tags = tuple(filter(None, (text_or_none(tag, "name") for tag in objects(entry.get("tags")))))
    changed_at = instant_or_none(entry.get("completedDate")) or instant_or_none(entry.get("updatedDate"))
    return Project(text_or_none(entry, "id") or "", str(entry["name"]), tags, changed_at)


#: Our choice: the number of characters read; the first line is shown, cut to a message's length.
_STACK_CHARACTERS = 5_000


def _read_failures(entries: list[Entry], clean: Callable[[str], str]) -> tuple[JobFailure, ...]:
    """Read only the failures that a job carries: each is searched for secrets, which takes time."""
    read = [_read_failure(entry, clean) for entry in entries[:MAX_FAILURES]]
    if more := len(entries) - len(read):
        read.append(JobFailure("more", f"{more} that are not shown"))
    return tuple(read)


def _read_failure(entry: Entry, clean: Callable[[str], str]) -> JobFailure:
    stack = text_or_none(entry, "stack", _STACK_CHARACTERS) or ""
    args = brief(entry["args"]) if entry.get("args") else ""
    message = " ".join(part for part in (stack.split("\n", 1)[0], args) if part)
    return JobFailure(clean(text_or_none(entry, "id") or "unknown"), clean(message))
