"""Datasaur's adapter: I/O between the documents and the readers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from graphql_jobs import errors
from graphql_jobs.clock import instant
from graphql_jobs.handle import FILE_URL, Seen
from graphql_jobs.parsing import (
    MAX_ADDRESS_CHARACTERS,
    MAX_ANSWER_ID_CHARACTERS,
    Entry,
    instant_or_none,
    text_or_none,
)
from graphql_jobs.providers.base import JobClient
from graphql_jobs.providers.collecting import AGAIN
from graphql_jobs.providers.datasaur import documents, reader
from graphql_jobs.providers.datasaur.checking import PROJECT, check_batch
from graphql_jobs.providers.datasaur.project_list import MAX_LISTED, read_list
from graphql_jobs.providers.datasaur.specs import AutoLabelSpec, ExportSpec, ProjectSpec
from graphql_jobs.providers.identity import Identity
from graphql_jobs.providers.recovery import Location, Recovery
from graphql_jobs.transport.download import download

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from graphql_jobs.handle import JobHandle
    from graphql_jobs.job import Job
    from graphql_jobs.label import Label
    from graphql_jobs.providers.batching import Deferred
    from graphql_jobs.spec import JobSpec
    from graphql_jobs.transport.diagnosis import Dialect
    from graphql_jobs.transport.operation import Operation
    from graphql_jobs.transport.retry import OutageBudget

#: Our choice: how long before the intent a search starts. TLS fails if clocks differ by more. An older project is
#: known by its id, which is in the intent, so a longer time only costs a longer entry.
_CLOCK_SKEW_S = 86_400.0
#: In the details of an export's handle: its file's name, and where in the caller's storage the file is.
STORAGE_ID, _PREFIX, _KEY, _NAME = "object_storage_id", "object_storage_prefix", "object_key", "file_name"
_STORED = (_PREFIX, _KEY, _NAME)
#: Our choice: with the job's id, less than the 255 bytes that file systems allow.
_NAME_BYTES = 100


class DatasaurClient(JobClient):
    """Datasaur through one session. It can neither cancel nor list jobs."""

    provider: ClassVar[str] = reader.PROVIDER
    title: ClassVar[str] = "Datasaur"
    dialect: ClassVar[Dialect] = reader.DIALECT
    #: A project is found by its name, an export may be repeated, an auto-label job leaves no trace.
    recoveries: ClassVar[Mapping[str, Recovery]] = {
        AutoLabelSpec.operation: Recovery.NONE,
        ProjectSpec.operation: Recovery.FIND,
        ExportSpec.operation: Recovery.REPEAT,
    }
    #: Our choice: no cap is published; 500 ids are 25 kB to send and 100 kB to read.
    max_batch = 500
    #: Our choice: a project is visible once its job has created it, which takes minutes for large ones.
    visibility_s = 300.0
    #: Whether the last answer to `getJobs` had no list.
    had_no_list = False

    async def identify(self) -> Identity:
        """Return the client id, as far as it is known here: Datasaur tells neither account nor rights."""
        found = (await self.session.read(documents.COUNT_PROJECTS, {})).data.get("result")
        count = found.get("totalCount") if isinstance(found, dict) else None
        if not isinstance(count, int):
            raise self.session.bad_answer("getProjects", "", "it has no number of projects.")
        return Identity(f"{self.account or 'the owner of the token'} (visible projects: {count})")

    async def submit(self, spec: JobSpec, label: Label | None = None, location: Location | None = None) -> JobHandle:
        """Start the job of an `AutoLabelSpec`, an `ExportSpec` or a `ProjectSpec`. None has a field for a label."""
        if isinstance(spec, AutoLabelSpec):
            self.session.kept_secrets.keep(spec.target_secret.get_secret_value())
            return await self._start(documents.AUTO_LABEL, spec.to_wire(), spec.subject)
        if isinstance(spec, ProjectSpec):
            return await self._start(documents.CREATE_PROJECT, spec.to_wire(), spec.subject)
        if isinstance(spec, ExportSpec):
            return await self._export(spec)
        raise self.wrong_spec(spec)

    def location(self, spec: JobSpec) -> Location | None:
        """Return a project's name and team."""
        return {"name": spec.name, "team_id": spec.team_id} if isinstance(spec, ProjectSpec) else {}

    async def find(self, operation: str, location: Location, label: Label, since: float) -> list[JobHandle]:
        """Return handles of the projects with that name, since no list has the jobs that created them."""
        variables = {"teamId": location.get("team_id"), "keyword": location["name"]}
        # A missing project would be created again.
        found = await read_list(
            self.session, documents.FIND_PROJECTS, variables, f"projects named {location['name']!r}"
        )
        named = [node for node in found if node.get("name") == location["name"]]
        handles = [self._project(operation, node) for node in named]
        oldest = instant(since - _CLOCK_SKEW_S)
        recent = [handle for handle in handles if (handle.submitted_at or oldest) >= oldest]
        return sorted(recent, key=lambda handle: handle.submitted_at or oldest)

    async def projects(self, team_id: str | None, status: str) -> list[reader.Project]:
        """Return the projects of a team, or of the personal workspace, with this status. Raises `RequestFailed`."""
        subject = f"{status} projects of {f'team {team_id}' if team_id else 'the personal workspace'}"
        variables = {"filter": {"teamId": team_id, "statuses": [status]}}
        nodes = await read_list(self.session, documents.LIST_PROJECTS, variables, subject, MAX_LISTED)
        return [reader.read_project(node) for node in nodes if node.get("status") == status]

    def _project(self, operation: str, node: Entry) -> JobHandle:
        project_id = text_or_none(node, "id", MAX_ANSWER_ID_CHARACTERS)
        details = {"project_id": project_id}
        return self.started(operation, {"id": f"{PROJECT}{project_id}"}, details, created=node.get("createdDate"))

    async def collect(self, handle: JobHandle, job: Job, folder: Path, budget: OutageBudget) -> dict[str, Any]:
        """Return the id of a new project, or the exported file, downloaded into `folder`.

        For an export into the caller's storage, return where its file is. The result of an auto-label job is empty,
        since the labels are in its project.
        """
        if handle.details.get(STORAGE_ID):  # by design, an export into the caller's storage has no address
            return {name: handle.details[name] for name in (STORAGE_ID, *_STORED) if name in handle.details}
        if file_url := handle.address(FILE_URL):
            to = folder / _local_name(handle.details.get(_NAME), self._checked(handle.job_id, "handle.job_id"))
            try:
                size_bytes = await download(self.session, file_url, to, budget=budget)
            except errors.RequestFailed as failure:
                raise errors.ResultUnavailable(self.provider, handle.job_id, self._why(failure, handle)) from failure
            return {"file": str(to), "size_bytes": size_bytes}
        if handle.operation == documents.EXPORT_PROJECT.field:
            why = "the file's address gives anyone access, so it stays in the process that submitted the export. "
            raise errors.ResultUnavailable(self.provider, handle.job_id, f"{why}Export again.")
        if handle.operation == ProjectSpec.operation and not job.result_id:
            why = "the job is done, but it does not have the id of its project."
            raise errors.ResultUnavailable(self.provider, handle.job_id, why)
        return await super().collect(handle, job, folder, budget)

    def _why(self, failure: errors.RequestFailed, handle: JobHandle) -> str:
        """Return why there is no file, and what to do. An expired address explains any failure."""
        words = f"the job is done, but its file could not be downloaded: {failure.meaning}: {failure.detail}"
        expires_at = instant_or_none(handle.details.get("file_url_expires_at"))
        if expires_at and self.session.clock.now() >= expires_at.timestamp():
            words = f"the address of its file expired at {expires_at.isoformat()}: {failure.detail}"
        return f"{words} {AGAIN}"

    async def _start(self, operation: Operation, wire: dict[str, Any], subject: str) -> JobHandle:
        self.session.kept_secrets.keep_queries(wire)
        value = await self.session.create(operation, {"input": wire}, subject)
        return self.started(operation.field, reader.read_submitted(value))

    async def _export(self, spec: ExportSpec) -> JobHandle:
        operation = documents.EXPORT_TO_STORAGE if spec.object_storage_id else documents.EXPORT_PROJECT
        value = await self.session.create(operation, {"input": spec.to_wire()}, spec.subject)
        entry: Entry = value if isinstance(value, dict) else {}
        details = {
            FILE_URL: text_or_none(entry, "fileUrl", MAX_ADDRESS_CHARACTERS),
            "file_url_expires_at": text_or_none(entry, "fileUrlExpiredAt"),
            _NAME: spec.file_name,
            STORAGE_ID: spec.object_storage_id,
            _PREFIX: spec.object_storage_prefix,
            _KEY: text_or_none(entry, "key", MAX_ADDRESS_CHARACTERS),
        }
        return self.started(operation.field, entry, details, id_name="exportId")

    async def check_batch(self, job_ids: Sequence[str]) -> Mapping[str, Seen | Deferred]:
        """Read jobs by `getJob` or `getJobs`: see `checking`."""
        return await check_batch(self, job_ids)


def _local_name(file_name: str | None, job_id: str) -> str:
    """Return the name of the downloaded file: the export's name and the job's id, since names repeat.

    Characters that are not allowed in a file name somewhere, such as the colon of an id, are replaced.
    """
    safe = re.sub(r"[^\w. -]", "-", file_name or "").strip(" .").encode()[:_NAME_BYTES].decode(errors="ignore")
    return f"{safe}{'-' if safe else ''}{job_id.replace(':', '-')}.zip"
