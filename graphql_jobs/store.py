"""What a submission remembers, and where: a short list of entries per key, each written once.

An entry is claimed by writing it: of two that write the same number, one succeeds. That is all the locking there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from graphql_jobs.label import KEY_PREFIX

#: An entry is plain JSON, small (some hundred bytes), and holds no secret.
Entry = Mapping[str, Any]


class Store(Protocol):
    """Somewhere that outlives the process and that every process reaches which may go on with the same work.

    All methods raise whatever their store raises when it cannot be reached: then nothing is submitted.
    """

    async def read(self, key: str) -> Sequence[Entry]:
        """All entries under `key`, in order; empty if there are none."""
        ...

    async def read_all(self, prefix: str = KEY_PREFIX) -> Mapping[str, Sequence[Entry]]:
        """The entries of all keys that begin with `prefix`: by default those of submissions."""
        ...

    async def append(self, key: str, number: int, entry: Entry) -> bool:
        """Write `entry` as number `number`, from 0. False if that number is taken: read again."""
        ...


class LocalStore:
    """Store of this process alone: for scripts that run no flow, and for tests."""

    def __init__(self) -> None:
        self._entries: dict[str, list[Entry]] = {}

    async def read(self, key: str) -> Sequence[Entry]:
        """All entries under `key`."""
        return list(self._entries.get(key, ()))

    async def read_all(self, prefix: str = KEY_PREFIX) -> Mapping[str, Sequence[Entry]]:
        """The entries of all keys that begin with `prefix`."""
        return {key: list(entries) for key, entries in self._entries.items() if key.startswith(prefix)}

    async def append(self, key: str, number: int, entry: Entry) -> bool:
        """Write one entry, if its number is the next one."""
        entries = self._entries.setdefault(key, [])
        if number != len(entries):
            return False
        entries.append(dict(entry))
        return True
