"""The trials: runs are suspended, their jobs end, the watcher and the services are disturbed; then the verdict."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import psutil
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.exceptions import ObjectAlreadyExists, Pause
from prefect.flow_engine import run_flow
from prefect.states import Pending
from prefect.utilities.callables import parameter_schema
from pydantic import SecretStr

from blocks import AiwareCredentials, DatasaurCredentials, DatasaurTargetApi
from blocks.api import ask
from graphql_jobs.emulator import Emulator, JobFault, Pace
from graphql_jobs.emulator.lifecycle import Course
from graphql_jobs.providers.aiware import EngineJobSpec
from tasks.flow_runs import read_runs
from tasks.suspending.create import create_suspended_run
from tests.crashes.relay import Relay
from tests.crashes.runs import HUNG_AFTER_S, deploy
from tests.crashes.suspended.disturb import DisturbedWatcher
from tests.crashes.suspended.judge import Ending, broken_promises, jobs_of
from tests.crashes.suspended.plan import ENGINE_ID, recording

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun

    from scripts.stack import Stack
    from tests.crashes.suspended.plan import CancelAt, Kill, Trial

_POOL = "suspended"
#: Our choice, for two cores.
_PROCESSES_AT_ONCE = 4
_FLOWS = ("run_aiware_job", "run_datasaur_auto_label", "wait_for_jobs")
#: The jobs stay queued until the trial lets them end.
_FOR_EVER_S = 1e6
_LOOK_AGAIN_S = 1.0


@dataclass(frozen=True)
class Plan:
    """The events for the runs of all trials."""

    trials: Sequence[Trial]
    kills: Sequence[Kill]
    #: The jobs end, and the disturbances begin, within this time.
    within_s: float
    #: How often Prefect's server is restarted, and how long the provider is unavailable.
    restarts: int
    away_s: float


@dataclass(frozen=True)
class Verdict:
    """One trial with its result."""

    trial: Trial
    ending: Ending
    problems: tuple[str, ...]


async def run_trials(stack: Stack, plan: Plan, say: Callable[[str], object]) -> list[Verdict]:
    """Run all on `stack`, whose address is in Prefect's settings."""
    async with AsyncExitStack() as resources:
        emulator = await resources.enter_async_context(Emulator(pace=Pace(queued_s=_FOR_EVER_S)))
        provider = await resources.enter_async_context(Relay(emulator.url))
        client = await resources.enter_async_context(get_client())
        runs = Runs(stack, client, emulator, provider.url)
        await runs.prepare(plan.trials)
        worker = await asyncio.to_thread(stack.start_worker, _POOL)
        resources.push_async_callback(asyncio.to_thread, worker.end)
        watcher = await resources.enter_async_context(DisturbedWatcher(stack, runs.cancels))
        for trial in sorted(plan.trials, key=lambda trial: not trial.on_worker):
            await runs.begin(trial)
        await runs.all_suspended(plan.trials)
        say(f"{len(plan.trials)} runs are suspended. Their jobs end within {plan.within_s:.0f} s.")
        await _disturb(stack, plan, runs, watcher, provider)
        await runs.all_final(say)
        await _idle(worker.pid)
        say(f"The watcher was killed {len(watcher.kills)} times: {', '.join(map(_in_words, watcher.kills))}.")
        if len(watcher.kills) != len(plan.kills):
            raise AssertionError(f"the watcher was to be killed {len(plan.kills)} times.")
        return [await runs.verdict(trial, watcher) for trial in plan.trials]


async def _disturb(stack: Stack, plan: Plan, runs: Runs, watcher: DisturbedWatcher, provider: Relay) -> None:
    async def end(trial: Trial) -> None:
        await asyncio.sleep(trial.ends_after_s)
        runs.end_jobs(trial)

    async def kill(number: int) -> None:
        await asyncio.sleep(plan.within_s * number / len(plan.kills))
        watcher.arm(plan.kills[number])

    async def be_away() -> None:
        await asyncio.sleep(plan.within_s * 0.2)
        provider.go_away()
        await asyncio.sleep(plan.away_s)
        provider.come_back()

    async def restart(number: int) -> None:
        await asyncio.sleep(plan.within_s * (number + 1) / (plan.restarts + 1))
        async with restarting:  # on a busy machine, a restart takes longer than the time between two
            await asyncio.to_thread(restart_server, stack)

    restarting = asyncio.Lock()
    await asyncio.gather(
        be_away(), *map(end, plan.trials), *map(kill, range(len(plan.kills))), *map(restart, range(plan.restarts))
    )


