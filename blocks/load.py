"""Load saved blocks by name. Flows take names of blocks, since a parameter must not contain a secret."""

from __future__ import annotations

from typing import Literal, TypeVar

from prefect.blocks.core import Block
from prefect.exceptions import PrefectHTTPStatusError

from blocks.aiware import AiwareCredentials
from blocks.api import ask, persistent
from blocks.datasaur import DatasaurCredentials
from blocks.runs.job_run import JobCredentials
from graphql_jobs.errors import InvalidInput

B = TypeVar("B", bound=Block)

#: The providers, as flow parameters spell them.
ProviderName = Literal["aiware", "datasaur"]

_CREDENTIALS: dict[str, type[AiwareCredentials] | type[DatasaurCredentials]] = {
    "aiware": AiwareCredentials,
    "datasaur": DatasaurCredentials,
}

#: Part of the message of Prefect's client if there is no such block.
_UNKNOWN = "Unable to find block document"


async def load_credentials(provider: ProviderName, name: str, parameter: str = "credentials") -> JobCredentials:
    """Return the credentials block `name` of `provider`. Raises what `load_block` raises, also for another provider."""
    if provider not in _CREDENTIALS:
        raise InvalidInput(parameter, f"there are no credentials for the provider {provider[:80]!r}.")
    return await load_block(_CREDENTIALS[provider], name, parameter)


async def load_block(block_class: type[B], name: str, parameter: str) -> B:
    """Return the saved block `name`. Raises `InvalidInput`, which lists the saved blocks or names the wrong fields."""
    try:
        # With such a name in the URL, Prefect's client would request another resource, or fail.
        if not name.isprintable() or not name.strip("./ "):
            raise ValueError(_UNKNOWN)
        return await persistent(lambda: block_class.aload(name))
    except InvalidInput as error:
        raise InvalidInput(parameter, f"{error.parameter}: {error.problem}") from None
    except ValueError as error:
        if _UNKNOWN not in str(error):
            raise InvalidInput(parameter, f"the block {name!r} cannot be loaded: {type(error).__name__}.") from None
    slug = block_class.get_block_type_slug()
    try:
        documents = await ask(lambda client: client.read_block_documents_by_type(slug))
    except PrefectHTTPStatusError:  # the block type is not registered
        documents = []
    saved = [document.name or "" for document in documents]
    known = f"Saved ones: {', '.join(sorted(saved))}." if saved else "None of that type is saved."
    kind = block_class.get_block_type_name()
    raise InvalidInput(parameter, f"there is no {kind} block named {name!r}. {known} Create it in the UI under Blocks.")
