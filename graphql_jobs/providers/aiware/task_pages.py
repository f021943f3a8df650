"""The tasks of an aiWARE job, combined from pages, and whether none is missing. Pure."""

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

#: The status words of a complete job.
SUCCEEDED = frozenset(word for word, state in STATES.items() if state is JobState.SUCCEEDED)


class Page(NamedTuple):
    """A job and one page of its tasks."""

    entry: Entry
    records: list[object]
    #: Whether another page may follow, as documented.
    is_full: bool
    #: The error of a part of it that matters once the job is complete.
    failure: errors.RequestFailed | None

    @property
    def says_complete(self) -> bool:
        """Whether the job's status says that it succeeded."""
        status = self.entry.get("status")
        return status in SUCCEEDED if type(status) is str else False


class Listing:
    """One reading of a job's tasks, combined from pages.

    It is whole when the list has ended: for a complete job with an empty page, for others with one that is not full or
    has no new task. `has_moved`: the list changed meanwhile, so a task may have been missed.
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
        """The offset of the next page."""
        return len(self.records) - self._overlap

    def add(self, page: Page) -> None:
        """Add the page at `offset`."""
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
    """Whether two pages have the same tasks, in any order."""
    return Counter(map(_id_of, records)) == Counter(map(_id_of, others))
