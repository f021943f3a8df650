"""A worker that is killed with SIGKILL, with all its processes: the runs that the next worker gets, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.states import Cancelling, Crashed

from tests.cancelling.conftest import LABEL, QUEUED, ended, start, state_name, until, waiting

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

    from tests.cancelling.conftest import Installation

pytestmark = pytest.mark.prefect

LABELING = "run-datasaur-auto-label/datasaur-auto-label"


async def test_killed_run_holds_its_slot_until_it_is_marked_as_crashed(
    installation: Installation, client: PrefectClient
) -> None:
    """A limit of one: the next run of the deployment waits until the killed one is set to Crashed; others do not."""
    deployment = await client.read_deployment_by_name(LABELING)
    await client.update_deployment(deployment.id, DeploymentUpdate(concurrency_limit=1))
    killed = await start(client, LABELING, LABEL)
    await waiting(installation, killed)
    await installation.kill_worker()

    other, next_one = await start(client, "run-aiware-job/aiware-tasks", QUEUED), await start(client, LABELING, LABEL)
    await waiting(installation, other)

    async def waits_for_the_slot() -> bool:
        return await state_name(client, next_one) == "AwaitingConcurrencySlot"

    await until(waits_for_the_slot, "the next run to wait for the slot")
    assert await state_name(client, killed) == "Running"
    await client.set_flow_run_state(killed.id, Crashed(message="Its worker was killed."), force=True)
    await waiting(installation, next_one)

    for run in (other, next_one):
        await client.set_flow_run_state(run.id, Cancelling())
        await until(ended(client, run), f"run {run.name} to end")
    await client.update_deployment(deployment.id, DeploymentUpdate(concurrency_limit=5))
