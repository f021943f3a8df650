"""Blocks for Datasaur."""

from __future__ import annotations

from typing import Literal, Self

from prefect.blocks.abstract import CredentialsBlock, JobBlock
from prefect.blocks.core import Block
from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from blocks.checked_on_load import CheckedOnLoad
from blocks.fields import (
    NOT_EMPTY,
    MaxBatch,
    RequestsPerS,
    SubmissionS,
    VisibilityS,
    WaitSettings,
    limits_of,
    tuned,
)
from blocks.runs.job_run import RemoteJobRun
from blocks.runs.submit import start
from graphql_jobs import BearerToken, ClientCredentials, Limits
from graphql_jobs.errors import InvalidInput
from graphql_jobs.inputs import Count
from graphql_jobs.providers.datasaur import AutoLabelSpec, DatasaurClient, ExportSpec
from graphql_jobs.transport.auth import Auth
from graphql_jobs.urls import BaseUrl, Url

_DOCUMENTATION = "https://docs.datasaur.ai/api"


class DatasaurCredentials(CheckedOnLoad, CredentialsBlock):
    """The address of a Datasaur installation, and how to sign in: client id and secret, or a token.

    Example:
        ```python
        from blocks.datasaur import DatasaurCredentials

        credentials = DatasaurCredentials.load("BLOCK_NAME")
        ```
    """

    model_config = ConfigDict(hide_input_in_errors=True)
    _block_type_name = "Datasaur Credentials"
    _block_type_slug = "datasaur-credentials"
    _documentation_url = _DOCUMENTATION  # type: ignore[assignment] # Prefect takes text, and types it as HttpUrl

    base_url: BaseUrl = Field(
        default="https://app.datasaur.ai",
        description="Address of the installation, without the path /graphql.",
        json_schema_extra=NOT_EMPTY,
    )
    client_id: str | None = Field(default=None, description="Client id of the account. Tokens are renewed.")
    client_secret: SecretStr | None = Field(default=None, description="Client secret that belongs to the client id.")
    token: SecretStr | None = Field(
        default=None, description="A token instead of id and secret. It expires and cannot be renewed."
    )
    token_url: Url | None = Field(
        default=None, description="Address for tokens, if not /api/oauth/token of the installation."
    )
    sign_in_style: Literal["body", "basic"] = Field(
        default="body", description="Whether id and secret are sent in the form or in a Basic header."
    )

    visibility_s: VisibilityS = Field(
        default=DatasaurClient.visibility_s,
        description="Seconds until a new project shows. A search after a lost response takes as long.",
    )
    submission_s: SubmissionS = Limits().submission_s
    requests_per_s: RequestsPerS = None
    max_batch: MaxBatch = None

    @model_validator(mode="after")
    def _check_sign_in(self) -> Self:
        if bool(self.client_id) != bool(self.client_secret) or bool(self.client_id) == bool(self.token):
            raise InvalidInput("client_id", "give client_id and client_secret, or a token alone.")
        self._auth()
        return self

    def get_client(self) -> DatasaurClient:
        """Return a client on the event loop's shared session: `async with credentials.get_client() as client`."""
        client = DatasaurClient.connect(self.base_url, self._auth(), limits_of(self))
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

    model_config = ConfigDict(hide_input_in_errors=True)
    _block_type_name = "Datasaur Target API"
    _block_type_slug = "datasaur-target-api"
    _documentation_url = _DOCUMENTATION  # type: ignore[assignment] # as above

    endpoint: Url = Field(
        description="Address of the model. Datasaur's servers must reach it.", json_schema_extra=NOT_EMPTY
    )
    secret_key: SecretStr = Field(description="Key that Datasaur sends to the model.", json_schema_extra=NOT_EMPTY)

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

    model_config = ConfigDict(hide_input_in_errors=True)
    _block_type_name = "Datasaur Auto-Label"
    _block_type_slug = "datasaur-auto-label"
    _documentation_url = _DOCUMENTATION  # type: ignore[assignment] # as above

    credentials: DatasaurCredentials = Field(description="The installation to run the job on.")
    target_api: DatasaurTargetApi = Field(description="The model that labels.")
    project_id: str = Field(description="Id of the project to label.", json_schema_extra=NOT_EMPTY)
    labeler_email: str = Field(description="Email of the team member who gets the labels.", json_schema_extra=NOT_EMPTY)
    lines_per_request: Count = Field(default=0, description="Lines per call to the model; 0 is a whole document.")
    waiting: WaitSettings = Field(
        default_factory=WaitSettings, description="How long to wait, and the folder for files."
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
    """Export Datasaur projects into a file and download it.

    Example:
        ```python
        from blocks.datasaur import DatasaurExport

        export = DatasaurExport.load("BLOCK_NAME")
        run = await export.trigger()
        result = await run.fetch_result()
        ```
    """

    model_config = ConfigDict(hide_input_in_errors=True)
    _block_type_name = "Datasaur Export"
    _block_type_slug = "datasaur-export"
    _documentation_url = _DOCUMENTATION  # type: ignore[assignment] # as above

    credentials: DatasaurCredentials = Field(description="The installation to run the job on.")
    project_ids: list[str] = Field(description="Ids of the projects to export.")
    file_name: str = Field(description="Name of the file at Datasaur, without its ending.", json_schema_extra=NOT_EMPTY)
    format: str = Field(default="JSON_ADVANCED", description="Such as JSON_ADVANCED, CSV, TSV or CONLL_2003.")
    role: Literal["REVIEWER", "LABELER"] = Field(default="REVIEWER", description="Whose labels are exported.")
    waiting: WaitSettings = Field(
        default_factory=WaitSettings, description="How long to wait, and the folder for files."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._spec()
        return self

    async def trigger(self) -> RemoteJobRun:
        """Submit the export. Raises `InvalidInput` before anything is sent, or `SubmissionUnknown`."""
        return await start(self.credentials, self._spec(), self.waiting.policy(), self.waiting.folder())

    def _spec(self) -> ExportSpec:
        return ExportSpec.of(project_ids=self.project_ids, file_name=self.file_name, format=self.format, role=self.role)
