"""aiWARE's scalars: dates in three forms on input, one on output."""

from datetime import UTC, datetime
from typing import Any

from ariadne import ScalarType
from graphql import GraphQLError

from graphql_jobs.emulator.lifecycle import iso_text

# Our choice: numbers above this are milliseconds (as seconds they would lie beyond the year 5000).
_MILLISECONDS_FROM = 100_000_000_000


def read_instant(value: Any) -> float:
    """Return epoch seconds from ISO text, epoch seconds or milliseconds. Raises GraphQLError for other values."""
    try:
        return _from_number(float(value)) if _is_number(value) else _from_text(value)
    except (TypeError, ValueError) as error:
        raise GraphQLError(f"not a date: {value!r}") from error


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return value.removeprefix("-").isdecimal()
    return isinstance(value, int | float) and not isinstance(value, bool)


def _from_number(number: float) -> float:
    return number / 1000 if abs(number) >= _MILLISECONDS_FROM else number


def _from_text(text: str) -> float:
    instant = datetime.fromisoformat(text)
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


date_time = ScalarType(
    "DateTime",
    # Whole seconds, as in every sample of a job (docs/providers/aiware.md#ids-and-instants).
    serializer=lambda instant_at: iso_text(instant_at, whole_seconds=True),
    value_parser=read_instant,
)
