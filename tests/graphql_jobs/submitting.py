"""Helpers of the submission tests: specs, one attempt, a store that fails, and the jobs in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql_jobs import Label, LocalStore, submit_once
from graphql_jobs.providers.aiware import AiwareJobSpec, EngineJobSpec, EngineTask
from graphql_jobs.providers.datasaur import AutoLabelSpec, ExportSpec, ProjectDocument, ProjectSpec
from graphql_jobs.submission.record import read_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql_jobs import JobClient, JobHandle, JobSpec
    from graphql_jobs.emulator import Emulator, Submission
    from graphql_jobs.store import Entry

ENGINE = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
TASKS = AiwareJobSpec.of(tasks=[EngineTask(engine_id=ENGINE)])
LAUNCH = EngineJobSpec.of(engine_id=ENGINE, upload_url="https://media.example.com/a.mp4?sig=1")
PROJECT = ProjectSpec.of(name="mine", documents=[ProjectDocument(name="a.txt", external_url="https://h.example.com/a")])
EXPORT = ExportSpec.of(project_ids=["HvdyIL2iwZn"], file_name="out")
AUTO_LABEL = AutoLabelSpec.of(
    project_id="HvdyIL2iwZn",
    labeler_email="me@example.com",
    target_endpoint="https://model.example.com",
    target_secret="s3cret-of-model",
)
LABEL = Label("gqj-one", "run-1")
LOST = ["drop_after", "server_error_after", "truncate"]


class Broken(LocalStore):
    """A store whose n-th write fails."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    async def append(self, key: str, number: int, entry: Entry) -> bool:
        """Write, or fail."""
        self.at -= 1
        if self.at == 0:
            raise ConnectionError("the API is away")
        return await super().append(key, number, entry)


def jobs(emulator: Emulator, operation: str | None = None) -> list[Submission]:
    """The jobs that were created, without the containers."""
    return [one for one in emulator.ledger.submissions if one.job_id and operation in (None, one.operation)]


async def submitted(client: JobClient, spec: JobSpec, store: LocalStore | None = None, **how: Any) -> JobHandle:
    """One attempt; all attempts use the same key."""
    async with client:
        return await submit_once(client, spec, store or LocalStore(), how.pop("label", LABEL), **how)


def kinds(entries: Sequence[Entry]) -> list[str]:
    """The kinds of the entries."""
    return [str(entry["kind"]) for entry in entries]


async def shared_target(client: Any) -> str:
    """A target of the caller, which other callers may use too."""
    async with client:
        return str(await client.create_target(startDateTime=1, stopDateTime=2))


def on_target(name: str, target_id: str) -> JobSpec:
    """A spec of one of the two operations on a target."""
    if name == "launch":
        return EngineJobSpec.of(engine_id=ENGINE, target_id=target_id)
    return AiwareJobSpec.of(tasks=[EngineTask(engine_id=ENGINE)], target_id=target_id)


async def recorded(store: LocalStore) -> Any:
    """The record that the entries give."""
    return read_record(await store.read(LABEL.key))
