"""Convert aiWARE's answers to the model. Pure functions and tables."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any

from graphql_jobs import errors
from graphql_jobs.job import MAX_FAILURES, Job, JobFailure, JobState, JobTask
from graphql_jobs.label import Label
from graphql_jobs.parsing import Entry, objects, short_or_none, text_or_none
from graphql_jobs.providers.aiware.documents import TASK_PAGE
from graphql_jobs.providers.status_table import StatusTable
from graphql_jobs.transport.diagnosis import Dialect, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

PROVIDER = "aiware"

# Source: docs/providers/aiware.md#status. `Job.status` has the type of `Task.status`, so one table serves both.
# A cancelled job ends as aborted (KB 4164); an aborted task counts against its job (guarantee 4).
STATES = StatusTable(
    PROVIDER,
    {
        "pending": JobState.PENDING,
        "accepted": JobState.PENDING,
        "queued": JobState.PENDING,
        "standby_pending": JobState.PENDING,
        "running": JobState.RUNNING,
        "waiting": JobState.RUNNING,
        "resuming": JobState.RUNNING,
        "paused": JobState.RUNNING,
        "complete": JobState.SUCCEEDED,
        "failed": JobState.FAILED,
        "cancelled": JobState.CANCELLED,
        "aborted": JobState.CANCELLED,
    },
)

# Source: docs/providers/aiware.md#errors, after the vendor's page on error codes.
CODES: Mapping[str, Kind] = {
    "not_found": errors.NotFound,
    "not_allowed": errors.NotAllowed,
    "invalid_input": errors.RequestRefused,
    "not_implemented": errors.RequestRefused,
    "authentication_error": errors.SignInFailed,
    "rate_limited": errors.RateLimited,
    "capacity_exceeded": errors.TooMuchAtOnce,
    "service_unavailable": errors.ServerFailed,
    "service_failure": errors.ServerFailed,
    "internal_error": errors.ServerFailed,
}


def code_of(entry: Mapping[str, object]) -> str:
    """Return aiWARE's code. It is at the top level of an error, not under `extensions` (docs/providers/aiware.md)."""
    name = entry.get("name")
    return name if isinstance(name, str) else ""


def object_of(entry: Mapping[str, object]) -> str | None:
    """Return the id of the missing object; such an error may name no field (docs/providers/aiware.md)."""
    data = entry.get("data")
    object_id = data.get("objectId") if isinstance(data, dict) else None
    return object_id if isinstance(object_id, str) else None


DIALECT = Dialect(PROVIDER, code_of, CODES, object_of)


def read_job(
    entry: Entry, records: Sequence[object], *, lenient: bool = False, clean: Callable[[str], str] = str
) -> Job:
    """Return the job of a check, from its entry and the records of all pages of its tasks. Records that are not objects
    are ignored.

    A job with the status "complete" is FAILED if a task failed, was aborted or cancelled and has no completed standby,
    unless `lenient` (guarantee 4). `clean` cuts and redacts the provider's words.
    """
    bounded = _Bounded(clean)
    tasks = tuple([read_task(record, bounded.clean) for record in records if isinstance(record, dict)])
    failures: tuple[JobFailure, ...] = ()
    if any(task.failure for task in tasks):
        excused = _excused(objects(records))
        tasks = tuple([task._replace(excused=task.task_id in excused) for task in tasks])
        failures = tuple([task.failure for task in tasks if task.failure and not task.excused])
    raw_status = text_or_none(entry, "status") or ""
    if raw_status not in STATES:
        raw_status = clean(raw_status)
    state = STATES[raw_status]
    if state is JobState.SUCCEEDED and failures and not lenient:
        state = JobState.FAILED
    return Job(
        PROVIDER,
        str(entry.get("id")),
        state,
        raw_status,
        tasks,
        failures,
        None,
        short_or_none(entry.get("createdDateTime")),
        short_or_none(entry.get("modifiedDateTime")),
        text_or_none(entry, "targetId"),
    )


class _Bounded:
    """Clean the words of a job's tasks. This is slow, so each word is cleaned once, up to a maximum number."""

    def __init__(self, clean: Callable[[str], str]) -> None:
        self._clean = clean
        self._known: dict[str, str] = {}

    def clean(self, words: str) -> str:
        """Return the words without secrets, or a note that they are not shown if there are too many."""
        if words not in self._known:
            if len(self._known) >= _MAX_WORDS:
                return "not shown"
            self._known[words] = self._clean(words)
        return self._known[words]


#: The fields of a task that are only shown: the job's state does not depend on them.
SHOWN_ALONE = frozenset({"engineId", "startedDateTime", "completedDateTime", "failureReason", "failureMessage"})


