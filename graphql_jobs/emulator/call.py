"""One GraphQL call, as the resolvers see it."""

from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from graphql import GraphQLError

from graphql_jobs.emulator.accounts import Accounts
from graphql_jobs.emulator.answers import Answer
from graphql_jobs.emulator.bodies import GraphqlRequest
from graphql_jobs.emulator.execution import Outline

World = TypeVar("World")


@dataclass
class Call(Generic[World]):
    """The inputs and additional outputs of resolvers."""

    world: World
    accounts: Accounts
    request: GraphqlRequest
    now_at: float
    base_url: str
    # Jobs whose status was read, once per read.
    job_ids: list[str] = field(default_factory=list)
    # Status words that the schema's enum lacks, with their path in the reply.
    unknown_words: list[tuple[list[str | int], str]] = field(default_factory=list)

    def place_unknown_words(self, data: Any) -> None:
        """Write the words into the reply's data."""
        for path, word in self.unknown_words:
            holder = data
            for step in path[:-1]:
                holder = holder and holder[step]
            if holder:
                holder[path[-1]] = word


class Dialect(Protocol):
    """The format of one provider's failures."""

    def failure(self, name: str, outline: Outline) -> Answer:
        """Return the whole answer to a request that fails with `name`, one of aiWARE's documented error names."""
        ...

    def entry(self, name: str, message: str, path: list[str | int] | None = None) -> dict[str, Any]:
        """Return one item of `errors`."""
        ...

    def format_error(self, error: GraphQLError, debug: bool) -> dict[str, Any]:
        """Return one item of `errors` for an error in execution."""
        ...

    def finish(self, reply: dict[str, Any]) -> dict[str, Any]:
        """Return the reply with the provider's additions."""
        ...

    def too_large(self, size_bytes: int, limit_bytes: int) -> Answer:
        """Return the answer to a body above the limit."""
        ...
