"""Read untrusted responses: check types, cut texts, parse instants. Pure."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

#: A JSON object in a response.
Entry = dict[str, Any]


#: Our choice: the maximum length of an id or a status word.
MAX_WORD_CHARACTERS = 200
#: The id of a new job is not cut: it is refused if it is longer.
MAX_ANSWER_ID_CHARACTERS = 1_000
#: Our choice: pre-signed URLs have a few hundred characters.
MAX_ADDRESS_CHARACTERS = 10_000
#: Our choice: the maximum length of a value in a message.
MAX_BRIEF_CHARACTERS = 10_000
#: Our choice: engines' results have fewer than 20 levels. When orjson 3.13.0 encodes more than 200 levels, it writes
#: beyond the end of its buffer, and the process crashes.
MAX_DEPTH = 128
#: Our choice: an HTTP date has 29 characters.
_MAX_DATE_CHARACTERS = 100
_CONTAINERS = frozenset({dict, list, tuple})
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def decoded(text: str) -> Any:
    """Return the JSON value in `text`. Raises `ValueError`, also if it is nested more deeply than `MAX_DEPTH`.

    orjson takes half the time of the standard library, which reads what orjson refuses: NaN, and half of a surrogate
    pair, which cannot be encoded and becomes a question mark.
    """
    try:
        value = orjson.loads(text)
    except ValueError:
        value = _leniently(text)
    # An upper bound that is fast for a list of objects: "},{" starts no new level, also if it is part of a string.
    levels = text.count("[") + text.count("{") - text.count("},{")
    if levels > MAX_DEPTH and not is_shallow(value):
        raise ValueError("nested too deeply")
    return value


def _leniently(text: str) -> Any:
    try:
        value = json.loads(text)
        if _SURROGATE.search(text):
            value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def is_shallow(value: object) -> bool:
    """Whether JSON is nested at most `MAX_DEPTH` levels deep, so that recursive functions can process it."""
    level: list[Any] = [[value]]  # one more level
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in _CONTAINERS
        ]
        if not level:
            return True
    return False


def brief(value: object) -> str:
    """Return a JSON value as text of bounded length: text unchanged, other values as JSON, null as the empty text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        try:
            value = json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError):  # a number that is too large, or a full stack
            value = f"something that cannot be shown ({type(value).__name__})"
    return value[:MAX_BRIEF_CHARACTERS]


def http_date_or_none(text: str | None) -> datetime | None:
    """Return the instant of an HTTP date (RFC 9110 5.6.7), or None for other text or without a time zone."""
    if not text or len(text) > _MAX_DATE_CHARACTERS:
        return None
    try:
        parsed = parsedate_to_datetime(text)
        return parsed if parsed.tzinfo else None
    except Exception:  # the parser is made for e-mails, and raises various errors
        return None


def text_or_none(entry: Entry, name: str, max_characters: int = MAX_WORD_CHARACTERS) -> str | None:
    """Return the value, cut, if it is text or an integer (ids may be either), else None."""
    value = entry.get(name)
    if value is None:
        return None
    if type(value) is str:  # nearly always; this runs several times for each task of each job
        return value if len(value) <= max_characters else value[:max_characters]
    return str(value)[:max_characters] if isinstance(value, int) and not isinstance(value, bool) else None


def objects(value: object) -> list[Entry]:
    """Return the objects in a list, ignoring other items. Other values count as an empty list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def short_or_none(value: object) -> str | float | None:
    """Return a value that may be an instant, unparsed, or None for other values and long texts."""
    if type(value) is str:
        return value if len(value) <= MAX_WORD_CHARACTERS else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def instant_or_none(value: object) -> datetime | None:
    """Return an instant from ISO 8601 text, epoch seconds or epoch milliseconds, or None for other values.

    Instants before 1970 are also None: aiWARE prints the year 1 for an unknown time.
    """
    if value is None:
        return None
    try:
        if isinstance(value, str):
            parsed = datetime.fromisoformat(value)
            return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)) if parsed.year >= 1970 else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            # aiWARE accepts both; a number of seconds this large would be the year 5138.
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC) if value > 0 else None
    except (ValueError, OverflowError, OSError):
        return None
    return None
