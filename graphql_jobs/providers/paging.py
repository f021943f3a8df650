"""Reading a provider's list page by page: bounded in pages and in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphql_jobs.errors import TimedOut

if TYPE_CHECKING:
    from graphql_jobs.transport.session import Session

#: Our choice: a server that caps its pages at a tenth of what was asked for still shows a full list of a search.
MAX_PAGES = 500


class Look:
    """One look at a list: call `turn` before each page.

    A list that does not end within the bounds is one that could not be read. It never counts as whole.
    """

    def __init__(
        self, session: Session, operation: str, subject: str, within_s: float, limit: str, max_pages: int | None = None
    ) -> None:
        """Look for `within_s` seconds at most; `limit` is the name of that number, as the caller set it."""
        self._session, self._operation, self._subject = session, operation, subject
        self._limit = f"{limit}={within_s:g}"
        self._begun_at = session.clock.monotonic()
        self._within_s = within_s
        self._pages, self._max_pages = 0, max_pages or MAX_PAGES

    def turn(self) -> None:
        """The next page is read. Raises `BadReply` after too many, and `TimedOut` when the time is up."""
        took_s = self._session.clock.monotonic() - self._begun_at
        if self._pages and took_s >= self._within_s:
            detail = f"the list did not end within {took_s:.0f} s ({self._limit}), after {self._pages} pages."
            raise TimedOut(self._session.dialect.provider, self._operation, self._subject, detail)
        if self._pages >= self._max_pages:
            raise self._session.bad_answer(self._operation, self._subject, f"more than {self._max_pages} pages.")
        self._pages += 1
