"""The runs that were recently suspended or cancelled, by Prefect's events.

An event may come late or never. So it is a hint: the watcher reads the run, and periodically it reads the list of all
suspended runs.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventOrder
from prefect.events.schemas.events import ReceivedEvent

from blocks.api import ask
from graphql_jobs.clock import Clock, instant

_NAMES = ["prefect.flow-run.Suspended", "prefect.flow-run.Cancelled", "prefect.flow-run.Failed"]
_RESOURCE = "prefect.flow-run."
#: The server's limit for one page.
_PAGE = 50
#: Our choice: the maximum delay after which an event that is recorded after younger ones is still seen.
_OVERLAP = timedelta(seconds=10)
#: The clock of Prefect's server, by which events are dated, may be ahead.
_AHEAD = timedelta(days=1)


class Changes:
    """The events since the last read."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = instant(clock.now()) - _OVERLAP
        self._seen: dict[UUID, ReceivedEvent] = {}

    async def read(self) -> set[UUID]:
        """Return the runs of all events that were not read before."""
        new: dict[UUID, ReceivedEvent] = {}
        since = self._since
        while True:
            page = await ask(partial(self._page, since))
            unseen = {event.id: event for event in page if event.id not in self._seen and event.id not in new}
            new |= unseen
            if len(page) < _PAGE or not unseen:
                break
            since = page[-1].occurred
        self._seen |= new
        if self._seen:
            newest = max(event.occurred for event in self._seen.values())
            self._since = max(self._since, newest - _OVERLAP)
            self._seen = {one: event for one, event in self._seen.items() if event.occurred >= self._since}
        return {UUID(event.resource.id.removeprefix(_RESOURCE)) for event in new.values()}

    async def _page(self, since: object, client: PrefectClient) -> list[ReceivedEvent]:
        occurred = EventOccurredFilter.model_validate({"since": since, "until": instant(self._clock.now()) + _AHEAD})
        wanted = EventFilter(occurred=occurred, event=EventNameFilter(name=_NAMES), order=EventOrder.ASC)
        return (await client.read_events(wanted, limit=_PAGE)).events
