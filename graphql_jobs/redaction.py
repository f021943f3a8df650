"""Making a server's text fit for a message: without secrets, on one line, bounded. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

#: Our choice: enough for a sentence and an id in a log line; servers may send megabytes.
MAX_DETAIL_CHARACTERS = 400
#: Our choice: how much of a text is searched for secrets before it is cut.
_SEARCHED_CHARACTERS = 10_000


def redacted(text: str, secrets: AbstractSet[str]) -> str:
    """`text` cut to `MAX_DETAIL_CHARACTERS`, its control characters as blanks, each of the `secrets` as three stars."""
    longest_first = sorted(secrets, key=len, reverse=True)  # one secret may hold another
    window = text[:_SEARCHED_CHARACTERS]
    for secret in longest_first:
        window = window.replace(secret, "***")
    if len(text) > _SEARCHED_CHARACTERS and longest_first:
        window = window[: -len(longest_first[0])]  # the window may have cut through a secret at its end
    printable = "".join(character if character.isprintable() else " " for character in window)
    cut = printable[:MAX_DETAIL_CHARACTERS]
    return cut if len(text) <= _SEARCHED_CHARACTERS and cut == printable else f"{cut}..."
