"""One who waits: the jobs, and what is new about them."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql_jobs.handle import Seen
    from graphql_jobs.waiting.watch import Ended, Watch


#: What a look brought for one watch: what it saw, and how the wait ended, or None and something else than before.
News = tuple["Watch", "Seen", "Ended | None"]


class Waiter:
    """A caller's watches by the ids of their jobs. Told by the poller, asked by the caller."""

    def __init__(self, watches: Mapping[str, Watch], wants_changes: bool) -> None:
        self.watches = dict(watches)
        #: Whether news that are no end are worth waking the caller.
        self.wants_changes = wants_changes
        #: When the poller began to poll for it, by a clock that nobody sets back.
        self.joined_at = 0.0
        #: What is logged about a job belongs to who waits for it.
        self.context = contextvars.copy_context()
        self._news: list[News] = []
        self._failure: BaseException | None = None
        self._woken: asyncio.Future[None] | None = None

    async def news(self) -> list[News]:
        """What is new, as soon as there is something. Raises what the poller died of, if it did."""
        while not self._news:
            if self._failure:
                raise self._failure
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken
        news, self._news = self._news, []
        return news

    def tell(self, news: News) -> None:
        """Add something new."""
        self._news.append(news)
        if self._woken:
            self._wake()

    def fail(self, failure: BaseException) -> None:
        """Nothing new will come any more."""
        self._failure = failure
        self._wake()

    def _wake(self) -> None:
        woken, self._woken = self._woken, None
        if woken and not woken.done():
            woken.set_result(None)
