"""What need not be read again: most looks show, to the letter, what the look before did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql_jobs.reading import Entry


class Marked(Protocol):
    """Whatever keeps a job's mark; None: the job is to be read, whatever is said of it."""

    mark: int | None


class Marks:
    """The marks of jobs by their ids, for one look: `known` ones of looks before, `fresh` ones of what is new.

    A mark stands for all that an answer said of a job. It is Python's hash of it, with a secret of each process (unless
    PYTHONHASHSEED is set), so that a server cannot choose two answers with one mark; it means nothing elsewhere.
    """

    __slots__ = ("fresh", "known", "unchanged")

    def __init__(self, known: Mapping[str, Marked]) -> None:
        self.known = known
        self.fresh: dict[str, int] = {}
        #: The jobs of this look that are what they were.
        self.unchanged: set[str] = set()

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
