"""A response with usable data, and the errors of its single fields."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from traceback import format_tb
from typing import TYPE_CHECKING, Any

from graphql_jobs import errors
from graphql_jobs.transport.diagnosis import Diagnosis, Dialect, error_entries, root_of, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from graphql import ExecutionResult

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Response:
    """A response with usable `data`. `field_errors` has the errors of single fields by their paths."""

    data: dict[str, Any]
    field_errors: Mapping[tuple[str | int, ...], errors.RequestFailed] = field(default_factory=dict)
    #: Errors that name an object instead of a field, by its id.
    object_errors: Mapping[str, errors.RequestFailed] = field(default_factory=dict)

    def error_at(self, alias: str) -> errors.RequestFailed | None:
        """Return why the root field `alias` has no value: an error at or below it, else one without a field."""
        return self.error_below(alias) or self.field_errors.get(())

    def error_below(self, *path: str | int, but_for: Container[object] = ()) -> errors.RequestFailed | None:
        """Return the first error at or below this path, except at fields with the names `but_for`."""
        if not self.field_errors:  # nearly always, and this runs for each job
            return None
        found = (error for at, error in self.field_errors.items() if at[: len(path)] == path and at[-1] not in but_for)
        return next(found, None)


def log_bug(bug: Exception) -> str:
    """Log a bug in reading a part of a response. Return the detail for that part's `bad_answer`."""
    # The traceback without the exception's text, which may contain the server's text.
    logger.error("A bug in reading an answer:\n%s", "".join(format_tb(bug.__traceback__)))
    return f"reading it raised {type(bug).__name__}."


def read_response(
    dialect: Dialect, result: ExecutionResult | None, error_of: Callable[[Diagnosis], errors.RequestFailed]
) -> Response:
    """Return the response to a request that did not fail as a whole; `error_of` creates the errors."""
    data = result.data if result and result.data else {}
    found: dict[tuple[str | int, ...], errors.RequestFailed] = {}
    by_object: dict[str, errors.RequestFailed] = {}
    for entry in error_entries(result.errors if result else None):
        path = entry.get("path") if root_of(entry, data) else None
        error = error_of(Diagnosis(dialect.kind_of(entry) or errors.OperationFailed, words_of(dialect, [entry])))
        at = tuple(step for step in path if isinstance(step, str | int)) if isinstance(path, list) else ()
        if not at and (object_id := dialect.object_of(entry)):
            by_object[object_id] = error
        # Of several errors at one path, "not found" counts least: it would count as a fact about the job.
        if at not in found or isinstance(found[at], errors.NotFound):
            found[at] = error
    return Response(data, found, by_object)
