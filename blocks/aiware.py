"""Blocks for Veritone aiWARE."""

from __future__ import annotations

from typing import Any, Self

from prefect.blocks.abstract import CredentialsBlock, JobBlock
from pydantic import Field, SecretStr, field_validator, model_validator

from blocks.checked_on_load import CheckedOnLoad
from blocks.connection import ConnectionSettings
from blocks.fields import (
    BLOCK_CONFIG,
    NOT_EMPTY,
    MaxBatch,
    RequestsPerS,
    SubmissionS,
    VisibilityS,
    WaitSettings,
    connection_field,
    limits_of,
    tuned,
)
from blocks.pasted import Address, Token
from blocks.runs.job_run import RemoteJobRun
from blocks.runs.submit import start
from graphql_jobs import BearerToken, Limits
from graphql_jobs.inputs import TextSettings
from graphql_jobs.providers.aiware import AiwareClient, EngineJobSpec
from graphql_jobs.providers.connection import Connection, check_connection

_DOCUMENTATION = "https://docs.veritone.com/#/apis/"


class AiwareCredentials(CheckedOnLoad, CredentialsBlock):
    """The address of a Veritone aiWARE installation, and the token to sign in with.

    Example:
        ```python
        from blocks.aiware import AiwareCredentials

        credentials = AiwareCredentials.load("BLOCK_NAME")
        ```
    """

    model_config = BLOCK_CONFIG
    _block_type_name = "aiWARE Credentials"
    _block_type_slug = "aiware-credentials"
    _documentation_url = _DOCUMENTATION  # type: ignore[assignment] # Prefect takes text, and types it as HttpUrl

    base_url: Address = Field(
        default="https://api.veritone.com",
        title="Address of aiWARE",
        description="With https:// at the beginning.",
        json_schema_extra=NOT_EMPTY,
    )
    token: Token = Field(
        title="Token",
        description="API key of the organisation, or a session or OAuth token.",
        json_schema_extra=NOT_EMPTY,
    )
    lenient: bool = Field(
        default=False,
        title="Advanced: a job may succeed with a failed task",
        description="Treat a job as succeeded if aiWARE says complete although one of its tasks failed.",
    )

    visibility_s: VisibilityS = AiwareClient.visibility_s
    submission_s: SubmissionS = Limits().submission_s
    requests_per_s: RequestsPerS = None
    max_batch: MaxBatch = None
    connection: ConnectionSettings = connection_field()

    @field_validator("token")
    @classmethod
    def _check_token(cls, token: SecretStr) -> SecretStr:
        BearerToken(token.get_secret_value())
        return token

    async def check_connection(self) -> Connection:
        """Return whose credentials these are, what they may do, the latency and the difference of the clocks.

        Raises `RequestFailed`, whose message says what to change.
        """
        return await check_connection(self.get_client())

    def get_client(self) -> AiwareClient:
        """Return a client on the event loop's shared session: `async with credentials.get_client() as client`."""
        auth = BearerToken(self.token.get_secret_value())
        network = self.connection.network()
        client = AiwareClient.connect(self.base_url, auth, limits_of(self), network, lenient=self.lenient)
        return tuned(client, self, self._block_document_name or "")


class AiwareEngineJob(CheckedOnLoad, JobBlock):  # type: ignore[type-arg] # `JobBlock[...]` would register itself
    """One aiWARE engine on one recording, such as a transcription.

    Example:
        ```python
        from blocks.aiware import AiwareEngineJob

        engine_job = AiwareEngineJob.load("BLOCK_NAME")
        run = await engine_job.trigger()
        await run.wait_for_completion()
        result = await run.fetch_result()
        ```
    """

    model_config = BLOCK_CONFIG
    _block_type_name = "aiWARE Engine Job"
    _block_type_slug = "aiware-engine-job"
    _documentation_url = _DOCUMENTATION  # type: ignore[assignment] # as above

    credentials: AiwareCredentials = Field(title="aiWARE credentials", description="The job runs on this installation.")
    engine_id: str = Field(title="Engine", description="Id of the engine.", json_schema_extra=NOT_EMPTY)
    upload_url: str | None = Field(
        default=None, title="Address of the recording", description="The engine fetches the recording from here."
    )
    target_id: str | None = Field(
        default=None,
        title="Or data object (TDO)",
        description="Id of the data object that holds the recording, instead of an address.",
    )
    fields: TextSettings = Field(
        default_factory=dict,
        title="Engine settings",
        description="Values for the engine's job template, such as language=en-US.",
    )
    waiting: WaitSettings = Field(
        default_factory=WaitSettings, title="Waiting", description="How long to wait, and the folder for files."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._spec()
        return self

    async def trigger(self) -> RemoteJobRun:
        """Submit the job. Raises `InvalidInput` before anything is sent, or `SubmissionUnknown`."""
        return await start(self.credentials, self._spec(), self.waiting.policy(), self.waiting.folder())

    def _spec(self) -> EngineJobSpec:
        values: dict[str, Any] = {"upload_url": self.upload_url, "target_id": self.target_id, "fields": self.fields}
        return EngineJobSpec.of(engine_id=self.engine_id, **values)
