"""Datasaur's checks for the short way: `getJobs` by ids, and `getJob`."""

from math import inf
from typing import Any

from graphql_jobs.emulator.datasaur.model import Job
from graphql_jobs.emulator.datasaur.world import DatasaurWorld
from graphql_jobs.emulator.lifecycle import iso_text
from graphql_jobs.emulator.shortcut import Kind, Moment, Shape, item

_ERROR = Kind({name: item(name) for name in ("id", "stack", "args")}, {})


def _result_id(job: Job, moment: Moment) -> str | None:
    return job.result_id if job.status(moment.now_at) == "DELIVERED" else None


def _errors(job: Job, moment: Moment) -> list[dict[str, Any]]:
    return job.errors(moment.now_at)


_JOB = Kind(
    {
        "id": lambda job, _moment: job.id,
        "status": lambda job, moment: job.told_status(moment.now_at),
        "progress": lambda _job, moment: moment.world.behaviour.progress,
        "resultId": _result_id,
        "createdAt": lambda job, _moment: iso_text(job.course.created_at),
        "updatedAt": lambda job, moment: iso_text(job.course.last_change_at(moment.now_at)),
    },
    {"errors": (_errors, _ERROR)},
)


def changes_at(job: Job, now_at: float) -> float:
    """The next turning point of the job's course."""
    return min((point for point in job.course.turning_points() if point > now_at), default=inf)


def datasaur_shape(world: DatasaurWorld) -> Shape:
    """The checks that are known; lists only where they come in the order that was asked, with null for the unknown."""
    behaviour = world.behaviour
    is_plain = behaviour.missing_jobs == "null" and not behaviour.reverse_get_jobs
    many = ("getJobs", "jobIds") if is_plain else None
    return Shape(_JOB, ("getJob", "jobId"), many, DatasaurWorld.find_job, changes_at, ', "extensions": {}')
