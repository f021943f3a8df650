"""Runs of deployments without a worker: a test executes a run as a worker would, in its own process."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.utilities.callables import parameter_schema

from blocks.runs.root_run import TAG
from flows.run_aiware_job import run_aiware_job
from flows.wait_for_jobs import wait_for_jobs
from tasks.flow_runs import runs_in_state
from tasks.suspending.resume import SUSPENDED
from tasks.suspending.watcher import Watcher
from tests.conftest import driven

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from prefect import Flow
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, State

    from graphql_jobs.emulator import Emulator

ENGINE: dict[str, Any] = {
    "engine_id": "c0e55cde-340b-44d7-bb42-2e0d65e98255",
    "upload_url": "https://media.example.com/a",
    "suspend": True,
    "suspend_after_s": 0,
}
FLOWS: dict[str, Flow[..., Any]] = {"run-aiware-job": run_aiware_job, "wait-for-jobs": wait_for_jobs}


class Runs:
    """Creates runs of deployments, and executes them in this process."""

    def __init__(self, client: PrefectClient) -> None:
        self.client = client
        self._deployments: dict[str, UUID] = {}

    async def create(self, flow_name: str, parameters: dict[str, Any], **options: Any) -> FlowRun:
        """A scheduled run of a deployment of one of the project's flows."""
        return await self.client.create_flow_run_from_deployment(
            await self.deployment(flow_name), parameters=parameters, **options
        )

    async def deployment(self, flow_name: str) -> UUID:
        """The id of the deployment, which is made if there is none yet."""
        if flow_name not in self._deployments:
            flow = FLOWS[flow_name]
            self._deployments[flow_name] = await self.client.create_deployment(
                flow_id=await self.client.create_flow(flow),
                name="suspending",
                parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
                tags=["graphql-jobs"],
            )
        return self._deployments[flow_name]

    async def execute(self, run: FlowRun) -> State[Any]:
        """Run the flow of a scheduled run to its end, or until it is suspended. Returns the state of the run."""
        now = await self.client.read_flow_run(run.id)
        flow = FLOWS[(await self.client.read_flow(now.flow_id)).name]
        with suppress(Pause):
            running: Any = run_flow(flow, flow_run=now, parameters=now.parameters, return_type="state")
            await running
        return await self.state(run)

    async def state(self, run: FlowRun) -> State[Any]:
        """The state of the run as the server has it now."""
        state = (await self.client.read_flow_run(run.id)).state
        assert state is not None
        return state


@pytest.fixture
async def runs(saved: None) -> AsyncIterator[Runs]:
    """Without the suspended runs of other tests, whose emulators are gone."""
    async with get_client() as client:
        for run_id in await runs_in_state(SUSPENDED, TAG):
            await client.delete_flow_run(run_id)
        yield Runs(client)


@pytest.fixture
def watcher(emulator: Emulator) -> Watcher:
    """A watcher whose delays advance the emulator's clock."""
    return Watcher(clock=driven(emulator))


async def watch(watcher: Watcher) -> None:
    """Let the watcher find all suspended runs, and wake each whose jobs end."""
    async with watcher.opened():
        await watcher.tick()
        await watcher.settled()
