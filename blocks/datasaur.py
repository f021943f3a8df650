"""Blocks for Datasaur."""

from __future__ import annotations

from typing import Literal, Self

from prefect.blocks.abstract import CredentialsBlock, JobBlock
from prefect.blocks.core import Block
from pydantic import Field, SecretStr, field_validator, model_validator

from blocks.checked_on_load import CheckedOnLoad
from blocks.connection import ConnectionSettings
from blocks.fields import (
    BLOCK_CONFIG,
    EXPORT_FORMATS,
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
from blocks.pasted import Address, OptionalToken
from blocks.runs.job_run import RemoteJobRun
from blocks.runs.submit import start
from graphql_jobs import BearerToken, ClientCredentials, Limits
from graphql_jobs.errors import InvalidInput
from graphql_jobs.inputs import Count
from graphql_jobs.providers.connection import Connection, check_connection
from graphql_jobs.providers.datasaur import AutoLabelSpec, DatasaurClient, ExportSpec
from graphql_jobs.providers.datasaur.specs import CommentType
from graphql_jobs.transport.auth import Auth
from graphql_jobs.urls import Url

_DOCUMENTATION = "https://docs.datasaur.ai/api"


class DatasaurCredentials(CheckedOnLoad, CredentialsBlock):
    """The address of a Datasaur installation, and how to sign in: client id and secret, or a token.

    Example:
        ```python
        from blocks.datasaur import DatasaurCredentials

        credentials = DatasaurCredentials.load("BLOCK_NAME")
        ```
    """

    model_config = BLOCK_CONFIG
    _block_type_name = "Datasaur Credentials"
    _block_type_slug = "datasaur-credentials"
    _documentation_url = _DOCUMENTATION  # type: ignore[assignment] # Prefect takes text, and types it as HttpUrl

    base_url: Address = Field(
        default="https://app.datasaur.ai",
        title="Address of Datasaur",
        description="With https:// at the beginning.",
        json_schema_extra=NOT_EMPTY,
    )
    client_id: str | None = Field(
        default=None, title="Client id", description="Sign in with a client id and its secret: tokens are renewed."
    )
    client_secret: SecretStr | None = Field(
        default=None, title="Client secret", description="The secret that belongs to the client id."
    )
    token: OptionalToken = Field(
        default=None,
        title="Or a token",
        description="Instead of client id and client secret. It expires and cannot be renewed.",
    )
    token_url: Url | None = Field(
        default=None,
        title="Advanced: address for tokens",
        description="Empty for /api/oauth/token of the installation.",
    )
    sign_in_style: Literal["body", "basic"] = Field(
        default="body",
        title="Advanced: client id and secret are sent in the",
        description="Body of the request for a token (body), or in its Authorization header (basic).",
    )

    visibility_s: VisibilityS = DatasaurClient.visibility_s
    submission_s: SubmissionS = Limits().submission_s
    requests_per_s: RequestsPerS = None
    max_batch: MaxBatch = None
    connection: ConnectionSettings = connection_field()

    @model_validator(mode="after")
    def _check_sign_in(self) -> Self:
        if bool(self.client_id) != bool(self.client_secret) or bool(self.client_id) == bool(self.token):
            raise InvalidInput("client_id", "give client_id and client_secret, or a token alone.")
        self._auth()
        return self

    async def check_connection(self) -> Connection:
        """Return whose credentials these are, what they may do, the latency and the difference of the clocks.

        Raises `RequestFailed`, whose message says what to change.
        """
        return await check_connection(self.get_client())

    def get_client(self) -> DatasaurClient:
        """Return a client on the event loop's shared session: `async with credentials.get_client() as client`."""
        client = DatasaurClient.connect(self.base_url, self._auth(), limits_of(self), self.connection.network())
        return tuned(client, self, self.client_id or self._block_document_name or "")

    def _auth(self) -> Auth:
        if self.token:
            return BearerToken(self.token.get_secret_value())
        assert self.client_id and self.client_secret  # noqa: S101, PT018 (checked by _check_sign_in)
        token_url = self.token_url or f"{self.base_url}/api/oauth/token"
        return ClientCredentials(token_url, self.client_id, self.client_secret.get_secret_value(), self.sign_in_style)


class DatasaurTargetApi(CheckedOnLoad, Block):
    """The address of a model of your own that Datasaur calls to label a project, and the key to call it with.

    Example:
        ```python
        from blocks.datasaur import DatasaurTargetApi

        target_api = DatasaurTargetApi.load("BLOCK_NAME")
        ```
    """

    model_config = BLOCK_CONFIG
    _block_type_name = "Datasaur Target API"
    _block_type_slug = "datasaur-target-api"
    _documentation_url = _DOCUMENTATION  # type: ignore[assignment] # as above

    endpoint: Url = Field(
        title="Address of the model",
        description="Datasaur's servers must reach it.",
        json_schema_extra=NOT_EMPTY,
    )
    secret_key: SecretStr = Field(
        title="Key", description="Datasaur sends it to the model.", json_schema_extra=NOT_EMPTY
    )

    @field_validator("secret_key")
    @classmethod
    def _check_secret_key(cls, secret_key: SecretStr) -> SecretStr:
        if not secret_key.get_secret_value().strip():
            raise InvalidInput("secret_key", "it is empty.")
        return secret_key


class DatasaurAutoLabel(CheckedOnLoad, JobBlock):  # type: ignore[type-arg] # `JobBlock[...]` would register itself
    """Auto-label a Datasaur project with a model of your own.

    Example:
        ```python
        from blocks.datasaur import DatasaurAutoLabel

        auto_label = DatasaurAutoLabel.load("BLOCK_NAME")
        run = await auto_label.trigger()
        await run.wait_for_completion()
        ```
    """

    model_config = BLOCK_CONFIG
    _block_type_name = "Datasaur Auto-Label"
    _block_type_slug = "datasaur-auto-label"
    _documentation_url = _DOCUMENTATION  # type: ignore[assignment] # as above

    credentials: DatasaurCredentials = Field(
        title="Datasaur credentials", description="The job runs on this installation."
    )
    target_api: DatasaurTargetApi = Field(title="Model", description="This model labels the project.")
    project_id: str = Field(
        title="Project", description="Id of the project, from its address in Datasaur.", json_schema_extra=NOT_EMPTY
    )
    labeler_email: str = Field(
        title="Email of the labeler",
        description="The labels are written as the work of this team member.",
        json_schema_extra=NOT_EMPTY,
    )
    lines_per_request: Count = Field(
        default=0, title="Lines per call to the model", description="0 sends all lines of a document in one call."
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

    def _spec(self) -> AutoLabelSpec:
        return AutoLabelSpec.of(
            project_id=self.project_id,
            labeler_email=self.labeler_email,
            target_endpoint=self.target_api.endpoint,
            target_secret=self.target_api.secret_key,
            lines_per_request=self.lines_per_request,
        )


class DatasaurExport(CheckedOnLoad, JobBlock):  # type: ignore[type-arg] # `JobBlock[...]` would register itself
    """Export Datasaur projects into a file, and download it or let Datasaur write it to your own storage.

    Example:
        ```python
        from blocks.datasaur import DatasaurExport

        export = DatasaurExport.load("BLOCK_NAME")
        run = await export.trigger()
        result = await run.fetch_result()
        ```
    """

    model_config = BLOCK_CONFIG
    _block_type_name = "Datasaur Export"
    _block_type_slug = "datasaur-export"
    _documentation_url = _DOCUMENTATION  # type: ignore[assignment] # as above

    credentials: DatasaurCredentials = Field(
        title="Datasaur credentials", description="The job runs on this installation."
    )
    project_ids: list[str] = Field(
        title="Projects", description="Ids of the projects, from their addresses in Datasaur."
    )
    file_name: str = Field(
        title="Name of the file", description="Without its ending, such as nightly.", json_schema_extra=NOT_EMPTY
    )
    format: str = Field(
        default="JSON_ADVANCED",
        title="Format",
        description="Format of the exported labels.",
        json_schema_extra={"enum": [*EXPORT_FORMATS]},
    )
    role: Literal["REVIEWER", "LABELER"] = Field(
        default="REVIEWER",
        title="Labels of",
        description="Export the labels that the reviewers accepted, or those of the labelers.",
    )
    file_transformer_id: str | None = Field(
        default=None, title="Transformer", description="Id of the transformer, for the format CUSTOM."
    )
    included_comment_type: list[CommentType] = Field(
        default_factory=list, title="Comments", description="Export the comments of these kinds, too."
    )
    object_storage_id: str | None = Field(
        default=None,
        title="External storage",
        description="Id of your external object storage in Datasaur. Empty to download the file.",
    )
    object_storage_prefix: str | None = Field(
        default=None, title="Beginning of the key in that storage", description="Such as exports/2026/."
    )
    waiting: WaitSettings = Field(
        default_factory=WaitSettings, title="Waiting", description="How long to wait, and the folder for files."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._spec()
        return self

    async def trigger(self) -> RemoteJobRun:
        """Submit the export. Raises `InvalidInput` before anything is sent, or `SubmissionUnknown`."""
        return await start(self.credentials, self._spec(), self.waiting.policy(), self.waiting.folder())

    def _spec(self) -> ExportSpec:
        return ExportSpec.of(**{name: getattr(self, name) for name in ExportSpec.model_fields})
