"""The state of the emulated aiWARE and its changes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from graphql_jobs.emulator.aiware import status
from graphql_jobs.emulator.aiware.errors import AiwareError
from graphql_jobs.emulator.aiware.model import Asset, ExportRequest, Job, PlantedTask, Task, Tdo
from graphql_jobs.emulator.behaviour import Behaviour, Pace
from graphql_jobs.emulator.clock import Clock
from graphql_jobs.emulator.faults import FaultPlan, JobFault
from graphql_jobs.emulator.ids import IdFactory, seeded
from graphql_jobs.emulator.ledger import Cancel, Ledger, Submission, without_secrets
from graphql_jobs.emulator.lifecycle import Course

if TYPE_CHECKING:
    from graphql import GraphQLResolveInfo

    from graphql_jobs.emulator.aiware.media import Medium
    from graphql_jobs.emulator.call import Call

# Our choice, for planted jobs that follow the clock: an engine with a result.
_DEFAULT_ENGINE_ID = "54525249-da68-4dbf-b6fe-aea9a1aefd4d"


class AiwareWorld:
    """Jobs, data objects and subscriptions of one organisation."""

    def __init__(
        self,
        clock: Clock,
        ids: IdFactory,
        faults: FaultPlan,
        ledger: Ledger,
        *,
        pace: Pace,
        behaviour: Behaviour,
        seed: int,
    ) -> None:
        self.clock = clock
        self.ids = ids
        self.behaviour = behaviour
        self.pace = pace
        self.jobs: dict[str, Job] = {}
        self.tasks: dict[str, Task] = {}
        self.tdos: dict[str, Tdo] = {}
        self.exports: dict[str, ExportRequest] = {}
        self.media: dict[str, Medium] = {}
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self._faults = faults
        self._ledger = ledger
        self._seed = seed

    def plant(
        self,
        job_id: str | None = None,
        *,
        status: str | None = None,
        tasks: Sequence[PlantedTask] | None = None,
        target_id: str | None = None,
        config: Any = None,
        fault: JobFault | None = None,
    ) -> Job:
        """Add a job to the world without a request.

        `tasks` have constant statuses, and so does the job if `status` is given (else it follows
        from them). Without `tasks` it is a job of one task that was submitted this instant and follows the clock.
        """
        now_at = self.clock.now()
        job = Job(job_id or self.ids.aiware_job(now_at), Course(now_at, self.pace, fault), now_at)
        job.target_id, job.config, job.fixed_status = target_id, config, status
        if tasks is None:
            job.tasks.append(Task(self.ids.aiware_task(job.id), job, 0, _DEFAULT_ENGINE_ID))
        for planted in tasks or ():
            self._plant_task(job, planted)
        self._apply_fate(job)
        self._keep(job)
        return job

    def start_rules(self, operation: str, tdo: Tdo) -> None:
        """Start the jobs of the organisation's rules in a new data object. They have no label."""
        for rule in self._faults.rules(operation):
            at = self.clock.now() + rule.delay_s
            # Hidden until it starts.
            hidden = JobFault("not_visible") if rule.delay_s else None
            job = Job(self.ids.aiware_job(at), Course(at, self.pace, hidden), at)
            job.target_id = tdo.id
            job.tasks.append(Task(self.ids.aiware_task(job.id), job, 0, rule.word or _DEFAULT_ENGINE_ID))
            self._keep(job)

    def _plant_task(self, job: Job, planted: PlantedTask) -> Task:
        task = Task(planted.id or self.ids.aiware_task(job.id), job, len(job.tasks), planted.engine_id)
        task.fixed_status = planted.status
        task.failure_reason, task.failure_message = planted.failure_reason, planted.failure_message
        job.tasks.append(task)
        if planted.standby is not None:
            task.standby_task = self._plant_task(job, planted.standby)
            task.standby_task.standby_for_task = task
        return task

    def submit(self, operation: str, job: Job, spec: Any) -> Job:
        """Add a caller's job, decide its fault and record it."""
        key = self.caller_key(job.config, job.target_id)
        job.course = Course(job.created_at, self.pace, self._faults.for_job("aiware", operation, key))
        self._apply_fate(job)
        # Lists of tasks are unordered (docs/providers/aiware.md). The id is the seed, so the order is stable.
        seeded(f"{self._seed}:{job.id}").shuffle(job.tasks)
        self._keep(job)
        self.record(operation, job.id, key, job.target_id, spec)
        return job

    def submit_export(self, tdo_ids: tuple[str, ...], spec: Any) -> ExportRequest:
        """Add a caller's export request, decide its fault and record it. It has no key of the caller."""
        fault = self._faults.for_job("aiware", "createExportRequest", None)
        export = ExportRequest(self.ids.uuid(), Course(self.clock.now(), self.pace, fault), tdo_ids)
        self.exports[export.id] = export
        self.record("createExportRequest", export.id, None, tdo_ids[0], spec)
        return export

    def retry(self, job: Job) -> Job:
        """Run all tasks again under the same ids, without their failures."""
        now_at = self.clock.now()
        fault = self._faults.for_job("aiware", "retryJob", self.caller_key(job.config, job.target_id))
        job.course = Course(now_at, self.pace, fault)
        job.fixed_status = job.cancelled_at = None
        for task in job.tasks:
            task.fixed_status = task.failure_reason = task.failure_message = None
            task.ending = "complete"
        self._apply_fate(job)
        return job

    def cancel(self, job: Job) -> bool:
        """Stop a job that has not started to run. Return whether it was stopped."""
        now_at = self.clock.now()
        accepted = status.can_cancel(job, now_at)
        if accepted:
            job.cancelled_at, job.cancelled_word = now_at, self.behaviour.cancelled_word
        self._ledger.cancels.append(Cancel(now_at, "aiware", job.id, accepted))
        return accepted

    def add_tdo(self, values: dict[str, Any]) -> Tdo:
        """Create a data object from the fields of CreateTDO."""
        now_at = self.clock.now()
        start_at = values.get("startDateTime") or now_at
        tdo = Tdo(
            self.ids.aiware_tdo(), now_at, start_at, values.get("stopDateTime") or start_at, name=values.get("name")
        )
        tdo.description, tdo.status = values.get("description"), values.get("status")
        tdo.details, tdo.is_public = values.get("details"), bool(values.get("isPublic"))
        self.tdos[tdo.id] = tdo
        return tdo

    def add_asset(self, tdo: Tdo, values: dict[str, Any]) -> Asset:
        """Create an asset from the fields of CreateAsset. Raises invalid_input without uri or file."""
        if not values.get("uri") and not values.get("file"):
            # Documented text.
            raise AiwareError("invalid_input", "One of uri or file (upload) must be provided to create an asset.")
        asset_id = self.ids.aiware_asset(tdo.id)
        asset_type = values.get("assetType") or values.get("type") or "media"
        asset = Asset(asset_id, tdo.id, self.clock.now(), asset_type, values.get("contentType"))
        asset.name, asset.description = values.get("name"), values.get("description")
        # Invented: uploaded contents are not kept, so their address does not work.
        asset.uri = values.get("uri") or f"https://assets.example.invalid/{asset_id}"
        asset.details, asset.jsondata = values.get("details"), values.get("details")
        tdo.assets.append(asset)
        return asset

    def record(self, operation: str, job_id: str | None, key: str | None, target_id: str | None, spec: Any) -> None:
        """Record the creation of an object in the ledger."""
        submission = Submission(
            self.clock.now(), "aiware", operation, job_id, key, target_id, without_secrets(spec or {})
        )
        self._ledger.submissions.append(submission)

    def count_token(self) -> None:
        """Count a session token."""
        self._ledger.tokens_issued += 1

    def caller_key(self, config: Any, target_id: str | None) -> str | None:
        """Return jobConfig's key, else the data object's, else the data object's name."""
        tdo = self.tdos.get(target_id or "")
        return _key_in(config) or (tdo and (_key_in(tdo.details) or tdo.name)) or None

    def visible_job(self, job_id: str) -> Job:
        """Return the job. Raises not_found if there is none or its fault hides it."""
        job = self.jobs.get(job_id)
        if job is None or not job.course.is_visible(self.clock.now()):
            raise AiwareError("not_found", objectId=job_id, objectType="Job")
        return job

    def visible_task(self, task_id: str) -> Task:
        """Return the task. Raises not_found if there is none or its job is hidden."""
        task = self.tasks.get(task_id)
        if task is None or not task.job.course.is_visible(self.clock.now()):
            raise AiwareError("not_found", objectId=task_id, objectType="Task")
        return task

    def existing_tdo(self, tdo_id: str) -> Tdo:
        """Return the data object. Raises not_found."""
        if tdo_id not in self.tdos:
            raise AiwareError("not_found", objectId=tdo_id, objectType="TemporalDataObject")
        return self.tdos[tdo_id]

    def _keep(self, job: Job) -> None:
        self.jobs[job.id] = job
        self.tasks.update((task.id, task) for task in job.tasks)

    def _apply_fate(self, job: Job) -> None:
        """Apply the fault of the job's course to one of its tasks."""
        fault = job.course.fault
        if fault is None or fault.kind not in _ENDINGS or not job.tasks:
            return
        primaries = sorted((task for task in job.tasks if task.standby_for_task is None), key=lambda task: task.order)
        task = primaries[max(-len(primaries), min(fault.task_order, len(primaries) - 1))]
        task.ending = _ENDINGS[fault.kind]
        if task.ending == "failed":
            task.failure_reason, task.failure_message = fault.failure_reason, fault.failure_message
        if fault.kind == "failed_task_with_standby" and task.standby_task is None:
            self.add_standby(task, Task(self.ids.aiware_task(job.id), job, len(job.tasks), task.engine_id))

    def add_standby(self, task: Task, standby: Task) -> None:
        """Let `standby` take over the second half of the task's time if the task fails."""
        middle = (task.begin + task.end) / 2
        standby.begin, standby.end, task.end = middle, task.end, middle
        task.standby_task, standby.standby_for_task = standby, task
        task.job.tasks.append(standby)
        self.tasks[standby.id] = standby


_ENDINGS = {
    "job_fails": "failed",
    "failed_task_in_complete": "failed",
    "failed_task_with_standby": "failed",
    "task_aborted": "aborted",
}


def _key_in(value: Any) -> str | None:
    """Return the key at `graphql_jobs.key` of free JSON."""
    ours = value.get("graphql_jobs") if isinstance(value, dict) else None
    key = ours.get("key") if isinstance(ours, dict) else None
    return str(key) if key else None


# What resolvers get. Quoted: graphql-core's class takes a parameter for type checkers only since 3.3.
Info: TypeAlias = "GraphQLResolveInfo[Call[AiwareWorld]]"
