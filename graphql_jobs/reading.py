"""Reading what a server sent without trusting it: types checked, texts cut, instants parsed. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

#: An entry of an answer: whatever JSON object the server sent.
Entry = dict[str, Any]


def text_or_none(entry: Entry, name: str) -> str | None:
    """The value if it is text or a whole number (ids come as both), else None."""
    value = entry.get(name)
    if value is None or type(value) is str:  # nearly always; this runs several times for each task of each job
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def objects(value: object) -> list[Entry]:
    """The objects in a list; anything else in it, or instead of it, is passed over."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def instant_or_none(value: object) -> datetime | None:
    """An instant from ISO 8601 text with a zone, epoch seconds or epoch milliseconds; None for anything else."""
    if value is None:
        return None
    try:
        if isinstance(value, str):
            parsed = datetime.fromisoformat(value)
            return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            # aiWARE takes both; a number of seconds this large would be the year 5138.
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None
