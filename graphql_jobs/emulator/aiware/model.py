"""The model of aiWARE: data objects, assets, jobs and tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql_jobs.emulator.lifecycle import Course, Phase


@dataclass(eq=False)
class Asset:
    """A file that belongs to a data object."""

    id: str
    container_id: str
    created_at: float
    asset_type: str
    content_type: str | None = None
    name: str | None = None
    description: str | None = None
    uri: str | None = None
    details: Any = None
    jsondata: Any = None
    source_task_id: str | None = None
    source_engine_id: str | None = None


@dataclass(eq=False)
class Tdo:
    """A temporal data object, on which jobs run."""

    id: str
    created_at: float
    start_at: float
    stop_at: float
    name: str | None = None
    description: str | None = None
    status: str | None = None
    details: Any = None
    is_public: bool = False
    assets: list[Asset] = field(default_factory=list)


@dataclass(eq=False)
class Task:
    """One step of a job."""

    id: str
    job: "Job"
    order: int
    engine_id: str
    # This task's part of the job's work, from 0 to 1.
    begin: float = 0.0
    end: float = 1.0
    payload: Any = None
    output: Any = None
    # Its planned end, and the reason.
    ending: str = "complete"
    failure_reason: str | None = None
    failure_message: str | None = None
    # A status that does not follow the clock: planted, or written by updateTask.
    fixed_status: str | None = None
    standby_task: "Task | None" = None
    standby_for_task: "Task | None" = None
    io_folders: Sequence[Mapping[str, Any]] = ()
    execution_preferences: Mapping[str, Any] | None = None
    build_id: str | None = None
    is_clone: bool | None = None
    test_task: bool | None = None


@dataclass(eq=False)
class Job:
    """Tasks that run on one target."""

    id: str
    course: Course
    created_at: float
    # In the order of lists: shuffled once, then stable.
    tasks: list[Task] = field(default_factory=list)
    name: str | None = None
    target_id: str | None = None
    cluster_id: str | None = None
    config: Any = None
    routes: Sequence[Mapping[str, Any]] = ()
    fixed_status: str | None = None
    cancelled_at: float | None = None
    # Of `cancelled_word`: the status of its unfinished tasks.
    cancelled_word: str = "aborted"


@dataclass(frozen=True)
class ExportRequest:
    """An export of the results of data objects."""

    id: str
    course: Course
    tdo_ids: tuple[str, ...]

    def status(self, now_at: float) -> str:
        """Return the status by the clock and the job's fault (`failed` is invented)."""
        if self.course.phase(now_at) is not Phase.ENDED:
            return "incomplete"
        has_failed = self.course.fault is not None and self.course.fault.kind in ("job_fails", "task_aborted")
        return "failed" if has_failed else "complete"


@dataclass(frozen=True)
class PlantedTask:
    """A task for `AiwareWorld.plant`, with a constant status."""

    status: str = "complete"
    id: str | None = None
    engine_id: str = "54525249-da68-4dbf-b6fe-aea9a1aefd4d"
    failure_reason: str | None = None
    failure_message: str | None = None
    # The standby of this task; it is listed right after it.
    standby: "PlantedTask | None" = None
