"""Where submission records are kept: a short list of entries per key. Each entry is written once.

If two processes write an entry with the same number, one of them succeeds. There is no other locking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from graphql_jobs.label import KEY_PREFIX

#: An entry is plain JSON, small (some hundred bytes), and holds no secret.
Entry = Mapping[str, Any]


class Store(Protocol):
    """Storage that outlives the process. Every process that may continue the same submission can reach it.

    All methods raise the storage's errors if it cannot be reached: then nothing is submitted.
    """

    async def read(self, key: str) -> Sequence[Entry]:
        """Return all entries under `key`, in order, or none."""
        ...

    async def read_all(self, prefix: str = KEY_PREFIX) -> Mapping[str, Sequence[Entry]]:
        """Return the entries of all keys that begin with `prefix`: by default, those of submissions."""
        ...

    async def append(self, key: str, number: int, entry: Entry) -> bool:
        """Write `entry` as number `number`, from 0. Return False if that number is taken: read again."""
        ...


class LocalStore:
    """A store in this process: for scripts without a flow, and for tests."""

    def __init__(self) -> None:
        self._entries: dict[str, list[Entry]] = {}

    async def read(self, key: str) -> Sequence[Entry]:
        """Return all entries under `key`."""
        return list(self._entries.get(key, ()))

    async def read_all(self, prefix: str = KEY_PREFIX) -> Mapping[str, Sequence[Entry]]:
        """Return the entries of all keys that begin with `prefix`."""
        return {key: list(entries) for key, entries in self._entries.items() if key.startswith(prefix)}

    async def append(self, key: str, number: int, entry: Entry) -> bool:
        """Write one entry if its number is the next one."""
        entries = self._entries.setdefault(key, [])
        if number != len(entries):
            return False
        entries.append(dict(entry))
        return True