class Runs:
    """The runs of the trials."""

    def __init__(self, stack: Stack, client: PrefectClient, emulator: Emulator, provider_url: str) -> None:
        self._stack, self._client, self._emulator, self._url = stack, client, emulator, provider_url
        self._deployments: dict[str, UUID] = {}
        self.ids: dict[int, UUID] = {}
        #: The runs to cancel when they are resumed.
        self.cancels: dict[UUID, CancelAt] = {}
        self._downstream: dict[int, UUID] = {}

    async def prepare(self, trials: Sequence[Trial]) -> None:
        """Save the blocks and create the deployments. Downstream runs are not executed, only counted."""
        with suppress(ObjectAlreadyExists):
            pool = WorkPoolCreate(name=_POOL, type="process", concurrency_limit=_PROCESSES_AT_ONCE)
            await self._client.create_work_pool(pool)
        await self._save_blocks()
        for name in _FLOWS:
            self._deployments[name] = await deploy(self._client, name, "suspended", _POOL, f"flows.{name}.{name}")
        store_results = import_module("flows.store_results").store_results
        for trial in trials:
            self._downstream[trial.number] = await self._client.create_deployment(
                flow_id=await self._client.create_flow(store_results),
                name=trial.name,
                parameter_openapi_schema=parameter_schema(store_results).model_dump_for_openapi(),
            )

    async def begin(self, trial: Trial) -> None:
        """Create the run, and suspend it unless a worker does."""
        parameters = trial.kind.parameters(trial.name)
        if trial.kind.is_sensor:
            jobs = [await self._submit(trial.name) for _ in range(trial.jobs)]
            run = await create_suspended_run(job_ids=jobs, deployment="wait-for-jobs/suspended", **parameters)
            self._keep(trial, run)
            return
        run = await self._client.create_flow_run_from_deployment(
            self._deployments[trial.kind.flow],
            parameters=parameters,
            name=trial.name,
            state=None if trial.on_worker else Pending(),
        )
        self._keep(trial, run)
        if not trial.on_worker:
            with suppress(Pause):
                running: Any = run_flow(
                    _flow(trial.kind.flow), flow_run=run, parameters=run.parameters, return_type="state"
                )
                await running

    def _keep(self, trial: Trial, run: FlowRun) -> None:
        self.ids[trial.number] = run.id
        if trial.cancel_at:
            self.cancels[run.id] = trial.cancel_at

    def end_jobs(self, trial: Trial) -> None:
        """Let the jobs of the trial end."""
        if trial.kind.end == "never":
            return
        for job_id in self._jobs_of(trial):
            fate = {"fails": JobFault("job_fails"), "is gone": JobFault("gone")}.get(trial.kind.end)
            world: Any = self._emulator.datasaur if trial.kind.provider == "datasaur" else self._emulator.aiware
            job = world.jobs[job_id]
            if trial.kind.end == "is cancelled":
                assert world.cancel(job)
                continue
            job.course = Course(job.course.created_at, Pace(0, 0), fate)
            if trial.kind.provider == "aiware":
                world._apply_fate(job)

    async def all_suspended(self, trials: Sequence[Trial]) -> None:
        """Return when all runs are suspended, or have timed out since."""
        late = {self.ids[trial.number] for trial in trials if trial.kind.end == "never"}
        await self._until(lambda run: run.id in late or bool(run.state and run.state.name == "Suspended"))

    async def all_final(self, say: Callable[[str], object]) -> None:
        """Return when all runs have ended, or when one hangs."""
        if not await self._until(lambda run: bool(run.state and run.state.is_final())):
            say("Some runs hang.")

    async def verdict(self, trial: Trial, watcher: DisturbedWatcher) -> Verdict:
        """The result of the trial, in which `watcher` was disturbed."""
        run_id = self.ids[trial.number]
        run = await ask(lambda client: client.read_flow_run(run_id))
        states = sorted(
            await ask(lambda client: client.read_flow_run_states(run_id)), key=lambda state: state.timestamp
        )
        ending = Ending(
            [str(state.name) for state in states],
            (run.state and run.state.message) or "",
            bool(run.state and run.state.is_final()),
            len(await self._followers(trial)),
            run_id in watcher.interrupted,
            run_id in watcher.refused,
        )
        return Verdict(trial, ending, tuple(broken_promises(trial, ending, self._jobs_of(trial))))

    async def _followers(self, trial: Trial) -> list[Any]:
        only = DeploymentFilter(id=DeploymentFilterId(any_=[self._downstream[trial.number]]))
        return list(await ask(lambda client: client.read_flow_runs(deployment_filter=only)))

    def _jobs_of(self, trial: Trial) -> list[str]:
        return jobs_of(trial, json.loads(self._emulator.ledger.to_json())["submissions"])

    async def _until(self, is_reached: Callable[[Any], bool]) -> bool:
        give_up_at = time.monotonic() + HUNG_AFTER_S
        while time.monotonic() < give_up_at:
            found = await read_runs(self.ids.values())
            if len(found) == len(self.ids) and all(map(is_reached, found.values())):
                return True
            await asyncio.sleep(_LOOK_AGAIN_S)
        return False

    async def _submit(self, name: str) -> str:
        address, fields = recording(name).values()
        async with self._aiware.get_client() as client:
            spec = EngineJobSpec.of(engine_id=ENGINE_ID, upload_url=address, fields=fields)
            return (await client.submit(spec)).job_id

    async def _save_blocks(self) -> None:
        accounts = self._emulator.accounts
        self._aiware = AiwareCredentials(base_url=self._url, token=SecretStr(accounts.aiware_token))
        await self._aiware.asave("crash-aiware", overwrite=True)
        await DatasaurCredentials(
            base_url=self._url,
            client_id=accounts.datasaur_client_id,
            client_secret=SecretStr(accounts.datasaur_client_secret),
        ).asave("crash-datasaur", overwrite=True)
        model = DatasaurTargetApi(
            endpoint="https://model.example.com/predict", secret_key=SecretStr(self._stack.target_secret)
        )
        await model.asave("crash-target-api", overwrite=True)


async def _idle(worker_pid: int) -> None:
    """Return when no process of a run remains."""
    while psutil.Process(worker_pid).children():  # noqa: ASYNC110 (it tells nobody)
        await asyncio.sleep(_LOOK_AGAIN_S)


def _flow(name: str) -> Flow[..., Any]:
    flow: Flow[..., Any] = getattr(import_module(f"flows.{name}"), name)
    return flow


def _in_words(kill: Kill) -> str:
    return f"{'after' if kill.is_answered else 'before'} {kill.request}"


def restart_server(stack: Stack) -> None:
    """Kill all of Prefect's API servers, and start them again."""
    servers = [part for name, part in stack.parts.items() if name == "server" or name.startswith("api-")]
    for server in servers:
        server.kill()
    for server in servers:
        server.restart()
