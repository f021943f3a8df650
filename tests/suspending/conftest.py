"""Runs of deployments without a worker: a test executes a run as a worker would, in its own process."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.utilities.callables import parameter_schema

from flows.run_aiware_job import run_aiware_job
from flows.wait_for_jobs import wait_for_jobs
from graphql_jobs.emulator.aiware.model import PlantedTask
from tasks import create_suspended_run
from tasks.suspending.watcher import Watcher
from tests.clocks import DrivenClock
from tests.conftest import aiware_credentials
from tests.deployed_runs import delete_suspended_runs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from uuid import UUID

    from prefect import Flow
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, State

    from graphql_jobs.emulator import Emulator
    from graphql_jobs.emulator.aiware.model import Job

SENSOR = "wait-for-jobs/suspending"
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
        self._flows = dict(FLOWS)
        self._deployments: dict[str, UUID] = {}

    async def create(self, flow: str | Flow[..., Any], parameters: dict[str, Any], **options: Any) -> FlowRun:
        """A scheduled run of a deployment of one of the project's flows, or of a flow of the test's own."""
        return await self.client.create_flow_run_from_deployment(
            await self.deployment(flow), parameters=parameters, **options
        )

    async def sensor(self, *job_ids: str, **parameters: Any) -> FlowRun:
        """A run of the sensor that is suspended from the start."""
        await self.deployment("wait-for-jobs")
        provider = parameters.pop("provider", "aiware")
        return await create_suspended_run(provider, job_ids, deployment=SENSOR, **parameters)

    async def deployment(self, flow: str | Flow[..., Any]) -> UUID:
        """The id of the deployment, which is made if there is none yet."""
        name = flow if isinstance(flow, str) else flow.name
        if name not in self._deployments:
            self._flows.setdefault(name, cast("Flow[..., Any]", flow))
            self._deployments[name] = await self.client.create_deployment(
                flow_id=await self.client.create_flow(self._flows[name]),
                name="suspending",
                parameter_openapi_schema=parameter_schema(self._flows[name]).model_dump_for_openapi(),
                tags=["graphql-jobs"],
            )
        return self._deployments[name]

    async def execute(self, run: FlowRun) -> State[Any]:
        """Run the flow of a scheduled run to its end, or until it is suspended. Returns the state of the run."""
        now = await self.client.read_flow_run(run.id)
        flow = self._flows[(await self.client.read_flow(now.flow_id)).name]
        run_it: Any = partial(run_flow, flow, flow_run=now, parameters=now.parameters, return_type="state")
        with suppress(Pause):
            await (run_it() if flow.isasync else asyncio.to_thread(run_it))
        return await self.state(run)

    async def names(self, run: FlowRun) -> list[str | None]:
        """The names of all states that the run had, in order."""
        states = await self.client.read_flow_run_states(run.id)
        return [state.name for state in sorted(states, key=lambda one: one.timestamp)]

    async def state(self, run: FlowRun) -> State[Any]:
        """The state of the run as the server has it now."""
        state = (await self.client.read_flow_run(run.id)).state
        assert state is not None
        return state


@pytest.fixture
async def runs(saved: None) -> AsyncIterator[Runs]:
    """Without the suspended runs of other tests, whose emulators are gone."""
    async with get_client() as client:
        await delete_suspended_runs(client)
        yield Runs(client)


@pytest.fixture
async def watcher(emulator: Emulator, saved: None) -> Watcher:
    """A watcher whose pauses move the emulator's time."""
    return Watcher(clock=clock_of(emulator))


@pytest.fixture
def job(emulator: Emulator) -> Job:
    """A job of another person, which runs until `finish`."""
    return running_job(emulator)


def clock_of(emulator: Emulator) -> DrivenClock:
    """The clock of the session with the emulator's aiWARE. Two driven clocks would wait for each other."""
    clock = aiware_credentials(emulator).get_client().session.clock
    assert isinstance(clock, DrivenClock)
    return clock


def running_job(emulator: Emulator) -> Job:
    """One more."""
    return emulator.aiware.plant(tasks=[PlantedTask("running")])


def finish(job: Job, status: str = "complete") -> None:
    """Let a job end."""
    job.tasks[0].fixed_status = status


@asynccontextmanager
async def watching(*watchers: Watcher) -> AsyncIterator[None]:
    """The watchers run meanwhile."""
    tasks = [asyncio.create_task(watcher.run()) for watcher in watchers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def eventually(check: Callable[[], Awaitable[Any]]) -> None:
    """Return when `check` gives something true. Fails after 30 s."""
    async with asyncio.timeout(30):
        while not await check():  # noqa: ASYNC110 (it is Prefect's server that is asked)
            await asyncio.sleep(0.05)


async def watch(watcher: Watcher) -> None:
    """Let the watcher find all suspended runs, and wake each whose jobs end."""
    async with watcher.opened():
        await watcher.tick()
        await watcher.settled()


#: The parameters of a sensor whose deadline no pause of a test reaches.
FOREVER = {"give_up_after_s": 2_500_000.0}


async def is_in(runs: Runs, run: Any, name: str) -> bool:
    """Whether the run is in the state of this name."""
    return (await runs.state(run)).name == name


async def was_polled(watcher: Watcher, jobs: int = 1) -> bool:
    """Whether so many statuses were read."""
    return any(one.statuses >= jobs for one in watcher._accounts.snapshots().values())


async def counts(watcher: Watcher, suspended: int) -> bool:
    """Whether the watcher watches so many runs."""
    return bool(watcher.tally.numbers()["suspended"] == suspended)


async def says(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    """Whether the log has the text."""
    return text in caplog.text


async def passed(watcher: Watcher, instant: float) -> bool:
    """Whether the watcher's clock has reached the instant."""
    return watcher._clock.monotonic() >= instant
