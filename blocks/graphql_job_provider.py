"""The block for a provider that is declared in YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from prefect.blocks.abstract import CredentialsBlock
from pydantic import Field, SecretStr, model_validator

from blocks.checked_on_load import CheckedOnLoad
from blocks.connection import ConnectionSettings
from blocks.fields import BLOCK_CONFIG, NOT_EMPTY, RequestsPerS, SubmissionS, connection_field, limits_of, owned
from blocks.pasted import Address, OptionalToken
from graphql_jobs import Limits
from graphql_jobs.errors import InvalidInput
from graphql_jobs.providers.connection import Connection, check_connection
from graphql_jobs.providers.declared import DeclaredClient, declared_client
from graphql_jobs.transport.auth import Auth


class GraphqlJobProvider(CheckedOnLoad, CredentialsBlock):
    """A provider that a declaration in YAML describes, its address, and how to sign in.

    Example:
        ```python
        from blocks.graphql_job_provider import GraphqlJobProvider

        provider = GraphqlJobProvider.load("BLOCK_NAME")
        ```
    """

    model_config = BLOCK_CONFIG
    _block_type_name = "GraphQL Job Provider"
    _block_type_slug = "graphql-job-provider"
    _documentation_url = "https://graphql.org/learn/"  # type: ignore[assignment] # as in aiware.py

    base_url: Address = Field(
        title="Address of the service",
        description="With https:// at the beginning, and without the path of the GraphQL API.",
        json_schema_extra=NOT_EMPTY,
    )
    declaration: str | None = Field(
        default=None, repr=False, title="Declaration", description="The YAML text that describes the API."
    )
    declaration_file: str | None = Field(
        default=None,
        title="Or the file with it",
        description="Path of a YAML file on each machine that uses the block, instead of the text.",
    )
    token: OptionalToken = Field(
        default=None, title="Token", description="For a sign-in with a header. It is sent as the declaration says."
    )
    client_id: str | None = Field(
        default=None, title="Client id", description="For a sign-in with OAuth client credentials."
    )
    client_secret: SecretStr | None = Field(
        default=None, title="Client secret", description="The secret that belongs to the client id."
    )

    submission_s: SubmissionS = Limits().submission_s
    requests_per_s: RequestsPerS = None
    connection: ConnectionSettings = connection_field()

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._auth()
        return self

    @property
    def provider(self) -> str:
        """The name of the declared provider. Raises `InvalidInput` if the declaration cannot be read."""
        return self.client_class().provider

    def client_class(self) -> type[DeclaredClient]:
        """Return the class of the provider's clients. Raises `InvalidInput` if the declaration cannot be read."""
        if bool(self.declaration) == bool(self.declaration_file):
            raise InvalidInput("declaration", "give either the text or the file.")
        if self.declaration_file is None:
            return declared_client(self.declaration or "")
        try:
            text = Path(self.declaration_file).read_text()
        except (OSError, ValueError) as error:
            raise InvalidInput("declaration_file", f"it cannot be read: {type(error).__name__}.") from None
        return declared_client(text, self.declaration_file)

    async def check_connection(self) -> Connection:
        """Return the latency and the difference of the clocks. The account is not known.

        Raises `RequestFailed`, whose message says what to change.
        """
        return await check_connection(self.get_client())

    def get_client(self) -> DeclaredClient:
        """Return a client on the event loop's shared session: `async with credentials.get_client() as client`."""
        network = self.connection.network()
        client = self.client_class().connect(self.base_url, self._auth(), limits_of(self), network)
        return owned(client, self._block_document_name, self.client_id or self._block_document_name or "")

    def _auth(self) -> Auth:
        secrets = (self.token, self.client_secret)
        token, client_secret = (one.get_secret_value() if one else "" for one in secrets)
        return self.client_class().sign_in(self.base_url, token, self.client_id or "", client_secret)
