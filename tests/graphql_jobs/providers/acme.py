"""An adapter for Acme, which renders films. It is the example of docs/how-to/add-a-provider.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from graphql_jobs import Job, JobClient, JobFailure, JobState, Recovery, errors
from graphql_jobs.inputs import Name
from graphql_jobs.parsing import Entry, objects, text_or_none
from graphql_jobs.providers.recovery import Evidence, Location
from graphql_jobs.providers.status_table import StatusTable
from graphql_jobs.spec import JobSpec
from graphql_jobs.transport.diagnosis import Dialect
from graphql_jobs.transport.operation import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphql_jobs import JobHandle, Label
    from graphql_jobs.handle import Seen
    from graphql_jobs.transport.session import Before


class RenderSpec(JobSpec):
    """Render a film (`startRender`)."""

    operation: ClassVar[str] = "startRender"

    film: Name = Field(description="The film's id.")


START = Operation("mutation StartRender($film: ID!, $note: String) { startRender(film: $film, note: $note) { id } }")
FIND = Operation("query FindRenders($note: String!) { findRenders(note: $note) { id createdAt } }")
READ = Operation("query ReadRenders($ids: [ID!]!) { renders(ids: $ids) { id status error fileId } }")
CANCEL = Operation("mutation CancelRender($id: ID!) { cancelRender(id: $id) { id } }")


# Source: acme.example.com/docs/status, read on 2026-11-28.
STATES = StatusTable(
    "acme",
    {
        "WAITING": JobState.PENDING,
        "RENDERING": JobState.RUNNING,
        "DONE": JobState.SUCCEEDED,
        "BROKEN": JobState.FAILED,
        "STOPPED": JobState.CANCELLED,
    },
)


def code_of(error: Mapping[str, object]) -> str:
    """Acme's code in an entry of `errors`."""
    return str(error.get("code", ""))


# Source: acme.example.com/docs/errors. `RequestRefused` proves that nothing was started.
DIALECT = Dialect("acme", code_of, {"UNKNOWN_FILM": errors.RequestRefused, "TOO_MANY_IDS": errors.TooMuchAtOnce})


def read_job(entry: Entry, clean: Callable[[str], str]) -> Job:
    """One render. `clean` removes secrets from the words of the service."""
    word = text_or_none(entry, "status") or ""
    word = word if word in STATES else clean(word)  # the table logs a word that it does not have
    error = clean(text_or_none(entry, "error") or "")
    return Job(
        "acme",
        str(entry.get("id")),
        STATES[word],
        word,
        failures=(JobFailure("error", error),) if error else (),
        result_id=text_or_none(entry, "fileId"),
    )


class AcmeClient(JobClient):
    """Acme through one session."""

    provider: ClassVar[str] = "acme"
    title: ClassVar[str] = "Acme"
    dialect: ClassVar[Dialect] = DIALECT
    recoveries: ClassVar[Mapping[str, Recovery]] = {RenderSpec.operation: Recovery.FIND}
    can_cancel: ClassVar[bool] = True

    async def submit(self, spec: JobSpec, label: Label | None = None, location: Location | None = None) -> JobHandle:
        """Start a render, with the label's key as its note."""
        if not isinstance(spec, RenderSpec):
            raise self.wrong_spec(spec)
        variables = {"film": spec.film, "note": label.key if label else None}
        return self.started(spec.operation, await self.session.create(START, variables, spec.subject))

    async def find(self, operation: str, location: Location, label: Label, since: float) -> list[JobHandle]:
        """The renders with the label's key."""
        renders = await self._list(FIND, {"note": label.key}, "renders by note")
        return [self.started(operation, entry, created=entry.get("createdAt")) for entry in renders]

    def evidence(self, operation: str, location: Location) -> Evidence:
        """Each render that `find` returns has the label's key."""
        return Evidence.LABEL

    async def check_batch(self, job_ids: Sequence[str]) -> dict[str, Seen]:
        """One request; Acme leaves out ids that it does not know."""
        entries = await self._list(READ, {"ids": list(job_ids)}, f"{len(job_ids)} renders")
        return {job.job_id: job for job in [read_job(entry, self.session.redact) for entry in entries]}

    async def send_cancel(self, job_id: str, before: Before | None) -> errors.RequestFailed | None:
        """Acme answers with an error if it refuses."""
        response = await self.session.read(CANCEL, {"id": job_id}, f"render {job_id}", before)
        return response.error_at(CANCEL.field)

    async def _list(self, operation: Operation, variables: Mapping[str, object], subject: str) -> list[Entry]:
        """The list in an answer. An error in a part of it, or an entry that is no object, makes all of it unusable."""
        response = await self.session.read(operation, variables, subject)
        if failure := response.error_at(operation.field):
            raise failure
        value = response.data.get(operation.field)
        entries = objects(value)
        if not isinstance(value, list) or len(entries) < len(value):
            raise self.session.bad_answer(operation.field, subject, "the answer holds no list of renders.")
        return entries
