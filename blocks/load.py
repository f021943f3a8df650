"""Load saved blocks by name. Flows take names of blocks, since a parameter must not contain a secret."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Annotated, Any, TypeVar

from prefect.blocks.core import Block
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import Field

from blocks.aiware import AiwareCredentials
from blocks.api import ask, persistent
from blocks.datasaur import DatasaurCredentials
from blocks.graphql_job_provider import GraphqlJobProvider
from blocks.runs.job_run import JobCredentials
from graphql_jobs.errors import InvalidInput

B = TypeVar("B", bound=Block)

#: The credentials blocks of the built-in providers. An installed package names its block in an entry point of `_GROUP`.
_CREDENTIALS: dict[str, type[Any]] = {"aiware": AiwareCredentials, "datasaur": DatasaurCredentials}
_GROUP = "graphql_jobs.credentials"

#: A provider, as flow parameters spell it. It is no select: a package or a block may bring another one at any time.
ProviderName = Annotated[
    str,
    Field(
        title="Provider",
        description=f"The service, in lower case: {', '.join(_CREDENTIALS)}, or a provider of an installed package "
        "or of a GraphQL Job Provider block.",
        examples=list(_CREDENTIALS),
        pattern=r"^[a-z][a-z0-9_-]{0,39}$",
    ),
]

#: Part of the message of Prefect's client if there is no such block.
_UNKNOWN = "Unable to find block document"


async def load_credentials(provider: ProviderName, name: str, parameter: str = "credentials") -> JobCredentials:
    """Return the credentials block `name` of `provider`: built in, installed, or declared by the block itself.

    Raises what `load_block` raises, and `InvalidInput`, which lists the known providers, for another one.
    """
    if block_class := _CREDENTIALS.get(provider) or _installed(provider):
        credentials: JobCredentials = await load_block(block_class, name, parameter)
        return credentials
    try:
        block = await load_block(GraphqlJobProvider, name, parameter)
    except InvalidInput as error:
        known = ", ".join(sorted({*_CREDENTIALS, *entry_points(group=_GROUP).names}))
        unknown = f"the provider {provider[:80]!r} is not built in or installed (known: {known}), and"
        # Without a block's name, the caller gave only the provider.
        raise InvalidInput("provider" if name == provider else parameter, f"{unknown} {error.problem}") from None
    if block.provider != provider:
        raise InvalidInput(
            parameter, f"the block {name!r} declares the provider {block.provider}, not {provider[:80]!r}."
        )
    return block


def _installed(provider: str) -> type[Any] | None:
    """Return the credentials block of an installed package. Raises `InvalidInput` if it cannot be imported."""
    for entry_point in entry_points(group=_GROUP, name=provider):
        try:
            block_class: type[Any] = entry_point.load()
        except Exception as error:  # the package's own
            words = f"the package of the provider {provider!r} cannot be imported: {type(error).__name__}."
            raise InvalidInput("provider", words) from None
        return block_class
    return None


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
