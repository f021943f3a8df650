"""The model of Datasaur: jobs, projects and exported files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql_jobs.emulator.lifecycle import Course, Phase

# Enum JobStatus: datasaur.graphql [I23].
KNOWN_WORDS = frozenset({"QUEUED", "IN_PROGRESS", "DELIVERED", "FAILED", "NONE"})

_WORDS = {Phase.PENDING: "QUEUED", Phase.QUEUED: "QUEUED", Phase.RUNNING: "IN_PROGRESS", Phase.ENDED: "DELIVERED"}
_FAILING = frozenset({"job_fails", "task_aborted"})


@dataclass(eq=False)
class Job:
    """One unit of background work."""

    id: str
    operation: str
    course: Course
    # The id of the object that the job creates.
    result_id: str | None = None
    document_ids: list[str] | None = None
    automation_activity_id: str | None = None
    # Planted jobs: a status and errors that do not follow the clock.
    fixed_status: str | None = None
    fixed_errors: list[dict[str, Any]] = field(default_factory=list)

    def status(self, now_at: float) -> str:
        """Return the status by the clock and the job's fault, in Datasaur's words."""
        if self.fixed_status is not None:
            return self.fixed_status
        phase, fault = self.course.phase(now_at), self.course.fault
        if phase is Phase.ENDED and fault is not None and fault.kind in _FAILING:
            return "FAILED"
        return _WORDS[phase]

    def told_status(self, now_at: float) -> str:
        """Return the status that callers see."""
        return self.course.spoken(self.status(now_at), "IN_PROGRESS")

    def errors(self, now_at: float) -> list[dict[str, Any]]:
        """Return why it failed. The shape is attested, the content invented."""
        fault = self.course.fault
        if self.fixed_status is not None or fault is None or self.status(now_at) != "FAILED":
            return self.fixed_errors
        stack = f"Error: {fault.failure_message}\n    at emulator"
        return [{"id": fault.failure_reason, "stack": stack, "args": {"message": fault.failure_message}}]


@dataclass(eq=False)
class Project:
    """A project. It exists for callers once the job that creates it is delivered."""

    id: str
    name: str
    created_at: float
    team_id: str | None = None
    tags: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    # Items of DocumentAssignmentInput.
    assignments: tuple[Mapping[str, Any], ...] = ()
    # Invented: a project of the emulator is never worked on, so it keeps this status.
    status: str = "CREATED"
    job: Job | None = None
    # The instant of a planted project's last change, which completed it if its status says so.
    updated_at: float | None = None

    def exists(self, now_at: float) -> bool:
        """Whether callers can see it."""
        return self.job is None or self.job.status(now_at) == "DELIVERED"


@dataclass(frozen=True)
class ExportedFile:
    """A file behind a signed address."""

    id: str
    job: Job
    file_name: str
    # The folder of each exported project.
    folders: tuple[str, ...]
    signature: str
    expires_at: float
