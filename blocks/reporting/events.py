"""Prefect events about jobs, for automations: one for each change that matters.

An event is a hint: it is sent in the background, and one that cannot be sent is lost. No job depends on it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Literal, TypedDict, get_args
from uuid import NAMESPACE_URL, UUID, uuid5

from prefect.context import TaskRunContext
from prefect.events import emit_event

from graphql_jobs import Job, JobHandle, JobState, errors
from graphql_jobs.titles import title_of

logger = logging.getLogger(__name__)

#: The prefix of the events' names.
PREFIX = "graphql-jobs.job."
#: The changes: the last parts of the events' names.
Change = Literal[
    "submitted",
    "running",
    "succeeded",
    "failed",
    "cancelled",
    "lost",
    "timed-out",
    "left-running",
    "submission-unknown",
]
CHANGES: tuple[Change, ...] = get_args(Change)

_OF_STATES: Mapping[JobState, Change] = {
    JobState.RUNNING: "running",
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}
#: A job as a poll showed it, or the reason why its wait ended.
Seen = Job | errors.GraphqlJobsError
#: Our choice: the number of characters of a reason.
_MAX_REASON = 500


class JobEvent(TypedDict):
    """The payload. Each event has all fields, since an automation whose template names a missing one fails."""

    provider: str
    #: Empty if it is not known whether there is a job.
    job_id: str
    endpoint: str
    #: The provider's operation that submitted the job, such as createJob; empty for a job of others.
    operation: str
    #: The job's state, and the provider's word; empty if no poll has shown it.
    state: str
    raw_status: str
    tasks: int
    tasks_ended: int
    #: Why the job failed, or why the wait stopped.
    reason: str
    flow_run_id: str


def change_of(ended: Seen) -> Change | None:
    """Return the change that a poll, or the end of a wait, shows. None if it does not matter."""
    if isinstance(ended, Job):
        return _OF_STATES.get(ended.state)
    if isinstance(ended, errors.JobNotFound):
        return "lost"
    if isinstance(ended, errors.WaitTimedOut):
        return "timed-out"
    return "left-running" if isinstance(ended, errors.WaitStopped) else None


def tell(change: Change, handle: JobHandle, run_id: UUID | None, seen: Seen | None = None, why: str = "") -> None:
    """Emit the event of a job. Its id is the same each time, so Prefect keeps it once."""
    job = seen if isinstance(seen, Job) else None
    failures = "; ".join(map(str, job.failures[:3])) if job else str(seen or "")
    payload = JobEvent(
        provider=handle.provider,
        job_id=handle.job_id,
        endpoint=handle.endpoint,
        operation=handle.operation or "",
        state=str(job.state) if job else "",
        raw_status=job.raw_status if job else "",
        tasks=len(job.tasks) if job else 0,
        tasks_ended=sum(task.state.is_terminal for task in job.tasks) if job else 0,
        reason=(why or failures)[:_MAX_REASON],
        flow_run_id=str(run_id or ""),
    )
    _emit(change, payload, handle.job_id, handle.name)


def tell_unknown(unknown: errors.SubmissionUnknown, endpoint: str, run_id: UUID | None) -> None:
    """Emit the event of a submission that may or may not have started a job."""
    payload = JobEvent(
        provider=unknown.provider,
        job_id="",
        endpoint=endpoint,
        operation=unknown.operation,
        state="",
        raw_status="",
        tasks=0,
        tasks_ended=0,
        reason=str(unknown)[:_MAX_REASON],
        flow_run_id=str(run_id or ""),
    )
    what = f"{unknown.operation} {unknown.subject} {unknown.sent_at}"
    name = f"unknown-{uuid5(NAMESPACE_URL, what)}"
    _emit("submission-unknown", payload, name, f"{title_of(unknown.provider)} {unknown.operation} of {unknown.sent_at}")


def _emit(change: Change, payload: JobEvent, name: str, title: str) -> None:
    """Emit the event of the job, or submission, with this name. A script, outside any run, emits none."""
    run_id, provider = payload["flow_run_id"], payload["provider"]
    if not run_id and TaskRunContext.get() is None:
        return
    resource = {"prefect.resource.id": f"{PREFIX}{provider}.{name}", "prefect.resource.name": title}
    related = [{"prefect.resource.id": f"prefect.flow-run.{run_id}", "prefect.resource.role": "flow-run"}]
    event_id = uuid5(NAMESPACE_URL, "\n".join([provider, payload["endpoint"], name, change]))
    try:
        emit_event(f"{PREFIX}{change}", resource, related=related if run_id else [], payload={**payload}, id=event_id)
    except Exception:  # any error of Prefect's events: the job goes on without it
        logger.warning("The event %s%s of %s could not be sent.", PREFIX, change, title, exc_info=True)
