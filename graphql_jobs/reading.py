"""Reading what a server sent without trusting it: types checked, texts cut, instants parsed. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import orjson

#: An entry of an answer: whatever JSON object the server sent.
Entry = dict[str, Any]


#: Our choice: an id or a status word is never longer, and a server may send anything.
MAX_WORD_CHARACTERS = 200
#: An id that was just made must not be cut to another one: it is read whole, and refused if it is too long.
MAX_ANSWER_ID_CHARACTERS = 1_000
#: Our choice: pre-signed addresses have some hundred characters.
MAX_ADDRESS_CHARACTERS = 10_000


def decoded(text: str) -> Any:
    """The JSON value in `text`. Raises `ValueError`.

    orjson takes half the time of the standard library, and refuses what is not strictly JSON: NaN, and half of a
    surrogate pair, which cannot be sent on and becomes a question mark.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        lenient = json.loads(text)
        return json.loads(json.dumps(lenient, ensure_ascii=False).encode(errors="replace"))


def text_or_none(entry: Entry, name: str, max_characters: int = MAX_WORD_CHARACTERS) -> str | None:
    """The value, cut, if it is text or a whole number (ids come as both), else None."""
    value = entry.get(name)
    if value is None:
        return None
    if type(value) is str:  # nearly always; this runs several times for each task of each job
        return value if len(value) <= max_characters else value[:max_characters]
    return str(value)[:max_characters] if isinstance(value, int) and not isinstance(value, bool) else None


def objects(value: object) -> list[Entry]:
    """The objects in a list; anything else in it, or instead of it, is passed over."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def short_or_none(value: object) -> str | float | None:
    """What may be an instant, to be read when it is asked for; None for anything else, and for what is long."""
    if type(value) is str:
        return value if len(value) <= MAX_WORD_CHARACTERS else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def instant_or_none(value: object) -> datetime | None:
    """An instant from ISO 8601 text, epoch seconds or epoch milliseconds; None for anything else.

    Also for what lies before 1970: aiWARE prints the year 1 where it knows no time.
    """
    if value is None:
        return None
    try:
        if isinstance(value, str):
            parsed = datetime.fromisoformat(value)
            return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)) if parsed.year >= 1970 else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            # aiWARE takes both; a number of seconds this large would be the year 5138.
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC) if value > 0 else None
    except (ValueError, OverflowError, OSError):
        return None
    return None
