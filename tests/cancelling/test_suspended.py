"""A suspended run holds no process and no slot, and a person's cancel of it reaches the provider."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolUpdate
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.states import Cancelling, Pending

from flows.run_aiware_job import run_aiware_job
from scripts.stack import POOL
from tasks.cancelling.layers import MESSAGE_PREFIX
from tests.cancelling.conftest import (
    QUEUED,
    ended,
    job_of,
    runs_with_a_process,
    start,
    state_name,
    told,
    until,
    waiting,
)
from tests.crashes.runs import deploy

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

    from tests.cancelling.conftest import Installation

pytestmark = pytest.mark.prefect

logger = logging.getLogger(__name__)

SUSPENDED: dict[str, Any] = {**QUEUED, "suspend": True, "suspend_after_s": 0}


async def test_suspended_runs_hold_no_process_and_no_slot(installation: Installation, client: PrefectClient) -> None:
    """The pool and the deployment have one slot: three runs are suspended one after the other, and a fourth runs."""
    await client.update_deployment(
        await deploy(client, "run_aiware_job", "limited", POOL, "flows.run_aiware_job.run_aiware_job"),
        DeploymentUpdate(concurrency_limit=1),
    )
    await client.update_work_pool(POOL, WorkPoolUpdate(concurrency_limit=1))
    try:
        suspended = [await start(client, "run-aiware-job/limited", SUSPENDED) for _ in range(3)]
        running = await start(client, "run-aiware-job/limited", QUEUED)
        await waiting(installation, running)
        assert [await state_name(client, run) for run in (*suspended, running)] == ["Suspended"] * 3 + ["Running"]
        assert runs_with_a_process(installation.worker.pid) == {str(running.id)}
        await client.set_flow_run_state(running.id, Cancelling())
        await until(ended(client, running), "the running one to end")
    finally:
        await client.update_work_pool(POOL, WorkPoolUpdate(concurrency_limit=None))
    assert [len(installation.cancels(await job_of(run))) for run in suspended] == [0, 0, 0]


async def test_cancel_of_a_suspended_run_cancels_its_job(installation: Installation, client: PrefectClient) -> None:
    """No process is there to unwind: the clean-up deployment cancels the job, and the state says so."""
    run = await suspended_here(client)
    job = await job_of(run)
    asked_at = time.time()
    await client.set_flow_run_state(run.id, Cancelling())
    assert await state_name(client, run) == "Cancelled"
    assert await told(client, run) == f"{MESSAGE_PREFIX}aiWARE job {job}: cancelled (status 'aborted')."
    assert [cancel["accepted"] for cancel in installation.cancels(job)] == [True]
    logger.info("The cancel came after %.1f s.", installation.cancels(job)[0]["at"] - asked_at)


async def suspended_here(client: PrefectClient) -> FlowRun:
    """A run of the deployment that this process executes until it is suspended, as a worker's would."""
    deployment = await client.read_deployment_by_name("run-aiware-job/aiware-tasks")
    run = await client.create_flow_run_from_deployment(deployment.id, parameters=SUSPENDED, state=Pending())
    with suppress(Pause):
        running: Any = run_flow(run_aiware_job, flow_run=run, parameters=run.parameters, return_type="state")
        await running
    assert await state_name(client, run) == "Suspended"
    return run
