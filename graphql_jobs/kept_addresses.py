"""Addresses that let anyone in and that only the answer to a submission tells: kept by this process, and nowhere else.

A handle goes into parameters, results and databases, and so must not hold them (guarantee 7). Another process does not
have them: there an export is done again (docs/explanation/results.md#files).
"""

from __future__ import annotations

from threading import Lock

#: Our choice: the oldest are let go.
_MAX_ADDRESSES = 10_000

_addresses: dict[tuple[str, ...], str] = {}
_changing = Lock()


def keep_address(url: str, *what: str) -> None:
    """Keep `url` under what it is the address of."""
    with _changing:
        _addresses.pop(what, None)
        _addresses[what] = url
        if len(_addresses) > _MAX_ADDRESSES:
            del _addresses[next(iter(_addresses))]


def kept_address(*what: str) -> str | None:
    """The address that this process kept; None if it never had it, or no longer has it."""
    return _addresses.get(what)
