"""aiWARE's failures: entries with a top-level `name`, HTTP 200 unless said otherwise (docs/providers/aiware.md)."""

import logging
from typing import Any

from graphql import GraphQLError

from graphql_jobs.emulator.answers import Answer, json_answer
from graphql_jobs.emulator.clock import Clock
from graphql_jobs.emulator.execution import Outline
from graphql_jobs.emulator.ids import IdFactory
from graphql_jobs.emulator.lifecycle import iso_text

_LOG = logging.getLogger(__name__)

# The first two are documented texts; the others are invented.
_MESSAGES = {
    "not_found": "The requested object was not found",
    "not_allowed": "The authenticated user or token is not authorized to perform the requested action.",
    "authentication_error": "The token is missing, invalid or expired.",
    "capacity_exceeded": "The query is too expensive for the allotted capacity.",
    "internal_error": "An internal error occurred.",
}


class AiwareError(Exception):
    """A resolver refuses: `name` is one of the documented codes, `data` the other fields of the entry."""

    def __init__(self, name: str, message: str | None = None, **data: Any) -> None:
        super().__init__(name, message)
        self.name = name
        self.message = message or _MESSAGES[name]
        self.data = data


class AiwareDialect:
    """The format of aiWARE's failures."""

    def __init__(self, clock: Clock, ids: IdFactory, auth_failure_http_status: int) -> None:
        self._clock = clock
        self._ids = ids
        self._auth_failure_http_status = auth_failure_http_status

    def entry(self, name: str, message: str, path: list[str | int] | None = None, **data: Any) -> dict[str, Any]:
        """Return one item of `errors`."""
        entry: dict[str, Any] = {
            "message": message,
            "name": name,
            "time_thrown": iso_text(self._clock.now()),
            "data": {**data, "errorId": self._ids.error_id()},
        }
        return entry if path is None else {**entry, "path": path}

    def failure(self, name: str, outline: Outline) -> Answer:
        """Return the whole answer to a request that fails with `name`: null for all root fields, as documented."""
        data = _missing_right(outline) if name == "not_allowed" else {}
        errors = [self.entry(name, _MESSAGES[name], **data)]
        status = self._auth_failure_http_status if name == "authentication_error" else 200
        return json_answer({"errors": errors, "data": dict.fromkeys(outline.keys)}, status)

    def format_error(self, error: GraphQLError, debug: bool) -> dict[str, Any]:
        """Return one item of `errors` for an error in execution, or before it."""
        cause = error.original_error
        if isinstance(cause, AiwareError):
            entry = self.entry(cause.name, cause.message, error.path, **cause.data)
        elif cause is None or isinstance(cause, GraphQLError):
            # Invented: the body of a request that never reached a resolver is not published.
            entry = self.entry("invalid_input", error.message, error.path)
        else:
            _LOG.error("a resolver of the emulator broke", exc_info=cause)
            entry = self.entry("internal_error", _MESSAGES["internal_error"], error.path)
        places = [{"line": place.line, "column": place.column} for place in error.locations or ()]
        return {**entry, "locations": places} if places else entry

    def finish(self, reply: dict[str, Any]) -> dict[str, Any]:
        """Return the reply unchanged."""
        return reply

    def too_large(self, size_bytes: int, limit_bytes: int) -> Answer:
        """Return a 413 with limit and size, and without `data` (documented)."""
        message = f"The request is larger than the maximum of {limit_bytes} bytes"
        entry = self.entry("invalid_input", message, limitInBytes=limit_bytes, requestSize=size_bytes)
        return json_answer({"errors": [entry]}, 413)


def _missing_right(outline: Outline) -> dict[str, Any]:
    """Return the right that a field needs. The rights are invented except for their format."""
    field = outline.fields[0] if outline.fields else ""
    return {"field": field, "type": "Mutation" if outline.is_mutation else "Query", "rights": ["job:read"]}
