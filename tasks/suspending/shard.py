"""The parts of all suspended runs, one for each watcher."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from graphql_jobs.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `total` parts of all runs, from 1. Watchers of different shards poll no job twice."""

    number: int = 1
    total: int = 1

    @classmethod
    def of(cls, text: str) -> Shard:
        """Return the shard "i/n". Raises `InvalidInput`."""
        number, _, total = text.partition("/")
        if not (number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total)):
            raise InvalidInput("shard", f"it must be i/n with i from 1 to n, such as 1/2, and not {text[:40]!r}.")
        return cls(int(number), int(total))

    def holds(self, run_id: UUID) -> bool:
        """Whether the run belongs to this part."""
        return run_id.int % self.total == self.number - 1
