"""The submissions of a run that are the same job: across attempts, retries of tasks, and inner flows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry

from blocks.runs.submit import submit_from_here
from graphql_jobs.emulator import Fault
from graphql_jobs.providers.aiware import AiwareJobSpec, EngineTask
from graphql_jobs.providers.datasaur import AutoLabelSpec
from tasks import submit_job

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State

    from blocks import AiwareCredentials, DatasaurCredentials, DatasaurTargetApi
    from graphql_jobs.emulator import Emulator

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

SPEC = AiwareJobSpec.of(tasks=[EngineTask(engine_id="c0e55cde-340b-44d7-bb42-2e0d65e98255")])
OTHER = AiwareJobSpec.of(tasks=[EngineTask(engine_id="54525249-da68-4dbf-b6fe-aea9a1aefd4d")])


async def attempts(some_flow: Any, count: int = 2) -> State[Any]:
    """The flow's run, then another attempt as after a crash or a click on "Retry"."""
    engine: Any = run_flow
    async with get_client() as client:
        run: FlowRun = await client.create_flow_run(some_flow)
        state: State[Any] = await engine(some_flow, flow_run=run, return_type="state")
        for _ in range(count - 1):
            await client.set_flow_run_state(run.id, AwaitingRetry(), force=True)
            run = await client.read_flow_run(run.id)
            state = await engine(some_flow, flow_run=run, return_type="state")
    return state


def made(emulator: Emulator) -> int:
    """The number of jobs."""
    return len([one for one in emulator.ledger.submissions if one.job_id])


async def test_same_spec_twice_is_two_jobs(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """Two calls, two jobs; the second attempt gets the same two."""
    seen: list[set[str]] = []

    @flow
    async def twice() -> None:
        seen.append({(await submit_job(aiware, SPEC)).job_id for _ in range(2)})

    await attempts(twice)
    assert len(seen[0]) == 2
    assert seen[0] == seen[1]
    assert made(emulator) == 2


async def test_order_of_calls_does_not_matter(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """Different specs, concurrently, in a different order each time: only the first attempt submits."""
    orders = iter([[SPEC, OTHER, SPEC], [OTHER, SPEC, SPEC], [SPEC, SPEC, OTHER]])

    @flow
    async def at_once() -> None:
        await asyncio.gather(*(submit_job(aiware, spec) for spec in next(orders)))

    await attempts(at_once, 3)
    assert made(emulator) == 3


async def test_task_that_prefect_retries_submits_no_second_job(
    emulator: Emulator, datasaur: DatasaurCredentials, target_api: DatasaurTargetApi
) -> None:
    """A user's task has retries: the outcome stays unknown, and the create is sent once."""
    spec = AutoLabelSpec.of(
        project_id="HvdyIL2iwZn",
        labeler_email="me@example.com",
        target_endpoint=target_api.endpoint,
        target_secret=target_api.secret_key,
    )
    emulator.faults.add(Fault("drop_after", operation=spec.operation))

    @flow
    async def retried() -> None:
        await submit_job.with_options(retries=3)(datasaur, spec)

    assert (await attempts(retried)).is_failed()
    assert emulator.ledger.count(spec.operation) == 1


async def test_inner_flow_finds_its_job_when_the_outer_one_is_retried(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """Prefect gives an inner flow a new id in each attempt; its job is the same."""
    fail = iter([True, False])

    @flow
    async def inner() -> None:
        await submit_job(aiware, SPEC)
        if next(fail):
            raise RuntimeError("the process died, so to speak")

    @flow
    async def outer() -> None:
        await inner()

    assert (await attempts(outer)).is_completed()
    assert made(emulator) == 1


@pytest.mark.parametrize("which", ["inner", "outer"])
async def test_flow_with_retries_submits_once(which: str, emulator: Emulator, aiware: AiwareCredentials) -> None:
    """`retries` of an inner or an outer flow, in the same process: one job per call."""
    fail = iter([True, True, False])

    @flow(retries=2 if which == "inner" else 0)
    async def inner() -> None:
        await submit_job(aiware, SPEC)
        if next(fail):
            raise RuntimeError("not today")

    @flow(retries=2 if which == "outer" else 0)
    async def outer() -> None:
        await submit_job(aiware, SPEC)
        await inner()

    assert (await attempts(outer, 1)).is_completed()
    assert made(emulator) == 2


async def test_two_runs_are_two_jobs(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """The same flow, another run: another job."""

    @flow
    async def once() -> None:
        await submit_job(aiware, SPEC)

    await attempts(once, 1)
    await attempts(once, 1)
    assert made(emulator) == 2


async def test_outside_a_flow_the_store_is_the_process(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """Calls with a key share a job; each call without a key submits a new one."""
    keys = ("order-7", "order-7", None, None)
    async with aiware.get_client() as client:
        first, second, third, fourth = [await submit_from_here(aiware, client, SPEC, key=key) for key in keys]
    assert first == second
    assert len({first.job_id, third.job_id, fourth.job_id}) == 3
    assert made(emulator) == 3
