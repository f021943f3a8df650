"""What need not be read again: most looks show, to the letter, what the look before did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import orjson

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from graphql_jobs.reading import Entry


class Marked(Protocol):
    """Whatever keeps a job's mark; None: the job is to be read, whatever is said of it."""

    mark: int | None


class Marks:
    """The marks of jobs by their ids, for one look: `known` ones of looks before, `fresh` ones of what is new.

    A mark stands for all that an answer said of a job. It is Python's hash of it, with a secret of each process (unless
    PYTHONHASHSEED is set), so that a server cannot choose two answers with one mark; it means nothing elsewhere.
    """

    __slots__ = ("fresh", "in_full", "known", "longer", "unchanged")

    def __init__(self, known: Mapping[str, Marked], *, in_full: bool = False) -> None:
        self.known = known
        self.fresh: dict[str, int] = {}
        #: The jobs of this look that are what they were.
        self.unchanged: set[str] = set()
        #: The jobs of this look that need requests of their own, which would delay the others: they are not read
        #: unless the look is one `in_full`.
        self.longer: set[str] = set()
        self.in_full = in_full

    @property
    def left_out(self) -> set[str]:
        """The jobs that this look does not tell."""
        return self.unchanged | self.longer if self.longer else self.unchanged

    def forget(self, seen: Container[str]) -> None:
        """These are told all the same."""
        for left_out in (self.unchanged, self.longer):
            left_out.difference_update([job_id for job_id in left_out if job_id in seen])

    def is_known(self, job_id: str, entry: Entry) -> bool:
        """Whether the job is what it was, and so unchanged; else its mark is a fresh one."""
        try:
            mark = hash(orjson.dumps(entry))
        except TypeError:  # nested too deeply, or too large a number: such a job is read each time
            return False
        if (before := self.known.get(job_id)) and before.mark == mark:
            self.unchanged.add(job_id)
            return True
        self.fresh[job_id] = mark
        return False
