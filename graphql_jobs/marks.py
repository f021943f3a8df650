"""What need not be read again: most looks show, to the letter, what the look before did."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql_jobs.reading import Entry


class Unchanged(Enum):
    """The class of `UNCHANGED`."""

    UNCHANGED = "unchanged"


#: What a look gives in place of a job that is to the letter what it was when it got its mark.
UNCHANGED: Final = Unchanged.UNCHANGED


class Marks:
    """The marks of jobs by their ids, for one look: `known` ones of looks before, `fresh` ones of what is new.

    A mark stands for all that an answer said of a job. It is a hash with this process's own secret, so that a server
    cannot choose two answers with one mark; it means nothing elsewhere.
    """

    __slots__ = ("fresh", "known")

    def __init__(self, known: Mapping[str, int]) -> None:
        self.known = known
        self.fresh: dict[str, int] = {}

    def is_known(self, job_id: str, entry: Entry) -> bool:
        """Whether the job is what it was; else its mark is a fresh one."""
        try:
            mark = hash(orjson.dumps(entry))
        except TypeError:  # nested too deeply, or too large a number: such a job is read each time
            return False
        if self.known.get(job_id) == mark:
            return True
        self.fresh[job_id] = mark
        return False
