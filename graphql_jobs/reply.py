"""What a request gave that can be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql_jobs import errors


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose `data` can be used. `field_errors` holds what was wrong with single fields, by their path."""

    data: dict[str, Any]
    field_errors: Mapping[tuple[str | int, ...], errors.RequestFailed] = field(default_factory=dict)
    #: Errors that name no field, by the id of the object that they do name.
    object_errors: Mapping[str, errors.RequestFailed] = field(default_factory=dict)

    def error_at(self, alias: str) -> errors.RequestFailed | None:
        """The first error at or below the root field `alias`, or one that names no field: for a field that is null."""
        return next((error for path, error in self.field_errors.items() if path[:1] in {(), (alias,)}), None)
