"""The task runs of a flow run."""

from __future__ import annotations

import asyncio

from prefect.client.orchestration import get_client


async def task_run_names(flow_run_id: object, at_least: int, state: str = "Completed") -> list[str]:
    """Names of a flow run's task runs in a state, from the server's events; repeated until they are there."""
    related = [{"prefect.resource.id": f"prefect.flow-run.{flow_run_id}"}]
    only = {
        "event": {"name": [f"prefect.task-run.{state}"]},
        "related": {"resources_in_roles": [], "labels": related[0]},
    }
    names: list[str] = []
    async with get_client() as client:
        for _ in range(600):
            answer = await client._client.post("/events/filter", json={"filter": only})
            names = [event["resource"]["prefect.resource.name"] for event in answer.json()["events"]]
            if len(names) >= at_least:
                break
            await asyncio.sleep(0.2)  # real time: the server writes events in batches, without a notice
    return sorted(names)
