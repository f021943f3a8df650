"""One GraphQL call on its way through the resolvers."""

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
    """What resolvers may use, and what they leave behind."""

    world: World
    accounts: Accounts
    request: GraphqlRequest
    now_at: float
    base_url: str
    # Jobs whose status was read, once for each time.
    job_ids: list[str] = field(default_factory=list)
    # Status words that the schema's enum lacks, with their place in the reply.
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
    """How one provider words its failures."""

    def failure(self, name: str, outline: Outline) -> Answer:
        """The whole answer to a request that fails for `name`: one of aiWARE's documented error names."""
        ...

    def entry(self, name: str, message: str, path: list[str | int] | None = None) -> dict[str, Any]:
        """One item of `errors`."""
        ...

    def format_error(self, error: GraphQLError, debug: bool) -> dict[str, Any]:
        """One item of `errors` for what went wrong in execution."""
        ...

    def finish(self, reply: dict[str, Any]) -> dict[str, Any]:
        """The reply with whatever the provider adds to every one."""
        ...

    def too_large(self, size_bytes: int, limit_bytes: int) -> Answer:
        """The answer to a body above the limit."""
        ...
