"""Read a provider's list page by page, with a limit on the pages and on the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphql_jobs.errors import TimedOut

if TYPE_CHECKING:
    from graphql_jobs.transport.session import Session

#: Our choice: enough for a server that returns a tenth of the requested page size.
MAX_PAGES = 500


class PagedRead:
    """The limits of reading one list: call `next_page` before each page.

    A list that exceeds them counts as unreadable, and never as complete.
    """

    def __init__(
        self, session: Session, operation: str, subject: str, within_s: float, limit: str, max_pages: int | None = None
    ) -> None:
        """Read for at most `within_s` seconds. `limit` is the parameter that sets this number, for the message."""
        self._session, self._operation, self._subject = session, operation, subject
        self._limit = f"{limit}={within_s:g}"
        self._begun_at = session.clock.monotonic()
        self._within_s = within_s
        self._pages, self._max_pages = 0, max_pages or MAX_PAGES

    def next_page(self) -> None:
        """Count a page. Raises `BadReply` after too many pages, and `TimedOut` when the time is up."""
        took_s = self._session.clock.monotonic() - self._begun_at
        if self._pages and took_s >= self._within_s:
            detail = f"the list did not end within {took_s:.0f} s ({self._limit}), after {self._pages} pages."
            raise TimedOut(self._session.dialect.provider, self._operation, self._subject, detail)
        if self._pages >= self._max_pages:
            raise self._session.bad_answer(self._operation, self._subject, f"more than {self._max_pages} pages.")
        self._pages += 1
