"""The settings of a credentials block for its connections. The defaults suit a service that is reached directly."""

from __future__ import annotations

from typing import Annotated, Self

from prefect.types import SecretDict
from pydantic import BaseModel, ConfigDict, Field, model_validator

from graphql_jobs import Limits
from graphql_jobs.errors import InvalidInput
from graphql_jobs.inputs import show_boxes
from graphql_jobs.transport.network import Network

_Timeout = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


class ConnectionSettings(BaseModel):
    """How requests reach the service: time-outs, extra headers, a client certificate and a proxy."""

    model_config = ConfigDict(hide_input_in_errors=True, json_schema_extra=show_boxes)

    connect_s: _Timeout = Field(
        default=Limits().connect_s,
        title="Connect within (seconds)",
        description="For the look-up of the name, TCP and TLS.",
    )
    read_s: _Timeout = Field(
        default=Limits().read_s,
        title="Silent at most (seconds)",
        description="A request fails, and is retried if that is safe, when no data arrives for this time.",
    )
    request_s: _Timeout = Field(
        default=Limits().request_s,
        title="A request takes at most (seconds)",
        description="One attempt as a whole, without a download.",
    )
    headers: SecretDict = Field(
        default_factory=lambda: SecretDict({}),
        title="Extra headers",
        description="Names and values, as JSON. They are sent with each request to the service, for a gateway in front "
        "of it. The values are secrets.",
    )
    client_certificate: str | None = Field(
        default=None,
        title="Client certificate",
        description="Path of a PEM file on each machine that uses the block. For a service that asks for one.",
    )
    client_key: str | None = Field(
        default=None,
        title="Key of the client certificate",
        description="Path of a PEM file without a password. Empty if the key is in the file of the certificate.",
    )
    trust_env: bool = Field(
        default=False,
        title="Use the system's proxy",
        description="Send requests through the proxy that the variables HTTPS_PROXY, HTTP_PROXY and NO_PROXY name.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.network()
        return self

    def network(self) -> Network:
        """Return the settings for a client. Raises `InvalidInput`, which shows no value of a header."""
        headers = self.headers.get_secret_value()
        for name, value in headers.items():
            if not isinstance(value, str):
                raise InvalidInput(f"headers.{name[:80]}", "give a text, in quotes.")
        return Network(headers, self.client_certificate or "", self.client_key or "", self.trust_env)
