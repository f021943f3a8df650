"""Clients for the commands: with credentials from the environment, or from a Prefect block."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from graphql_jobs.errors import InvalidInput
from graphql_jobs.providers.aiware import AiwareClient
from graphql_jobs.providers.datasaur import DatasaurClient
from graphql_jobs.transport.auth import BearerToken, ClientCredentials
from graphql_jobs.urls import base_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphql_jobs.providers.base import JobClient

#: The variables of each provider, and what they are. No option takes a secret: other processes can read options.
VARIABLES: Mapping[str, Mapping[str, str]] = {
    "aiware": {
        "AIWARE_URL": "Address of the installation; `https://api.veritone.com` if not set.",
        "AIWARE_TOKEN": "API key, or a session or OAuth token.",
    },
    "datasaur": {
        "DATASAUR_URL": "Address of the installation; `https://app.datasaur.ai` if not set.",
        "DATASAUR_CLIENT_ID": "Client id, together with the client secret.",
        "DATASAUR_CLIENT_SECRET": "Client secret.",
        "DATASAUR_TOKEN": "A token, instead of client id and secret.",
    },
}
_NO_PREFECT_PART = (
    "it needs Prefect. Install graphql-jobs, or run `python -m graphql_jobs.cli` from the root of a clone."
)


async def client_for(provider: str, block: str | None) -> JobClient:
    """Return a client of the provider, with the credentials of the block if one is named. Raises `InvalidInput`."""
    if block is None and provider not in _CONNECT:
        known = f"{provider[:80]!r} is not one of {', '.join(_CONNECT)}"
        raise InvalidInput("--provider", f"{known}. Give --block for another one.")
    if block is None:
        client = _CONNECT[provider](os.environ)
        given = ", ".join(name for name in VARIABLES[provider] if os.environ.get(name))
        client.session.source = f"the environment ({given})"
        return client
    load = prefect_part("blocks.load", "--block")
    credentials = await load.load_credentials(provider, block, "--block")
    connected: JobClient = credentials.get_client()
    return connected


def prefect_part(module: str, parameter: str) -> Any:
    """Return a module that may use Prefect, such as `blocks.load`. Raises `InvalidInput` if there is none.

    By name, since the core does not depend on these modules. The wheel has them in `graphql_jobs_prefect`, and a clone
    at its root.
    """
    for name in (f"graphql_jobs_prefect.{module}", module):
        with suppress(ModuleNotFoundError):
            return import_module(name)
    raise InvalidInput(parameter, _NO_PREFECT_PART)


def _aiware(environment: Mapping[str, str]) -> JobClient:
    url = base_url(environment.get("AIWARE_URL") or "https://api.veritone.com", "AIWARE_URL")
    return AiwareClient.connect(url, _token(environment, "AIWARE_TOKEN"))


def _datasaur(environment: Mapping[str, str]) -> JobClient:
    url = base_url(environment.get("DATASAUR_URL") or "https://app.datasaur.ai", "DATASAUR_URL")
    client_id, secret = (environment.get(f"DATASAUR_CLIENT_{name}", "") for name in ("ID", "SECRET"))
    if bool(client_id) != bool(secret):
        name = "DATASAUR_CLIENT_SECRET" if client_id else "DATASAUR_CLIENT_ID"
        raise InvalidInput(name, "it is not set.")
    if not client_id:
        return DatasaurClient.connect(url, _token(environment, "DATASAUR_TOKEN", "DATASAUR_CLIENT_ID"))
    return DatasaurClient.connect(url, ClientCredentials(f"{url}/api/oauth/token", client_id, secret))


def _token(environment: Mapping[str, str], name: str, instead: str = "") -> BearerToken:
    if not environment.get(name):
        other = f", nor is {instead}" if instead else ""
        raise InvalidInput(name, f"the environment variable is not set{other}. Or give --block.")
    try:
        return BearerToken(environment[name])
    except InvalidInput as error:
        raise InvalidInput(name, error.problem) from None


_CONNECT: Mapping[str, Callable[[Mapping[str, str]], JobClient]] = {"aiware": _aiware, "datasaur": _datasaur}
