"""Statuses of tasks and jobs: pure functions of the model and the instant."""

import math
from collections.abc import Iterable

from graphql_jobs.emulator.aiware.model import Job, Task

ACTIVE = frozenset({"running", "waiting", "resuming"})
WAITING_TO_START = frozenset({"pending", "accepted", "queued", "standby_pending"})
ENDED = frozenset({"complete", "failed", "aborted", "cancelled"})
# Enum TaskStatus: aiware.graphql [S19]. Job.status has this type too.
KNOWN_WORDS = ACTIVE | WAITING_TO_START | ENDED | {"paused"}


def queued_at(task: Task) -> float:
    """Return when the task leaves pending: with the job if it is the first, else when the previous one starts."""
    if task.begin <= 0:
        return task.job.course.queued_at
    return task.job.course.moment(max(0.0, task.begin - (task.end - task.begin)))


def started_at(task: Task) -> float:
    """Return when the task starts; never for a standby task that is not needed."""
    if task.standby_for_task is not None and task.standby_for_task.ending == "complete":
        return math.inf
    return task.job.course.moment(task.begin)


def ended_at(task: Task) -> float:
    """Return when the task is done."""
    return task.job.course.moment(task.end) if math.isfinite(started_at(task)) else math.inf


def task_status(task: Task, now_at: float) -> str:
    """Return the status of one task."""
    if task.fixed_status is not None:
        return task.fixed_status
    cancelled_at = task.job.cancelled_at
    seen_at = now_at if cancelled_at is None else min(now_at, cancelled_at)
    status = _on_course(task, seen_at)
    return status if cancelled_at is None or status in ENDED else task.job.cancelled_word


def _on_course(task: Task, now_at: float) -> str:
    if now_at >= ended_at(task):
        return task.ending
    if now_at >= started_at(task):
        return "running"
    if task.standby_for_task is not None:
        return "standby_pending"
    return "queued" if now_at >= queued_at(task) else "pending"


def computed_status(job: Job, now_at: float) -> str:
    """Return the job's status by its tasks and its fault, before the fault plan replaces it."""
    if job.fixed_status is not None:
        return job.fixed_status
    if job.cancelled_at is not None and now_at >= job.cancelled_at:
        return job.cancelled_word
    status = combine(counted_statuses(job.tasks, now_at))
    fault = job.course.fault
    if status == "failed" and fault is not None and fault.kind == "failed_task_in_complete":
        return "complete"
    return "queued" if status == "running" and job.course.wavers(now_at) else status


def told_status(job: Job, now_at: float) -> str:
    """Return the status that callers see."""
    return job.course.spoken(computed_status(job, now_at), "running")


def counted_statuses(tasks: Iterable[Task], now_at: float) -> list[str]:
    """Return the statuses that count for the job: not unstarted standby tasks, nor failures that a standby replaced."""
    counted = []
    for task in tasks:
        status = task_status(task, now_at)
        is_replaced = task.standby_task is not None and task_status(task.standby_task, now_at) != "standby_pending"
        if status != "standby_pending" and not (status in ("failed", "aborted") and is_replaced):
            counted.append(status)
    return counted


def combine(statuses: list[str]) -> str:
    """Return the job status for task statuses. Inferred: Veritone publishes no formula (docs/providers/aiware.md)."""
    present = set(statuses)
    if present & ACTIVE:
        return "running"
    if not present <= ENDED:
        if present & ENDED:
            return "running"
        return "pending" if present == {"pending"} else "queued"
    if present & {"failed", "aborted"}:
        return "failed"
    return "cancelled" if "cancelled" in present else "complete"


def can_cancel(job: Job, now_at: float) -> bool:
    """Whether the job and all its tasks are pending or queued, or the job runs and no task does (KB 4164)."""
    if computed_status(job, now_at) not in ("pending", "queued", "running"):
        return False
    return all(task_status(task, now_at) in WAITING_TO_START for task in job.tasks)


def modified_at(job: Job, now_at: float) -> float:
    """Return the latest change that is not in the future."""
    points = [job.course.created_at, job.cancelled_at or 0.0]
    if job.cancelled_at is None and job.fixed_status is None:
        for task in job.tasks:
            points += (point for point in (queued_at(task), started_at(task), ended_at(task)) if point <= now_at)
    return max(points)
