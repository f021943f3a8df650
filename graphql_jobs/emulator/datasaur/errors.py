"""Datasaur's failures: `errors[].message` and `errors[].extensions.type` (docs/providers/datasaur.md)."""

import logging
from typing import Any

from graphql import GraphQLError

from graphql_jobs.emulator.answers import Answer, json_answer
from graphql_jobs.emulator.execution import Outline

_LOG = logging.getLogger(__name__)

# aiWARE's error names -> (message, extensions.type) here. Only the first pair is attested; the others are invented.
_WORDING = {
    "authentication_error": ("Unauthorized", "AuthenticationError"),
    "not_allowed": ("Forbidden", "ForbiddenError"),
    "capacity_exceeded": ("Query is too complex", "QueryComplexityError"),
    "internal_error": ("Internal server error", "InternalServerError"),
    "rate_limited": ("Too many requests", "TooManyRequestsError"),
    "service_failure": ("Internal server error", "InternalServerError"),
    "not_found": ("Not found", "NotFoundError"),
    "invalid_input": ("Invalid input", "UserInputError"),
}


class DatasaurError(Exception):
    """A resolver refuses. Invented wording: no sample of a refused operation is public."""

    def __init__(self, message: str, name: str = "not_found") -> None:
        super().__init__(message, name)
        self.message = message
        self.name = name


class DatasaurDialect:
    """The format of Datasaur's failures."""

    def __init__(self, auth_failure_http_status: int) -> None:
        self._auth_failure_http_status = auth_failure_http_status

    def entry(self, name: str, message: str, path: list[str | int] | None = None) -> dict[str, Any]:
        """Return one item of `errors`."""
        entry: dict[str, Any] = {"message": message, "extensions": {"type": _WORDING[name][1]}}
        return entry if path is None else {**entry, "path": path}

    def failure(self, name: str, outline: Outline) -> Answer:
        """Return the whole answer to a request that fails with `name`; data is null: most root fields are required."""
        status = self._auth_failure_http_status if name == "authentication_error" else 200
        return json_answer({"errors": [self.entry(name, _WORDING[name][0])], "data": None}, status)

    def format_error(self, error: GraphQLError, debug: bool) -> dict[str, Any]:
        """Return one item of `errors` for an error in execution, or before it."""
        cause = error.original_error
        if isinstance(cause, DatasaurError):
            entry = self.entry(cause.name, cause.message, error.path)
        elif cause is None or isinstance(cause, GraphQLError):
            entry = self.entry("invalid_input", error.message, error.path)
        else:
            _LOG.error("a resolver of the emulator broke", exc_info=cause)
            entry = self.entry("internal_error", _WORDING["internal_error"][0], error.path)
        places = [{"line": place.line, "column": place.column} for place in error.locations or ()]
        return {**entry, "locations": places} if places else entry

    def finish(self, reply: dict[str, Any]) -> dict[str, Any]:
        """Add empty extensions, as in the documentation's samples."""
        return {**reply, "extensions": {}}

    def too_large(self, size_bytes: int, limit_bytes: int) -> Answer:
        """Return a 413 (invented: neither limit nor body is published)."""
        message = f"Request of {size_bytes} bytes is larger than {limit_bytes} bytes"
        return json_answer({"errors": [self.entry("invalid_input", message)]}, 413)