def read_task(entry: Entry, clean: Callable[[str], str] = str) -> JobTask:
    """Return the task of one record."""
    task_id, raw_status = (text_or_none(entry, "id") or "").strip(), text_or_none(entry, "status") or ""
    if raw_status not in STATES:
        raw_status = clean(raw_status)
    state = STATES[raw_status]
    has_failed = state in {JobState.FAILED, JobState.CANCELLED}
    return JobTask(
        task_id,
        state,
        raw_status,
        text_or_none(entry, "engineId"),
        short_or_none(entry.get("startedDateTime")),
        _read_failure(entry, task_id, raw_status, clean) if has_failed else None,
        raw_ended=short_or_none(entry.get("completedDateTime")),
    )


#: Our choice: more than the reasons and messages of all failures that a job carries.
_MAX_WORDS = 3 * MAX_FAILURES
#: Our choice: the number of characters that are read, before the cut to a message's length.
_MESSAGE_CHARACTERS = 5_000


def _read_failure(entry: Entry, task_id: str, raw_status: str, clean: Callable[[str], str]) -> JobFailure:
    message = text_or_none(entry, "failureMessage", _MESSAGE_CHARACTERS)
    return JobFailure(clean(text_or_none(entry, "failureReason") or raw_status), clean(message or ""), task_id)


def is_full(tasks: Entry) -> bool:
    """Whether another page may follow: this one has as many records as the server's or our page size."""
    limit = tasks.get("limit")
    size = limit if type(limit) is int and 0 < limit < TASK_PAGE else TASK_PAGE
    return len(tasks["records"]) >= size


def read_records(value: Any) -> list[Entry]:
    """Return the records of a `TaskList` or `EngineResultList`."""
    return objects(value.get("records")) if isinstance(value, dict) else []


def read_engine_results(data: Entry) -> list[Entry] | None:
    """Return the records of `engineResults` in an answer's data, or None if it does not have the promised shape.

    The schema allows null, which is the value before anything was written.
    """
    value = data.get("engineResults", 0)
    if value is None:
        return []
    records = value.get("records") if isinstance(value, dict) else None
    whole = isinstance(records, list) and all(isinstance(record, dict) for record in records)
    return records if whole else None


def is_readable(record: Entry) -> bool:
    """Whether the parts that identify our jobs can be read: the job's JSON, and the engines of its tasks.

    If the whole list of tasks is missing, the job may be ours.
    """
    tasks = record.get("tasks")
    records = tasks.get("records") if isinstance(tasks, dict) else None
    has_engines = all(
        isinstance(task, dict) and "engineId" in task for task in (records if isinstance(records, list) else ())
    )
    return isinstance(record.get("jobConfig", ...), dict | NoneType) and has_engines


def may_be_ours(record: Entry, operation: str, location: Mapping[str, Any], label: Label) -> bool:
    """Whether our submission at `location` may have created a listed job: by label, or a launch by engine."""
    theirs = Label.in_json(record.get("jobConfig"))
    if operation == "createJob" or theirs:
        return theirs is not None and theirs.key == label.key
    engines = [task.get("engineId") for task in read_records(record.get("tasks"))]
    # A location of an earlier version has no engine; an incomplete list of tasks may lack it.
    return "engine_id" not in location or location["engine_id"] in engines or not 0 < len(engines) < TASK_PAGE


def _excused(task_entries: list[Entry]) -> set[str]:
    """Return the tasks whose failure does not count: a standby replaced them, or they are an unneeded standby.

    A standby may itself have a standby (docs/providers/aiware.md), so the chain is followed.
    """
    standby_of: dict[str, str] = {}
    status_of: dict[str, object] = {}
    for entry in task_entries:
        task_id, standby = str(entry.get("id")).strip(), entry.get("standbyTask")
        status_of[task_id] = entry.get("status")
        if isinstance(standby, dict):
            standby_of[task_id] = str(standby.get("id")).strip()
            status_of.setdefault(standby_of[task_id], standby.get("status"))
    completed = {task_id for task_id, status in status_of.items() if status == "complete"}
    return _rescued(standby_of, completed) | _needless(standby_of, completed)


def _rescued(standby_of: Mapping[str, str], completed: Container[str]) -> set[str]:
    """Return the tasks with a completed standby in their chain; each link is followed once."""
    rescued: set[str] = set()
    known: dict[str, bool] = {}
    for task_id in standby_of:
        chain: list[str] = []
        current: str | None = task_id
        while current is not None and current not in known and current not in completed:
            known[current] = False  # also ends a cycle
            chain.append(current)
            current = standby_of.get(current)
        if current is not None and (current in completed or known[current]):
            known.update(dict.fromkeys(chain, True))
            rescued.update(chain)
    return rescued


def _needless(standby_of: Mapping[str, str], completed: Container[str]) -> set[str]:
    """Return the standbys of tasks that completed; each link is followed once."""
    needless: set[str] = set()
    for task_id in standby_of:
        if task_id in completed:
            current = standby_of.get(task_id)
            while current is not None and current not in needless:
                needless.add(current)
                current = standby_of.get(current)
    return needless
