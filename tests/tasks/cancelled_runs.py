"""Cancelled runs and their jobs, for the tests of the clean-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import get_client
from prefect.states import Cancelled, Running

from blocks.runs.store import RunStore
from flows.run_aiware_job import run_aiware_job
from graphql_jobs import Label, submission_key, submit_once
from graphql_jobs.providers.aiware import AiwareJobSpec, EngineTask
from graphql_jobs.providers.datasaur import ProjectSpec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import pytest
    from prefect.client.schemas.objects import FlowRun, State

    from blocks import AiwareCredentials, DatasaurCredentials
    from graphql_jobs import JobSpec
    from graphql_jobs.store import Entry

ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
AN_INSTANT = "2026-01-01T00:00:00Z"
PROJECT_ID = "HvdyIL2iwZn"
TASKS = AiwareJobSpec(tasks=[EngineTask(engine_id=ENGINE_ID)])
PROJECT = ProjectSpec.of(name="n", documents=[{"name": "a.txt", "external_url": "https://a.example.com/a.txt"}])
BY_HAND: State[Any] = Cancelled(message="Flow run was cancelled successfully.")


def key_of(what: str) -> str:
    return submission_key("a", "test", "of", "keys", what)


async def new_run() -> FlowRun:
    async with get_client() as api:
        return await api.create_flow_run(run_aiware_job, parameters={}, state=Running())


async def end(run: FlowRun, state: State[Any] = BY_HAND) -> None:
    async with get_client() as api:
        await api.set_flow_run_state(run.id, state, force=True)


async def message_of(run: FlowRun) -> str | None:
    async with get_client() as api:
        state = (await api.read_flow_run(run.id)).state
        return state.message if state else None


async def name_of(run: FlowRun) -> str | None:
    async with get_client() as api:
        return (await api.read_flow_run(run.id)).state_name


async def submit(
    credentials: AiwareCredentials | DatasaurCredentials,
    spec: JobSpec,
    run: FlowRun,
    what: str = "",
    store: RunStore | None = None,
    block: str | None = None,
) -> str:
    async with credentials.get_client() as client:
        label = Label(key_of(what or str(run.id)), str(run.id))
        name = client.provider if block is None else block
        return (await submit_once(client, spec, store or RunStore(run.id), label, credentials=name)).job_id


class Forgetful(RunStore):
    """A store whose process is killed before the job's id is written."""

    async def append(self, key: str, number: int, entry: Entry) -> bool:
        if entry["kind"] == "handle":
            raise ConnectionError("the process died")
        return await super().append(key, number, entry)


async def shared_target(aiware: AiwareCredentials) -> str:
    async with aiware.get_client() as client:
        return await client.create_target(startDateTime=AN_INSTANT, stopDateTime=AN_INSTANT)


def meanwhile(aiware: AiwareCredentials, patch: pytest.MonkeyPatch, happens: Callable[[], Awaitable[None]]) -> None:
    """Run something in the first delay of the clean-up."""
    clock = aiware.get_client().session.clock
    sleep, due = clock.sleep, [True]

    async def sleeping(delay_s: float) -> None:
        if due and due.pop():
            await happens()
        await sleep(delay_s)

    patch.setattr(clock, "sleep", sleeping)
