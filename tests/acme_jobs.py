"""Acme renders films: its adapter, its credentials block and a flow."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from prefect import flow
from prefect.blocks.abstract import CredentialsBlock

from blocks import fields
from blocks.checked_on_load import CheckedOnLoad
from blocks.connection import ConnectionSettings
from blocks.pasted import Address, Token
from graphql_jobs import BearerToken, JobClient, JobHandle, JobSpec, Label, Limits, Recovery, errors
from graphql_jobs.inputs import Name
from graphql_jobs.job import Job, JobFailure, JobState
from graphql_jobs.parsing import Entry, text_or_none
from graphql_jobs.providers.recovery import Evidence, Location
from graphql_jobs.providers.status_table import StatusTable
from graphql_jobs.transport.diagnosis import Dialect
from graphql_jobs.transport.operation import Operation
from graphql_jobs.transport.session import Before
from tasks.cancelling.layers import cancel_with_the_run
from tasks.parameters import Downstream
from tasks.pipeline import JobOptions, run_to_the_end
from tasks.run_state import ends_in_a_state


class RenderSpec(JobSpec):
    operation: ClassVar[str] = "startRender"
    title: ClassVar[str] = "Acme render"
    film: Name


START = Operation("mutation StartRender($film: ID!, $note: String) { startRender(film: $film, note: $note) { id } }")
FIND = Operation("query FindRenders($note: String!) { findRenders(note: $note) { id createdAt } }")
READ = Operation("query ReadRenders($ids: [ID!]!) { renders(ids: $ids) { id status error fileId } }")
CANCEL = Operation("mutation CancelRender($id: ID!) { cancelRender(id: $id) { id } }")

# Source: acme.example.com/docs/status and /errors, read on 2026-11-28.
WORDS = {"WAITING": JobState.PENDING, "RENDERING": JobState.RUNNING, "DONE": JobState.SUCCEEDED}
STATES = StatusTable("acme", WORDS | {"BROKEN": JobState.FAILED, "STOPPED": JobState.CANCELLED})
CODES = {"UNKNOWN_FILM": errors.RequestRefused, "TOO_MANY_IDS": errors.TooMuchAtOnce}
DIALECT = Dialect("acme", lambda error: str(error.get("code", "")), CODES)


def read_job(entry: Entry, clean: Callable[[str], str]) -> Job:
    """Return one render. `clean` removes secrets from the words of the service."""
    word = text_or_none(entry, "status") or ""
    word = word if word in STATES else clean(word)  # the table logs a word that it does not have
    failures = (JobFailure("error", clean(error)),) if (error := text_or_none(entry, "error")) else ()
    return Job("acme", str(entry.get("id")), STATES[word], word, (), failures, result_id=text_or_none(entry, "fileId"))


class AcmeClient(JobClient):
    provider: ClassVar[str] = "acme"
    title: ClassVar[str] = "Acme"
    dialect: ClassVar[Dialect] = DIALECT
    recoveries: ClassVar[Mapping[str, Recovery]] = {RenderSpec.operation: Recovery.FIND}
    can_cancel: ClassVar[bool] = True

    async def submit(self, spec: JobSpec, label: Label | None = None, location: Location | None = None) -> JobHandle:
        if not isinstance(spec, RenderSpec):
            raise self.wrong_spec(spec)
        variables = {"film": spec.film, "note": label.key if label else None}
        return self.started(spec.operation, await self.session.create(START, variables, spec.subject))

    async def find(self, operation: str, location: Location, label: Label, since: float) -> list[JobHandle]:
        renders = await self.read_list(FIND, {"note": label.key}, "renders by note")
        return [self.started(operation, entry, created=entry.get("createdAt")) for entry in renders]

    def evidence(self, operation: str, location: Location) -> Evidence:
        return Evidence.LABEL

    async def check_batch(self, job_ids: Sequence[str]) -> dict[str, Job]:
        entries = await self.read_list(READ, {"ids": list(job_ids)}, f"{len(job_ids)} renders")
        return {job.job_id: job for job in [read_job(entry, self.session.redact) for entry in entries]}

    async def send_cancel(self, job_id: str, before: Before | None) -> errors.RequestFailed | None:
        response = await self.session.read(CANCEL, {"id": job_id}, f"render {job_id}", before)
        return response.error_at(CANCEL.field)


class AcmeCredentials(CheckedOnLoad, CredentialsBlock):
    """The address of Acme, and the token to sign in with."""

    model_config = fields.BLOCK_CONFIG
    base_url: Address = "https://acme.example.com"
    token: Token
    visibility_s: fields.VisibilityS = AcmeClient.visibility_s
    submission_s: fields.SubmissionS = Limits().submission_s
    requests_per_s: fields.RequestsPerS = None
    max_batch: fields.MaxBatch = None
    connection: ConnectionSettings = fields.connection_field()

    def get_client(self) -> AcmeClient:
        auth = BearerToken(self.token.get_secret_value())
        client = AcmeClient.connect(self.base_url, auth, fields.limits_of(self), self.connection.network())
        return fields.tuned(client, self, account=self._block_document_name or "")


@flow(name="render-film", validate_parameters=False, on_cancellation=[cancel_with_the_run])
@ends_in_a_state
async def render_film(
    film: str,
    credentials: str = "acme",
    give_up_after_s: float = fields.GIVE_UP_AFTER_S,
    key: str | None = None,
    downstream: Downstream = [],  # noqa: B006 (never changed)
) -> dict[str, Any]:
    """Render a film, wait for the end and start the downstream deployments."""
    spec, policy = RenderSpec.of(film=film), fields.wait_policy(give_up_after_s)
    return await run_to_the_end("acme", credentials, spec, policy, downstream, JobOptions(key))
