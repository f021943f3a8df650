"""Runs of deployments: start them, wait for them in real time, and delete those that a watcher would watch."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from blocks.runs.root_run import TAG
from tasks.flow_runs import runs_in_state

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

#: Far above the duration of the runs on two busy cores.
GIVE_UP_AFTER_S = 300


async def start(client: PrefectClient, deployment_name: str, parameters: dict[str, Any]) -> FlowRun:
    """A run with these parameters and those of the deployment."""
    deployment = await client.read_deployment_by_name(deployment_name)
    return await client.create_flow_run_from_deployment(deployment.id, parameters=deployment.parameters | parameters)


async def all_ended(client: PrefectClient, runs: list[FlowRun]) -> list[FlowRun]:
    """The runs when all have ended, or after `GIVE_UP_AFTER_S`."""
    for _ in range(GIVE_UP_AFTER_S):
        runs = [await client.read_flow_run(run.id) for run in runs]
        if all(run.state and run.state.is_final() for run in runs):
            break
        await asyncio.sleep(1)
    return runs


async def delete_suspended_runs(client: PrefectClient) -> None:
    """Delete the runs that other tests left suspended or resumed, so that a watcher makes no requests for them."""
    for name in ("Suspended", "Resuming"):
        async for page in runs_in_state(name, TAG):
            for run in page:
                await client.delete_flow_run(run.id)
