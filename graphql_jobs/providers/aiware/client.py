"""aiWARE's adapter: I/O between the documents and the readers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Self

from graphql_jobs.clock import instant
from graphql_jobs.numbers import exact_numbers
from graphql_jobs.parsing import MAX_ANSWER_ID_CHARACTERS, Entry, text_or_none
from graphql_jobs.providers.aiware import documents, reader
from graphql_jobs.providers.aiware.checking import check_batch
from graphql_jobs.providers.aiware.identity import identify
from graphql_jobs.providers.aiware.job_lists import candidates, jobs_on_target
from graphql_jobs.providers.aiware.specs import AiwareJobSpec, EngineJobSpec
from graphql_jobs.providers.base import JobClient
from graphql_jobs.providers.collecting import collected
from graphql_jobs.providers.recovery import Evidence, Location, Recovery
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.network import Network
from graphql_jobs.transport.retry import OutageBudget

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from graphql_jobs import errors
    from graphql_jobs.handle import JobHandle, Seen
    from graphql_jobs.job import Job
    from graphql_jobs.label import Label
    from graphql_jobs.providers.batching import Deferred
    from graphql_jobs.providers.identity import Identity
    from graphql_jobs.spec import JobSpec
    from graphql_jobs.transport.auth import Auth
    from graphql_jobs.transport.diagnosis import Dialect
    from graphql_jobs.transport.operation import Operation
    from graphql_jobs.transport.session import Before, Session

#: Our choice: how long before the intent a search on a shared target starts, since clocks differ.
_CLOCK_SKEW_S = 600.0


class AiwareClient(JobClient):
    """aiWARE through one session. `lenient` accepts a job as complete although a task failed (guarantee 4)."""

    provider: ClassVar[str] = reader.PROVIDER
    title: ClassVar[str] = "aiWARE"
    path: ClassVar[str] = "/v3/graphql"  # the same everywhere (docs/providers/aiware.md)
    dialect: ClassVar[Dialect] = reader.DIALECT
    can_cancel: ClassVar[bool] = True
    #: Every job can be found by its target.
    recoveries: ClassVar[Mapping[str, Recovery]] = dict.fromkeys(
        (AiwareJobSpec.operation, EngineJobSpec.operation), Recovery.FIND
    )
    #: Our choice: a status costs 10 microseconds of client CPU in a batch of 100 and 4 in one of 500 (measured), so
    #: larger batches save little; `ALIAS_SIZES` has larger ones.
    max_batch = 100
    _job_id: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9_\-]+")

    def __init__(self, session: Session, *, lenient: bool = False) -> None:
        super().__init__(session)
        self.lenient = lenient

    @property
    def reading(self) -> object:
        """The options for reading an answer."""
        return type(self), self.lenient

    @classmethod
    def connect(
        cls, url: str, auth: Auth, limits: Limits = Limits(), network: Network = Network(), *, lenient: bool = False
    ) -> Self:
        """Return a client for the installation at the base URL `url`, on this event loop's shared session."""
        client = super().connect(url, auth, limits, network)
        client.lenient = lenient
        return client

    async def identify(self) -> Identity:
        """Return the user or organisation of the token, and its rights. Raises `RequestFailed`."""
        return await identify(self.session)

    async def submit(self, spec: JobSpec, label: Label | None = None, location: Location | None = None) -> JobHandle:
        """Start a job of an `AiwareJobSpec` (`createJob`) or an `EngineJobSpec` (`launchSingleEngineJob`)."""
        target_id = location["target_id"] if location else None
        if isinstance(spec, AiwareJobSpec):
            wire = spec.to_wire()
            if target_id:
                wire.pop("target", None)
                wire["targetId"] = target_id
            if label:
                wire["jobConfig"] = wire.get("jobConfig", {}) | label.to_json()
            self.session.kept_secrets.keep_queries(wire)
            created = await self.session.create(documents.CREATE_JOB, {"input": wire}, spec.subject)
            return self._started(spec.operation, created)
        return await self._launch(self._engine_spec(spec), target_id)

    def location(self, spec: JobSpec) -> Location | None:
        """Return the caller's target, which others may also use, or None if we create one for the job."""
        if isinstance(spec, AiwareJobSpec):
            return {"target_id": spec.target_id} if spec.target_id else None
        engine = self._engine_spec(spec)
        return {"target_id": engine.target_id, "engine_id": engine.engine_id} if engine.target_id else None

    async def make_container(self, spec: JobSpec, label: Label) -> Location:
        """Create a data object (TDO) for this job, with the label in its details and, if it is unnamed, as its name."""
        now = instant(self.session.clock.now()).isoformat(timespec="seconds")
        tdo: dict[str, Any] = {"startDateTime": now, "stopDateTime": now, "name": label.key}
        if isinstance(spec, AiwareJobSpec):
            own = spec.to_wire().get("target", {})
            details = (own.get("details") or {}) | label.to_json()
            return {"target_id": await self.create_target(**(tdo | own | {"details": details})), "exclusive": True}
        engine = self._engine_spec(spec)
        target_id = await self.create_target_with_asset(engine.upload_url or "", **tdo, details=label.to_json())
        # A rule of the organisation may have started jobs there; only their ids distinguish them from a launch.
        foreign_ids = [record["id"] for record in await jobs_on_target(self, target_id, None)]
        return {"target_id": target_id, "exclusive": True, "engine_id": engine.engine_id, "foreign_ids": foreign_ids}

    async def find(self, operation: str, location: Location, label: Label, since: float) -> list[JobHandle]:
        """Return the target's jobs with the label or, for a launch, those of the engine without another label."""
        from_at = None if location.get("exclusive") else since - _CLOCK_SKEW_S
        return [
            self._found(operation, record) for record in await candidates(self, operation, location, label, from_at)
        ]

    def evidence(self, operation: str, location: Location) -> Evidence:
        """Return the evidence. On a shared target, a job of `createJob` has the label, but a launch has none."""
        if location.get("exclusive"):
            return Evidence.LOCATION
        return Evidence.NONE if "engine_id" in location else Evidence.LABEL

    def _found(self, operation: str, record: Entry) -> JobHandle:
        target = {"target_id": text_or_none(record, "targetId")}
        return self.started(operation, record, target, created=record.get("createdDateTime"))

    def _engine_spec(self, spec: JobSpec) -> EngineJobSpec:
        if isinstance(spec, EngineJobSpec):
            return spec
        raise self.wrong_spec(spec)

    async def create_target(self, **tdo: Any) -> str:
        """Create a temporal data object (`createTDO`) and return its id. Keywords are the input's, in camelCase.

        It is retried like a read, since a second one does no harm. So is `create_target_with_asset`.
        """
        return await self._make_target(documents.CREATE_TDO, tdo)

    async def create_target_with_asset(self, uri: str, **tdo: Any) -> str:
        """Create a temporal data object with the media at `uri` (`createTDOWithAsset`) and return its id."""
        return await self._make_target(documents.CREATE_TDO_WITH_ASSET, {"uri": uri, **tdo})

    async def _make_target(self, operation: Operation, tdo: dict[str, Any]) -> str:
        self.session.kept_secrets.keep_queries(tdo)
        response = await self.session.read(operation, {"input": tdo}, "new target")
        value = response.data.get(operation.alias)
        if value is None and (failure := response.error_at(operation.alias)):
            raise failure
        target_id = text_or_none(value, "id", MAX_ANSWER_ID_CHARACTERS) if isinstance(value, dict) else None
        if not target_id:
            raise self.session.bad_answer(operation.field, "new target", "the answer has no id.")
        return target_id

    async def retry(self, job_id: str) -> JobHandle:
        """Start a failed job again under its own id (`retryJob`)."""
        checked = self._checked(job_id, "job_id")
        handle = self._started(
            "retryJob", await self.session.create(documents.RETRY_JOB, {"id": checked}, f"job {checked}")
        )
        if handle.job_id != checked:
            raise self.session.unknown("retryJob", f"job {checked}", f"the answer is about job {handle.job_id}.")
        return handle

    @property
    def batch_size(self) -> int:
        """The number of aliases of a document; smaller batches are padded to it."""
        size = super().batch_size
        return max(aliases for aliases in documents.ALIAS_SIZES if aliases <= size)

    async def send_cancel(self, job_id: str, before: Before | None) -> errors.RequestFailed | None:
        """Send `cancelJob`. aiWARE refuses once a task runs (docs/providers/aiware.md#cancelling)."""
        subject = f"job {job_id}"
        response = await self.session.read(documents.CANCEL_JOB, {"id": job_id}, subject, before)
        told = response.data.get("cancelJob")
        if isinstance(told, dict) and text_or_none(told, "id"):
            return None  # an error without a field, or below it, does not revoke that
        odd = self.session.bad_answer("cancelJob", subject, "the answer does not say that it was cancelled.")
        return response.error_at("cancelJob") or odd

    async def engine_results(self, job_id: str) -> list[dict[str, Any]]:
        """Return the records written so far by its engines (vtn-standard in `jsondata`). Raises `ResultUnavailable`."""
        checked, at_once = self._checked(job_id, "job_id"), OutageBudget(0.0, self.session.clock)
        return await collected(lambda: self._engine_records(checked), self.provider, checked, at_once)

    async def collect(self, handle: JobHandle, job: Job, folder: Path, budget: OutageBudget) -> dict[str, Any]:
        """Return `{"engine_results": [...]}`, as from `engine_results`."""
        return {"engine_results": await self._engine_records(self._checked(handle.job_id, "job_id"))}

    async def _engine_records(self, job_id: str) -> list[dict[str, Any]]:
        """Return the current records of all engines. A number that a float would round is an `ExactNumber`.

        Raises `RequestFailed`, also if the list is missing or incomplete, since that is not an empty result.
        """
        with exact_numbers():
            response = await self.session.read(documents.ENGINE_RESULTS, {"jobId": job_id}, f"job {job_id}")
        records = reader.read_engine_results(response.data)
        # An error without a field does not affect a list that is present.
        is_told = response.data.get("engineResults") is not None
        if failure := response.error_below("engineResults") if is_told else response.error_at("engineResults"):
            raise failure
        if records is None:
            detail = "the list of results is missing or incomplete."
            raise self.session.bad_answer("engineResults", f"job {job_id}", detail)
        return records

    async def _launch(self, spec: EngineJobSpec, target_id: str | None) -> JobHandle:
        on_target = target_id or spec.target_id
        source, value = ("targetId", on_target) if on_target else ("uploadUrl", spec.upload_url)
        variables: dict[str, object] = {"engineId": spec.engine_id, "source": value}
        for number, (name, field_value) in enumerate(spec.fields.items()):
            variables |= {f"name{number}": name, f"value{number}": field_value}
        self.session.kept_secrets.keep_queries(variables)
        operation = documents.launch_engine_job(source, len(spec.fields))
        return self._started(spec.operation, await self.session.create(operation, variables, spec.subject))

    def _started(self, operation: str, value: object) -> JobHandle:
        entry: Entry = value if isinstance(value, dict) else {}
        return self.started(operation, entry, {"target_id": text_or_none(entry, "targetId")})

    async def check_batch(self, job_ids: Sequence[str]) -> Mapping[str, Seen | Deferred]:
        """Read jobs in one request, with proof that ended jobs lack no task: see `checking`."""
        return await check_batch(self, job_ids)
