"""Addresses in plain JSON: their queries may be signatures, which differ each time and let anybody in. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s\"'<>\\]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*\Z")
_AFTER_SCHEME = re.compile(r"[^\s\"'<>\\]+")
#: Our choice: so much before "://" is searched for a scheme. A search without a bound would take quadratic time.
_SCHEME_CHARACTERS = 30


def addresses_in(plain: object) -> Iterator[str]:
    """All addresses anywhere in plain JSON, also in the names of fields and in the midst of a text.

    In linear time and without recursion: it may be all that a caller submits.
    """
    left = [plain]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield from _addresses_of(one)
        elif isinstance(one, dict):
            left += [part for item in reversed(one.items()) for part in item]
        elif isinstance(one, list | tuple):
            left += reversed(one)


def _addresses_of(text: str) -> Iterator[str]:
    end = 0
    while (at := text.find("://", end)) >= 0:
        scheme = _SCHEME.search(text, max(end, at - _SCHEME_CHARACTERS), at)
        end = at + 3
        if scheme and (rest := _AFTER_SCHEME.match(text, end)):
            end = rest.end()
            yield text[scheme.start() : end]


def without_queries(plain: Any) -> Any:
    """The same plain JSON; of each text that is an address, the part before its query."""
    if isinstance(plain, str):
        return plain.partition("?")[0] if _ADDRESS.fullmatch(plain.strip()) else plain
    if isinstance(plain, dict):
        return {name: without_queries(value) for name, value in plain.items()}
    return [without_queries(value) for value in plain] if isinstance(plain, list) else plain
