"""Addresses in plain JSON: their queries may be signatures, which differ each time and let anybody in. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s\"'<>\\]+")


def addresses_in(plain: object) -> Iterator[str]:
    """All addresses anywhere in plain JSON, also in the names of fields and in the midst of a text."""
    if isinstance(plain, str):
        yield from _ADDRESS.findall(plain)
    elif isinstance(plain, dict):
        for name, value in plain.items():
            yield from addresses_in(value)
            yield from addresses_in(name)
    elif isinstance(plain, list | tuple):
        for value in plain:
            yield from addresses_in(value)


def without_queries(plain: Any) -> Any:
    """The same plain JSON; of each text that is an address, the part before its query."""
    if isinstance(plain, str):
        return plain.partition("?")[0] if _ADDRESS.fullmatch(plain.strip()) else plain
    if isinstance(plain, dict):
        return {name: without_queries(value) for name, value in plain.items()}
    return [without_queries(value) for value in plain] if isinstance(plain, list) else plain
