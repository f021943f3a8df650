"""The tasks of an aiWARE job, put together from pages, and whether none is missing. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from graphql_jobs.job import JobState
from graphql_jobs.parsing import text_or_none
from graphql_jobs.providers.aiware.reader import STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql_jobs import errors
    from graphql_jobs.parsing import Entry

#: The words of a job that says complete.
SUCCEEDED = frozenset(word for word, state in STATES.items() if state is JobState.SUCCEEDED)


class Page(NamedTuple):
    """A job and one page of its tasks."""

    entry: Entry
    records: list[object]
    #: Whether there may be more behind it, as documented.
    is_full: bool
    #: What went wrong with a part of it that matters once the job is complete.
    failure: errors.RequestFailed | None

    @property
    def says_complete(self) -> bool:
        """Whether the job is said to have succeeded."""
        status = self.entry.get("status")
        return status in SUCCEEDED if type(status) is str else False


class Listing:
    """One reading of a job's tasks, put together from pages. Pure.

    It is whole when the list has ended: for a job that says complete by an empty page, for any other by one that is not
    full, or brings nothing new. `has_moved`: the list changed meanwhile, so that a task may have been missed.
    """

    def __init__(self, page: Page) -> None:
        self.entry, self.records, self.failure = page.entry, list(page.records), page.failure
        self._known = {_id_of(record) for record in page.records}
        self._is_strict = page.says_complete
        self._overlap = int(self._is_strict and bool(page.records))
        self.has_moved = self._is_strict and len(self._known) < len(page.records)
        self.is_whole = False

    @property
    def offset(self) -> int:
        """Where the next page begins."""
        return len(self.records) - self._overlap

    def add(self, page: Page) -> None:
        """The page at `offset`."""
        self.failure = self.failure or page.failure
        overlap, new = page.records[: self._overlap], page.records[self._overlap :]
        ids = {_id_of(record) for record in new}
        if self._is_strict:
            is_odd = len(ids) < len(new) or not ids.isdisjoint(self._known)
            self.has_moved = is_odd or not are_same(overlap, self.records[len(self.records) - self._overlap :])
            self.is_whole = not new and not self._overlap
        else:
            self.is_whole = not page.is_full or ids <= self._known
        self.records += new
        self._known |= ids
        self._overlap = int(self._is_strict and bool(new))


def _id_of(record: object) -> str | None:
    return text_or_none(record, "id") if isinstance(record, dict) else None


def is_distinct(page: Page) -> bool:
    return len({_id_of(record) for record in page.records}) == len(page.records)


def are_same(records: Sequence[object], others: Sequence[object]) -> bool:
    """Whether two pages hold the same tasks, in whatever order."""
    return Counter(map(_id_of, records)) == Counter(map(_id_of, others))
