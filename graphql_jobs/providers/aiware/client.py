"""aiWARE's adapter: I/O between the documents and the readers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Self

from graphql_jobs import errors
from graphql_jobs.endpoint import base_url
from graphql_jobs.job import CancelOutcome, Job, JobHandle, JobState
from graphql_jobs.limits import Limits
from graphql_jobs.provider import JobClient, JobSpec, Seen
from graphql_jobs.providers.aiware import documents, reader
from graphql_jobs.providers.aiware.specs import AiwareJobSpec, EngineJobSpec
from graphql_jobs.reading import MAX_ANSWER_ID_CHARACTERS, Entry, text_or_none
from graphql_jobs.sharing import shared_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from graphql_jobs.auth import Auth
    from graphql_jobs.reply import Reply
    from graphql_jobs.session import Session

#: Our choice: no job has that many tasks; a server that never ends its list is not followed for ever.
MAX_TASKS = 10_000
#: Our choice: how often, and how many seconds apart, a job is read after its cancel was accepted.
_CANCEL_LOOKS = 10
_CANCEL_PAUSE_S = 1.0


class AiwareClient(JobClient):
    """aiWARE through one session. `lenient` believes a job that says complete although a task failed (law 4)."""

    provider: ClassVar[str] = reader.PROVIDER
    can_cancel: ClassVar[bool] = True
    max_batch: ClassVar[int] = documents.ALIAS_SIZES[-1]
    _job_id = re.compile(r"[A-Za-z0-9_\-]+")

    def __init__(self, session: Session, *, lenient: bool = False) -> None:
        super().__init__(session)
        self.lenient = lenient

    @classmethod
    def connect(cls, url: str, auth: Auth, limits: Limits = Limits(), *, lenient: bool = False) -> Self:
        """A client for the installation at the base URL `url`, on this event loop's shared session."""
        endpoint = f"{base_url(url)}/v3/graphql"  # the path never varies (reference/aiware.md 1.1)
        return cls(shared_session(endpoint, auth, reader.DIALECT, limits), lenient=lenient)

    async def submit(self, spec: JobSpec) -> JobHandle:
        """Start a job of an `AiwareJobSpec` (`createJob`) or an `EngineJobSpec` (`launchSingleEngineJob`)."""
        if isinstance(spec, AiwareJobSpec):
            subject = f"{len(spec.tasks)} tasks, target {spec.target_id or 'new'}"
            return self._started(
                "createJob", await self.session.create(documents.CREATE_JOB, {"input": spec.to_wire()}, subject)
            )
        if isinstance(spec, EngineJobSpec):
            return await self._launch(spec)
        raise errors.InvalidInput("spec", f"aiWARE runs AiwareJobSpec and EngineJobSpec, not {type(spec).__name__}.")

    async def create_target(self, **tdo: Any) -> str:
        """Make a temporal data object (`createTDO`) and give its id. Keywords are the input's own, in camelCase."""
        value = await self.session.create(documents.CREATE_TDO, {"input": tdo}, "new target")
        return self._created_id("createTDO", value)

    async def create_target_with_asset(self, uri: str, **tdo: Any) -> str:
        """Make a temporal data object that holds the media at `uri` (`createTDOWithAsset`) and give its id."""
        variables = {"input": {"uri": uri, **tdo}}
        value = await self.session.create(documents.CREATE_TDO_WITH_ASSET, variables, "new target with media")
        return self._created_id("createTDOWithAsset", value)

    async def retry(self, job_id: str) -> JobHandle:
        """Start a failed job again under its own id (`retryJob`)."""
        checked = self._checked(job_id, "job_id")
        return self._started(
            "retryJob", await self.session.create(documents.RETRY_JOB, {"id": checked}, f"job {checked}")
        )

    async def cancel(self, job_id: str) -> CancelOutcome:
        """Cancel the job and read it until that shows. aiWARE refuses once a task runs (KB 4164): `CancelRefused`."""
        checked = self._checked(job_id, "job_id")
        refusal = await self._ask_to_cancel(checked)
        seen: Seen | None = None
        for look in range(1 if refusal else _CANCEL_LOOKS):
            if look:
                await self.session.clock.sleep(_CANCEL_PAUSE_S)
            seen = (await self.check([checked]))[checked]
            if isinstance(seen, errors.RequestFailed):
                raise seen
            if isinstance(seen, errors.JobNotFound):
                if refusal:
                    raise seen
                return CancelOutcome(checked, True, "cancelled, and gone since.")
            if seen.state is JobState.CANCELLED:
                return CancelOutcome(checked, True, f"cancelled (status {seen.raw_status!r}).", seen)
            if seen.state.is_terminal:
                raise errors.CancelRefused(self.provider, checked, f"it had already ended: {seen.describe()}.")
        state = seen.describe() if isinstance(seen, Job) else "unknown"
        words = f"refused by the provider ({refusal.detail})" if refusal else "accepted, but without effect so far"
        raise errors.CancelRefused(self.provider, checked, f"the cancel was {words}; left running: {state}.")

    async def engine_results(self, job_id: str) -> list[dict[str, Any]]:
        """The records that the job's engines wrote (vtn-standard in `jsondata`); empty before there are any."""
        checked = self._checked(job_id, "job_id")
        reply = await self.session.read(documents.ENGINE_RESULTS, {"jobId": checked}, f"job {checked}")
        if failure := reply.error_at("engineResults"):
            raise errors.ResultUnavailable(self.provider, checked, str(failure))
        return reader.read_records(reply.data.get("engineResults"))

    async def result(self, handle: JobHandle, job: Job, folder: Path) -> dict[str, Any]:
        """`{"engine_results": [...]}`, as `engine_results` gives them."""
        return {"engine_results": await self.engine_results(handle.job_id)}

    async def _launch(self, spec: EngineJobSpec) -> JobHandle:
        source, value = ("targetId", spec.target_id) if spec.target_id else ("uploadUrl", spec.upload_url)
        variables: dict[str, object] = {"engineId": spec.engine_id, "source": value}
        for number, (name, field_value) in enumerate(spec.fields.items()):
            variables |= {f"name{number}": name, f"value{number}": field_value}
        self.session.kept_secrets.keep_query(spec.upload_url or "")
        operation = documents.launch_engine_job(source, len(spec.fields))
        subject = f"engine {spec.engine_id}"
        return self._started(operation.field, await self.session.create(operation, variables, subject))

    def _started(self, operation: str, value: object) -> JobHandle:
        entry: Entry = value if isinstance(value, dict) else {}
        job_id = self._created_id(operation, entry)
        return self._new_handle(job_id, operation, {"target_id": text_or_none(entry, "targetId")})

    def _created_id(self, operation: str, value: object) -> str:
        created_id = text_or_none(value, "id", MAX_ANSWER_ID_CHARACTERS) if isinstance(value, dict) else None
        if not created_id:
            raise self.session.unknown(operation, "", "the answer holds no id.")
        return created_id

    async def _ask_to_cancel(self, job_id: str) -> errors.RequestFailed | None:
        """None if accepted, else the refusal. A cancel may be sent any number of times, so it is sent like a read."""
        try:
            reply = await self.session.read(documents.CANCEL_JOB, {"id": job_id}, f"job {job_id}")
        except errors.RequestFailed as failure:
            if failure.transient or isinstance(failure, errors.SignInFailed | errors.NotAllowed | errors.BadEndpoint):
                raise
            return failure
        return reply.error_at("cancelJob")

    async def _check_batch(self, job_ids: Sequence[str]) -> dict[str, Seen]:
        seen: dict[str, Seen] = {}
        longer: dict[str, tuple[Entry, list[Any]]] = {}
        for job_id, entry, records in await self._read_page(job_ids, 0, seen):
            if _is_full(entry["tasks"]):
                longer[job_id] = (entry, records)
            else:
                seen[job_id] = self._read(job_id, entry, records)
        if longer:
            await self._page_in(longer, seen)
        return seen

    async def _page_in(self, longer: dict[str, tuple[Entry, list[Any]]], seen: dict[str, Seen]) -> None:
        """Read the further pages of jobs with many tasks, together, and then the jobs.

        The status of the first page counts: tasks of earlier pages are older than a later page's status.
        """
        while longer:
            # One offset for all: where a server's pages differ in size, the shortest list sets the pace.
            offset = min(len(records) for _, records in longer.values())
            if offset >= MAX_TASKS:
                break
            unread = {}  # a job that is gone by now is in neither
            for job_id, later, later_records in await self._read_page(list(longer), offset, seen):
                entry, records = longer[job_id]
                records[offset:] = later_records
                if _is_full(later["tasks"]):
                    unread[job_id] = (entry, records)
                else:
                    seen[job_id] = self._read(job_id, entry, records)
            longer = unread
        for job_id in longer:
            seen[job_id] = self.session.bad_reply("job", f"job {job_id}", f"more than {MAX_TASKS} tasks.")

    def _read(self, job_id: str, entry: Entry, records: list[Any]) -> Seen:
        """The job, unless it claims to be complete and a task of it could not be read (law 4)."""
        job = reader.read_job(entry, records, lenient=self.lenient, clean=self.session.redact)
        if job.state is JobState.SUCCEEDED and len(job.tasks) < len(records):
            return self.session.bad_reply("job", f"job {job_id}", "it says complete, but a task of it cannot be read.")
        return job

    async def _read_page(
        self, job_ids: Sequence[str], offset: int, seen: dict[str, Seen]
    ) -> Iterator[tuple[str, Entry, list[Any]]]:
        """Id, entry and one page of tasks of each job; what went wrong with a single job goes into `seen`."""
        size = next(size for size in documents.ALIAS_SIZES if size >= len(job_ids))
        padded = [*job_ids, *[job_ids[-1]] * (size - len(job_ids))]
        variables: dict[str, object] = {f"id{number}": job_id for number, job_id in enumerate(padded)}
        variables |= {"offset": offset, "limit": documents.TASK_PAGE}
        subject = f"job {job_ids[0]}" + (f" and {len(job_ids) - 1} more" if len(job_ids) > 1 else "")
        reply = await self.session.read(documents.check_jobs(size), variables, subject)
        return self._entries(reply, job_ids, seen)

    def _entries(
        self, reply: Reply, job_ids: Sequence[str], seen: dict[str, Seen]
    ) -> Iterator[tuple[str, Entry, list[Any]]]:
        for number, job_id in enumerate(job_ids):
            alias = f"j{number}"
            # Taken out, so that its memory is free again before the next one is read.
            entry = reply.data.pop(alias, None)
            if entry is None:
                if failure := reply.object_errors.get(job_id) or reply.error_at(alias):
                    seen[job_id] = self._not_found(job_id) if isinstance(failure, errors.NotFound) else failure
                continue
            if not isinstance(entry, dict) or entry.get("id") != job_id:
                seen[job_id] = self.session.bad_reply("job", f"job {job_id}", "the answer is about another job.")
                continue
            tasks = entry.get("tasks")
            records = tasks.get("records") if isinstance(tasks, dict) else None
            if isinstance(records, list):
                yield job_id, entry, records
            else:
                missing = self.session.bad_reply("job", f"job {job_id}", "the list of its tasks is missing.")
                seen[job_id] = reply.error_at(alias) or missing


def _is_full(tasks: Entry) -> bool:
    """Whether there may be more behind this page: it has as many records as the server, or we, put into one."""
    limit = tasks.get("limit")
    size = limit if type(limit) is int and 0 < limit < documents.TASK_PAGE else documents.TASK_PAGE
    return len(tasks["records"]) >= size
