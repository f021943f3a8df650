"""What a request gave that can be used."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from traceback import format_tb
from typing import TYPE_CHECKING, Any, TypeVar

from graphql_jobs import errors
from graphql_jobs.transport.diagnosis import Diagnosis, Dialect, error_entries, root_of, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from graphql import ExecutionResult

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Response:
    """An answer whose `data` can be used. `field_errors` holds what was wrong with single fields, by their path."""

    data: dict[str, Any]
    field_errors: Mapping[tuple[str | int, ...], errors.RequestFailed] = field(default_factory=dict)
    #: Errors that name no field, by the id of the object that they do name.
    object_errors: Mapping[str, errors.RequestFailed] = field(default_factory=dict)

    def error_at(self, alias: str) -> errors.RequestFailed | None:
        """An error at or below the root field `alias`, else one that names no field: for a field without a value."""
        return self.error_below(alias) or self.field_errors.get(())

    def error_below(self, *path: str | int, but_for: Container[object] = ()) -> errors.RequestFailed | None:
        """The first error at or below this path, but for those at fields of these names."""
        found = (error for at, error in self.field_errors.items() if at[: len(path)] == path and at[-1] not in but_for)
        return next(found, None)


def read_or_bad_reply(
    bad_answer: Callable[[str, str, str], errors.RequestFailed], read: Callable[[], T], operation: str, subject: str
) -> T | errors.RequestFailed:
    """What `read` makes of a part of an answer. What it does not expect is a `bad_answer` about that part alone."""
    try:
        return read()
    except Exception as bug:
        # Where, but not why: the text of the exception is the server's.
        logger.error("A bug in reading an answer:\n%s", "".join(format_tb(bug.__traceback__)))
        return bad_answer(operation, subject, f"reading it raised {type(bug).__name__}.")


def read_response(
    dialect: Dialect, result: ExecutionResult | None, error_of: Callable[[Diagnosis], errors.RequestFailed]
) -> Response:
    """The answer of a request that did not fail as a whole; `error_of` makes the errors."""
    data = result.data if result and result.data else {}
    found: dict[tuple[str | int, ...], errors.RequestFailed] = {}
    by_object: dict[str, errors.RequestFailed] = {}
    for entry in error_entries(result.errors if result else None):
        path = entry.get("path") if root_of(entry, data) else None
        error = error_of(Diagnosis(dialect.kind_of(entry) or errors.OperationFailed, words_of(dialect, [entry])))
        at = tuple(step for step in path if isinstance(step, str | int)) if isinstance(path, list) else ()
        if not at and (object_id := dialect.object_of(entry)):
            by_object[object_id] = error
        # Of several, one that says "not found" counts least: it would be believed.
        if at not in found or isinstance(found[at], errors.NotFound):
            found[at] = error
    return Response(data, found, by_object)
