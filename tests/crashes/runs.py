"""Running the trials: create, wait until killed, run again, wait until ended; all by Prefect's API, as in the UI."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import psutil
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.exceptions import ObjectAlreadyExists
from prefect.states import AwaitingRetry
from prefect.utilities.callables import parameter_schema
from pydantic import SecretStr

from blocks import AiwareCredentials, DatasaurCredentials, DatasaurTargetApi
from scripts.stack import ROOT
from tests.crashes.plan import FOLDER_VARIABLE, OPERATIONS, Trial

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun

    from scripts.processes import Part
    from scripts.stack import Stack
    from tests.crashes.judge import Ending
    from tests.crashes.proxy import Proxy

POOL = "crashes"
_FLOWS = "tests.crashes.flows"
#: Far above the duration of a trial on two busy cores. A longer one hangs.
HUNG_AFTER_S = 600.0
_LOOK_AGAIN_S = 1.0
#: A worker reports a killed process twice: immediately, and when a process with the crash hooks has ended. The second
#: report undoes a retry in between (seen with Prefect 3.8.8), so a trial is run again after it; these are the
#: delays before and after that process, which are milliseconds on a quiet machine.
_REPORT_S = 2.0
_LATE_REPORT = "Flow run infrastructure exited"
#: Short, so that a trial need not wait long; the emulator's jobs take 2 s and are visible 1 s late.
_SUBMISSION_S = 10.0
_AIWARE_VISIBILITY_S = 3.0
_DATASAUR_VISIBILITY_S = 6.0


class Runs:
    """The trials' runs on one stack. Use as `async with Runs(stack, proxy, folder) as runs:`."""

    def __init__(self, stack: Stack, proxy: Proxy, folder: Path) -> None:
        self._stack = stack
        self._proxy = proxy
        self._folder = folder
        self._started: dict[int, tuple[UUID, UUID]] = {}
        self._deployments: dict[str, UUID] = {}
        #: The current worker.
        self.worker: Part | None = None

    async def __aenter__(self) -> Runs:
        self._client: PrefectClient = await get_client().__aenter__()
        await self._save_blocks()
        with suppress(ObjectAlreadyExists):
            await self._client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        for flow in sorted({operation.flow for operation in OPERATIONS}):
            self._deployments[flow] = await self._deploy(flow, "crashes")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._client.__aexit__(*exc_info)

    async def kill(self, trial: Trial, ending: Ending) -> None:
        """Start the trial's run and return when it was killed and both reports of that have arrived."""
        downstream_id = await self._deploy("store_results", trial.name)
        target_id = await self._target() if trial.operation.on_shared_target else ""
        parameters = trial.operation.parameters(trial.name, target_id) | {
            "credentials": "crash-aiware" if trial.operation.flow == "run_aiware_job" else "crash-datasaur",
            "downstream": [f"store-results/{trial.name}"],
            "max_poll_interval_s": 1,
            "give_up_after_s": 3600,
        }
        if trial.operation.flow == "run_datasaur_auto_label":
            parameters["target_api"] = "crash-target-api"
        plan = {"point": trial.point, "after_container": trial.after_container}
        (self._folder / f"{trial.name}.json").write_text(json.dumps(plan))
        self._proxy.arm(trial)
        began_at = time.monotonic()
        run = await self._client.create_flow_run_from_deployment(
            self._deployments[trial.operation.flow], parameters=parameters, name=trial.name
        )
        self._started[trial.number] = (run.id, downstream_id)
        run = await self._final(run.id)
        ending.struck = (self._folder / f"{trial.name}.struck").exists()
        ending.state, ending.message = _state(run)
        if ending.state == "Crashed":
            await self._last_report(run.id)
        await self._followers(downstream_id)  # so that they do not end with this worker
        ending.seconds = time.monotonic() - began_at

    async def run_again(self, trial: Trial, ending: Ending) -> None:
        """Run the killed run again, like "Retry" in the UI, and return when it and its downstream runs have ended."""
        run_id, downstream_id = self._started[trial.number]
        began_at = time.monotonic()
        give_up_at = began_at + HUNG_AFTER_S
        run = await self._client.read_flow_run(run_id)
        while time.monotonic() < give_up_at:
            run = await self._client.read_flow_run(run_id)
            if run.state and run.state.is_final():
                is_late = (run.state.message or "").startswith(_LATE_REPORT)
                if run.run_count > 1 and not is_late:
                    break
                await self._client.set_flow_run_state(run_id, AwaitingRetry(), force=True)
                ending.retries += 1
            await asyncio.sleep(_LOOK_AGAIN_S)
        ending.state, ending.message = _state(run)
        ending.followers = [(_state(run)[0], run.run_count) for run in await self._followers(downstream_id)]
        ending.seconds += time.monotonic() - began_at

    async def _followers(self, downstream_id: UUID) -> list[FlowRun]:
        """All downstream runs, ended."""
        only = DeploymentFilter(id=DeploymentFilterId(any_=[downstream_id]))
        return [await self._final(run.id) for run in await self._client.read_flow_runs(deployment_filter=only)]

    async def _final(self, run_id: UUID) -> FlowRun:
        """The run when it has ended, or its state after the time limit."""
        give_up_at = time.monotonic() + HUNG_AFTER_S
        while True:
            run = await self._client.read_flow_run(run_id)
            if (run.state and run.state.is_final()) or time.monotonic() > give_up_at:
                return run
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _last_report(self, run_id: UUID) -> None:
        """Return when the worker has sent its second report."""
        await asyncio.sleep(_REPORT_S)
        while await asyncio.to_thread(self._is_at_work_on, run_id):  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(_LOOK_AGAIN_S)
        await asyncio.sleep(_REPORT_S)

    def _is_at_work_on(self, run_id: UUID) -> bool:
        for process in psutil.Process(self.worker.pid).children(recursive=True) if self.worker else ():
            with suppress(psutil.Error):
                if process.environ().get("PREFECT__FLOW_RUN_ID") == str(run_id):
                    return True
        return False

    async def _deploy(self, flow: str, name: str) -> UUID:
        # Not from the deployed module, which patches its imports and is only for the runs' processes.
        variables = {FOLDER_VARIABLE: str(self._folder)}
        return await deploy(self._client, flow, name, POOL, f"{_FLOWS}.{flow}", variables)

    async def _save_blocks(self) -> None:
        emulator = self._stack.emulator
        aiware = AiwareCredentials(
            base_url=self._proxy.url,
            token=SecretStr(emulator["aiware_token"]),
            visibility_s=_AIWARE_VISIBILITY_S,
            submission_s=_SUBMISSION_S,
        )
        datasaur = DatasaurCredentials(
            base_url=self._proxy.url,
            client_id=emulator["datasaur_client_id"],
            client_secret=SecretStr(emulator["datasaur_client_secret"]),
            visibility_s=_DATASAUR_VISIBILITY_S,
            submission_s=_SUBMISSION_S,
        )
        model = DatasaurTargetApi(
            endpoint="https://model.example.com/predict", secret_key=SecretStr(self._stack.target_secret)
        )
        self._aiware = aiware
        await aiware.asave("crash-aiware", overwrite=True)
        await datasaur.asave("crash-datasaur", overwrite=True)
        await model.asave("crash-target-api", overwrite=True)

    async def _target(self) -> str:
        """A data object that the caller owns."""
        async with self._aiware.get_client() as client:
            return await client.create_target(startDateTime="2026-01-01T00:00:00Z", stopDateTime="2026-01-01T00:00:01Z")


async def deploy(
    client: PrefectClient, flow: str, name: str, pool: str, entrypoint: str, variables: dict[str, str] | None = None
) -> UUID:
    """Deploy one of the project's flows to a pool."""
    loaded: Any = getattr(import_module(f"flows.{flow}"), flow)
    return await client.create_deployment(
        flow_id=await client.create_flow_from_name(loaded.name),
        name=name,
        entrypoint=entrypoint,
        work_pool_name=pool,
        parameter_openapi_schema=parameter_schema(loaded).model_dump_for_openapi(),
        enforce_parameter_schema=True,
        pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}],
        # With its own command a run is one process; without, Prefect starts three, which all import everything.
        job_variables={"command": f"{sys.executable} -m prefect.engine", "env": variables or {}},
    )


def _state(run: FlowRun) -> tuple[str, str]:
    if run.state is None or not run.state.is_final():
        return "hung", f"its state is {run.state.name if run.state else 'none'} after {HUNG_AFTER_S:.0f} s."
    return run.state.name or str(run.state.type), run.state.message or ""
