"""The artifacts and events of flow runs, read from Prefect's API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.events.filters import EventFilter, EventNameFilter

from blocks.reporting.events import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from prefect.client.schemas.objects import Artifact
    from prefect.events.schemas.events import ReceivedEvent


async def artifacts_of(run_id: UUID) -> dict[str, Artifact]:
    """The artifacts of a run by their keys; each key once."""
    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=only)
    assert len({artifact.key for artifact in found}) == len(found)
    return {str(artifact.key): artifact for artifact in found}


async def events_of(run_ids: Iterable[UUID], at_least: int) -> list[ReceivedEvent]:
    """The events about the jobs of these runs, once there are as many."""
    ids = set(map(str, run_ids))
    return await events_named(PREFIX, at_least, lambda event: event.payload.get("flow_run_id") in ids)


async def events_named(prefix: str, at_least: int, wanted: Callable[[ReceivedEvent], bool]) -> list[ReceivedEvent]:
    """The wanted ones of the last events with this prefix, once there are as many."""
    only = EventFilter(event=EventNameFilter(prefix=[prefix]))
    found: list[ReceivedEvent] = []
    async with get_client() as client:
        for _ in range(600):
            found = [event for event in (await client.read_events(only, limit=50)).events if wanted(event)]
            if len(found) >= at_least:
                break
            await asyncio.sleep(0.1)  # real time: the server writes events in batches, without a notice
    return found
