"""The state of the emulated Datasaur and its changes."""

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from graphql_jobs.emulator.behaviour import Behaviour, Pace
from graphql_jobs.emulator.clock import Clock
from graphql_jobs.emulator.datasaur.errors import DatasaurError
from graphql_jobs.emulator.datasaur.model import ExportedFile, Job, Project
from graphql_jobs.emulator.faults import FaultPlan, JobFault
from graphql_jobs.emulator.ids import IdFactory
from graphql_jobs.emulator.ledger import Ledger, Submission, without_secrets
from graphql_jobs.emulator.lifecycle import Course

if TYPE_CHECKING:
    from graphql import GraphQLResolveInfo

    from graphql_jobs.emulator.call import Call

_ATTESTED_QUEUES = {
    "autoLabelTokenBasedProject": "AutoLabelQueue",
    "replicateCabinet": "CabinetReplicationJobQueue",
}
# Invented names: no source has these queues (docs/providers/datasaur.md).
_INVENTED_QUEUES = {
    "createProject": "ProjectLaunchQueue",
    "launchTextProjectAsync": "ProjectLaunchQueue",
    "addDocumentsToProject": "AddDocumentsQueue",
    "calculateAgreementTables": "AgreementTableQueue",
    "collectDataset": "DatasetCollectionQueue",
    "runAutomation": "AutomationQueue",
    "getDataProgrammingPredictions": "DataProgrammingQueue",
}
_QUEUES = {**_INVENTED_QUEUES, **_ATTESTED_QUEUES}


class DatasaurWorld:
    """Jobs, projects and files of one user."""

    def __init__(
        self, clock: Clock, ids: IdFactory, faults: FaultPlan, ledger: Ledger, *, pace: Pace, behaviour: Behaviour
    ) -> None:
        self.clock = clock
        self.ids = ids
        self.pace = pace
        self.behaviour = behaviour
        self.jobs: dict[str, Job] = {}
        self.projects: dict[str, Project] = {}
        self.files: dict[str, ExportedFile] = {}
        # Tags that were created alone, with their teams. Invented ids: a tag's id is its name.
        self.tags: dict[str, str | None] = {}
        self._faults = faults
        self._ledger = ledger

    def plant(
        self,
        job_id: str | None = None,
        *,
        status: str | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
        result_id: str | None = None,
        operation: str = "autoLabelTokenBasedProject",
        fault: JobFault | None = None,
    ) -> Job:
        """Add a job to the world without a request. Without `status` it follows the clock from now on."""
        job = Job(job_id or self._job_id(operation), operation, Course(self.clock.now(), self.pace, fault), result_id)
        job.fixed_status, job.fixed_errors = status, [dict(error) for error in errors]
        self.jobs[job.id] = job
        return job

    def plant_project(
        self,
        project_id: str | None = None,
        *,
        name: str = "Planted project",
        team_id: str | None = None,
        tags: Sequence[str] = (),
        status: str = "CREATED",
        updated_at: float | None = None,
    ) -> Project:
        """Add a project to the world without a request."""
        project = Project(project_id or self.ids.datasaur_project(), name, self.clock.now(), team_id, tuple(tags))
        project.kinds, project.status, project.updated_at = ("TOKEN_BASED",), status, updated_at
        self.projects[project.id] = project
        return project

    def submit(self, operation: str, *, key: str | None, target_id: str | None, spec: Any) -> Job:
        """Start a caller's job, decide its fault and record it."""
        now_at = self.clock.now()
        fault = self._faults.for_job("datasaur", operation, key)
        job = Job(self._job_id(operation), operation, Course(now_at, self.pace, fault))
        self.jobs[job.id] = job
        self.record(operation, job.id, key, target_id, spec)
        return job

    def record(self, operation: str, job_id: str | None, key: str | None, target_id: str | None, spec: Any) -> None:
        """Record the creation of an object in the ledger."""
        self._ledger.submissions.append(
            Submission(self.clock.now(), "datasaur", operation, job_id, key, target_id, without_secrets(spec))
        )

    def add_project(self, job: Job, values: Mapping[str, Any]) -> Project:
        """Add the project that `job` creates."""
        project = Project(self.ids.datasaur_project(), values["name"], self.clock.now(), values.get("teamId"))
        project.tags, project.kinds = tuple(values.get("tagNames") or ()), _kinds(values)
        project.assignments = tuple(values.get("documentAssignments") or ())
        project.job, job.result_id = job, project.id
        self.projects[project.id] = project
        return project

    def add_file(self, job: Job, file_name: str, project_ids: Sequence[str]) -> ExportedFile:
        """Add the file that the export `job` writes. Its address is valid immediately, for a limited time."""
        expires_at = self.clock.now() + self.behaviour.file_lifetime_s
        folders = tuple(_folder(self.existing_project(project_id)) for project_id in dict.fromkeys(project_ids))
        file = ExportedFile(self.ids.uuid(), job, file_name, folders, secrets.token_urlsafe(32), expires_at)
        self.files[file.id] = file
        return file

    def find_job(self, job_id: str) -> Job | None:
        """Return the job, or None if there is none or its fault hides it."""
        job = self.jobs.get(job_id)
        return job if job is not None and job.course.is_visible(self.clock.now()) else None

    def existing_project(self, project_id: str) -> Project:
        """Return the project. Raises DatasaurError (invented text)."""
        project = self.projects.get(project_id)
        if project is None or not project.exists(self.clock.now()):
            raise DatasaurError(f"Project {project_id} not found")
        return project

    def count_token(self) -> None:
        """Count an access token."""
        self._ledger.tokens_issued += 1

    def _job_id(self, operation: str) -> str:
        """Return `<QueueName>:<uuid>`; the cabinet queue has 64 hex digits in the only sample."""
        queue = _QUEUES.get(operation, "ExportQueue")
        return f"{queue}:{self.ids.hex(64) if operation == 'replicateCabinet' else self.ids.uuid()}"


def _kinds(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the kinds of a new project; launchTextProjectAsync may only have `documentSettings.kind`."""
    settings = values.get("documentSettings")
    kind = settings.get("kind") if isinstance(settings, dict) else None
    return tuple(values.get("kinds") or ([kind] if kind else ()))


def _folder(project: Project) -> str:
    """Return the top folder of a project in an archive: its name and id. Invented: other characters become `-`."""
    return re.sub(r"[^\w.-]+", "-", f"{project.name}-{project.id}")


# What resolvers get. Quoted: graphql-core's class takes a parameter for type checkers only since 3.3.
Info: TypeAlias = "GraphQLResolveInfo[Call[DatasaurWorld]]"
