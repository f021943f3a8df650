"""A response whose data can be used, and the errors of its single fields."""

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
    """A response whose `data` can be used. `field_errors` holds the errors of single fields, by their path."""

    data: dict[str, Any]
    field_errors: Mapping[tuple[str | int, ...], errors.RequestFailed] = field(default_factory=dict)
    #: Errors that name no field but an object, by its id.
    object_errors: Mapping[str, errors.RequestFailed] = field(default_factory=dict)

    def error_at(self, alias: str) -> errors.RequestFailed | None:
        """Why the root field `alias` has no value: an error at or below it, else one that names no field."""
        return self.error_below(alias) or self.field_errors.get(())

    def error_below(self, *path: str | int, but_for: Container[object] = ()) -> errors.RequestFailed | None:
        """The first error at or below this path, except at fields with the names `but_for`."""
        if not self.field_errors:  # nearly always, and this runs for each job
            return None
        found = (error for at, error in self.field_errors.items() if at[: len(path)] == path and at[-1] not in but_for)
        return next(found, None)


def log_bug(bug: Exception) -> str:
    """Log a bug in reading a part of a response. Gives the detail for the `bad_answer` about that part alone."""
    # The traceback without the exception's text, which may be the server's.
    logger.error("A bug in reading an answer:\n%s", "".join(format_tb(bug.__traceback__)))
    return f"reading it raised {type(bug).__name__}."


def read_response(
    dialect: Dialect, result: ExecutionResult | None, error_of: Callable[[Diagnosis], errors.RequestFailed]
) -> Response:
    """The response to a request that did not fail as a whole; `error_of` makes the errors."""
    data = result.data if result and result.data else {}
    found: dict[tuple[str | int, ...], errors.RequestFailed] = {}
    by_object: dict[str, errors.RequestFailed] = {}
    for entry in error_entries(result.errors if result else None):
        path = entry.get("path") if root_of(entry, data) else None
        error = error_of(Diagnosis(dialect.kind_of(entry) or errors.OperationFailed, words_of(dialect, [entry])))
        at = tuple(step for step in path if isinstance(step, str | int)) if isinstance(path, list) else ()
        if not at and (object_id := dialect.object_of(entry)):
            by_object[object_id] = error
        # Of several errors at one path, "not found" counts least: it would be taken for the truth about a job.
        if at not in found or isinstance(found[at], errors.NotFound):
            found[at] = error
    return Response(data, found, by_object)
