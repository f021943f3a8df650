"""The runs that were recently suspended or cancelled, by Prefect's events.

An event may come late or never. So it is a hint: the watcher reads the run, and periodically it reads the list of all
suspended runs.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventOrder
from prefect.events.schemas.events import ReceivedEvent

from blocks.api import ask

_NAMES = ["prefect.flow-run.Suspended", "prefect.flow-run.Cancelled", "prefect.flow-run.Failed"]
_RESOURCE = "prefect.flow-run."
#: The server's limit for one page.
_PAGE = 50
#: Our choice: the maximum delay after which an event that is recorded after younger ones is still seen.
_OVERLAP = timedelta(seconds=10)
#: Events have the time of Prefect's server. This machine's clock may be ahead of it, or behind.
_BEGINNING, _END = datetime(2020, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


class Changes:
    """The events since the last read. The first read returns about the last ones."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._seen: dict[UUID, datetime] = {}

    async def read(self) -> set[UUID]:
        """The runs of all events that were not read before."""
        since = self._since or await self._newest()
        new: dict[UUID, ReceivedEvent] = {}
        while True:
            page = await ask(partial(_page, since, EventOrder.ASC, _PAGE))
            new |= {event.id: event for event in page if event.id not in self._seen}
            if len(page) < _PAGE or page[-1].occurred <= since:
                break
            since = page[-1].occurred
        self._seen |= {event.id: event.occurred for event in new.values()}
        self._since = oldest = max(self._seen.values(), default=since + _OVERLAP) - _OVERLAP
        self._seen = {one: occurred for one, occurred in self._seen.items() if occurred >= oldest}
        return {UUID(event.resource.id.removeprefix(_RESOURCE)) for event in new.values()}

    async def _newest(self) -> datetime:
        newest = await ask(partial(_page, _BEGINNING, EventOrder.DESC, 1))
        return newest[0].occurred - _OVERLAP if newest else _BEGINNING


async def _page(since: datetime, order: EventOrder, limit: int, client: PrefectClient) -> list[ReceivedEvent]:
    occurred = EventOccurredFilter.model_validate({"since": since, "until": _END})
    wanted = EventFilter(occurred=occurred, event=EventNameFilter(name=_NAMES), order=order)
    return (await client.read_events(wanted, limit=limit)).events
