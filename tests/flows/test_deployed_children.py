"""A run that another run started with `run_deployment` has its own record, although Prefect draws it as a subflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.deployments import arun_deployment
from prefect.states import Cancelled, Crashed, Running
from prefect.utilities.callables import parameter_schema

from flows.run_aiware_job import run_aiware_job
from graphql_jobs.emulator import JobFault
from tasks.cancelling.layers import clean_up_after
from tests.flows.conftest import ENGINE_ID, MakeRun, OneRun, jobs
from tests.flows.orphans import emulator as emulator
from tests.flows.orphans import reap

if TYPE_CHECKING:
    from uuid import UUID

    from graphql_jobs.emulator import Emulator
    from tests.conftest import Deploy

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("saved")]

#: A launch that stays queued: a job of a run that gave up.
PARAMETERS: dict[str, Any] = {"tasks": [{"engine_id": ENGINE_ID}], "give_up_after_s": 2}


async def family(make_run: MakeRun, deploy: Deploy, children: int) -> tuple[OneRun, list[OneRun]]:
    """An ended run, and the runs of a deployment that it started in that flow, each executed as by a worker."""
    deployment = await deploy("run-aiware-job", parameter_schema(run_aiware_job).model_dump_for_openapi())

    @flow
    async def parent() -> list[UUID]:
        return [(await arun_deployment(deployment, parameters=PARAMETERS, timeout=0)).id for _ in range(children)]

    run = await make_run(parent)
    started = await (await run()).result()
    async with get_client() as client:
        assert all([(await client.read_flow_run(run_id)).parent_task_run_id for run_id in started])
    return run, [OneRun(run_aiware_job, run_id, PARAMETERS) for run_id in started]


async def test_two_child_runs_have_and_keep_one_job_each(make_run: MakeRun, deploy: Deploy, emulator: Emulator) -> None:
    """The same spec in both: two jobs. The parent is deleted and each child is run again: the same two jobs."""
    emulator.faults.add(JobFault("stuck", times=None))
    parent, children = await family(make_run, deploy, 2)
    for child in children:
        assert (await child()).name == "TimedOut"
    made = jobs(emulator)
    assert len(set(made)) == 2
    assert await parent.inputs() == {}
    async with get_client() as client:
        await client.delete_flow_run(parent.id)
    for child, job_id in zip(children, made, strict=True):
        assert job_id in str((await child()).message)
    assert jobs(emulator) == made


async def test_cancel_of_a_child_run_cancels_only_its_job(
    make_run: MakeRun, deploy: Deploy, emulator: Emulator
) -> None:
    """Cancelling the parent cancels no job. Cancelling a child cancels its job, and not its sibling's."""
    emulator.faults.add(JobFault("stuck", times=None))
    parent, children = await family(make_run, deploy, 2)
    for child in children:
        assert (await child()).name == "TimedOut"
    first, _ = jobs(emulator)
    await parent.set_state(Cancelled(message="by hand"))
    assert await clean_up_after(parent.id) == []
    await children[0].set_state(Cancelled(message="by hand"))
    assert await clean_up_after(children[0].id) == [f"aiWARE job {first}: cancelled (status 'aborted')."]
    assert [cancel.job_id for cancel in emulator.ledger.cancels] == [first]


async def test_job_of_an_ended_child_run_is_an_orphan(make_run: MakeRun, deploy: Deploy, emulator: Emulator) -> None:
    """The parent has ended and the child waits: no orphan. The child has crashed: an orphan."""
    emulator.faults.add(JobFault("stuck", times=None))
    parent, [child] = await family(make_run, deploy, 1)
    assert (await child()).name == "TimedOut"
    await child.set_state(Running())
    assert await reap(emulator, action="cancel", dry_run=False) == []
    await parent.set_state(Running())
    await child.set_state(Crashed())
    [row] = await reap(emulator)
    assert (row["job_id"], row["run"]) == (jobs(emulator)[0], str(child.id))


async def test_flow_called_in_a_child_run_belongs_to_the_child(
    make_run: MakeRun, deploy: Deploy, emulator: Emulator
) -> None:
    """A flow that is called as a function uses the store of the child run that calls it, not of the child's parent."""
    deployment = await deploy("with-a-flow-inside", {"type": "object", "properties": {}})

    @flow
    async def starter() -> UUID:
        return (await arun_deployment(deployment, timeout=0)).id

    @flow(name="with-a-flow-inside")
    async def child() -> None:
        called: Any = run_aiware_job  # its types do not distinguish its result from a state
        await called(**PARAMETERS, return_state=True)

    started = OneRun(child, await (await (await make_run(starter))()).result(), {})
    await started()
    assert {entry["kind"] for entry in (await started.inputs()).values()} >= {"intent", "handle"}
