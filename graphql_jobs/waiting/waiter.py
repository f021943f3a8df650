"""One caller of `wait_many`: the jobs that it waits for, and the changes to them."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql_jobs.handle import Seen
    from graphql_jobs.waiting.watch import Ended, Watch


#: A watch, the result of a poll of its job, and the end of the wait; None if the job only changed.
News = tuple["Watch", "Seen", "Ended | None"]


class Waiter:
    """A caller's watches by the ids of their jobs. The poller adds news, the caller awaits them."""

    def __init__(self, watches: Mapping[str, Watch], wants_changes: bool) -> None:
        """`wants_changes`: the poller also passes on changes, and not only ends."""
        self.watches, self.wants_changes = dict(watches), wants_changes
        #: When the poller began to poll for it.
        self.joined_at = 0.0
        #: The caller's context, in which log lines about its jobs appear.
        self.context = contextvars.copy_context()
        self._news: list[News] = []
        self._failure: BaseException | None = None
        self._is_told = asyncio.Event()

    async def news(self) -> list[News]:
        """Return all news as soon as there are any. Raises the poller's failure after them."""
        await self._is_told.wait()
        if self._failure and not self._news:
            raise self._failure
        news, self._news = self._news, []
        if not self._failure:
            self._is_told.clear()
        return news

    def tell(self, news: News) -> None:
        """Add news."""
        self._news.append(news)
        self._is_told.set()

    def fail(self, failure: BaseException) -> None:
        """End the wait with the poller's failure."""
        self._failure = failure
        self._is_told.set()
