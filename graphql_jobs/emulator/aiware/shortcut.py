"""aiWARE's checks for the short way: `job` by its id, under any number of aliases."""

from math import inf
from typing import Any

from graphql_jobs.emulator.aiware import status
from graphql_jobs.emulator.aiware.errors import AiwareError
from graphql_jobs.emulator.aiware.model import Job, Task
from graphql_jobs.emulator.aiware.paging import page
from graphql_jobs.emulator.aiware.world import AiwareWorld
from graphql_jobs.emulator.lifecycle import iso_text
from graphql_jobs.emulator.shortcut import Declined, Kind, Moment, Shape, item


def _date(at: float) -> str:
    return iso_text(at, whole_seconds=True)


def _started(task: Task, moment: Moment) -> str | None:
    end_at = moment.now_at if task.job.cancelled_at is None else task.job.cancelled_at
    at = status.started_at(task)
    return _date(at) if task.fixed_status is None and at <= end_at else None


def _when_failed(attribute: str) -> Any:
    return lambda task, moment: (
        getattr(task, attribute) if status.task_status(task, moment.now_at) == "failed" else None
    )


def _tasks(job: Job, moment: Moment) -> dict[str, Any]:
    try:
        return page(job.tasks, moment.offset, moment.limit, moment.world.behaviour.page_limit)
    except AiwareError as error:
        raise Declined from error


_STANDBY = Kind(
    {
        "id": lambda task, _moment: task.id,
        "status": lambda task, moment: status.task_status(task, moment.now_at),
    },
    {},
)
_TASK = Kind(
    {
        **_STANDBY.plain,
        "engineId": lambda task, _moment: task.engine_id,
        "startedDateTime": _started,
        "failureReason": _when_failed("failure_reason"),
        "failureMessage": _when_failed("failure_message"),
    },
    {"standbyTask": (lambda task, _moment: task.standby_task, _STANDBY)},
)
_TASKS = Kind(
    {name: item(name) for name in ("offset", "limit", "count")},
    {"records": (item("records"), _TASK)},
)
_JOB = Kind(
    {
        "id": lambda job, _moment: job.id,
        "status": lambda job, moment: status.told_status(job, moment.now_at),
        "targetId": lambda job, _moment: job.target_id,
        "createdDateTime": lambda job, _moment: _date(job.created_at),
        "modifiedDateTime": lambda job, moment: _date(status.modified_at(job, moment.now_at)),
    },
    {"tasks": (_tasks, _TASKS)},
)


def _find(world: AiwareWorld, job_id: str) -> Job | None:
    job = world.jobs.get(job_id)
    return job if job is not None and job.course.is_visible(world.clock.now()) else None


def changes_at(job: Job, now_at: float) -> float:
    """The next turning point of the job or of one of its tasks."""
    points = job.course.turning_points()
    for task in job.tasks:
        points += (status.queued_at(task), status.started_at(task), status.ended_at(task))
    return min((point for point in points if point > now_at), default=inf)


#: A job that is not there has an error entry of its own: the long way.
AIWARE_SHAPE = Shape(_JOB, ("job", "id"), None, _find, changes_at)
