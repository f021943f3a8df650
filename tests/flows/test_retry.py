"""Law 2 under Prefect: running a flow run again does not submit its job again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry

from flows.run_datasaur_export import run_datasaur_export
from graphql_jobs.emulator import JobFault

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State

    from graphql_jobs.emulator import Emulator

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("saved")]

PARAMETERS = {"project_ids": ["HvdyIL2iwZn"], "file_name": "out"}


async def test_a_run_that_is_retried_in_the_ui_does_not_submit_again(emulator: Emulator) -> None:
    """The export fails, a person clicks "Retry": the run says why it submits nothing; one submission in the ledger."""
    emulator.faults.add(JobFault("job_fails"))
    async with get_client() as client:
        run = await client.create_flow_run(run_datasaur_export, parameters=PARAMETERS)
        assert (await attempt(run)).name == "JobFailed"
        await client.set_flow_run_state(run.id, AwaitingRetry(), force=True)
        again = await attempt(await client.read_flow_run(run.id))
    assert again.name == "RetryRefused"
    assert "wait-for-jobs" in (again.message or "")
    assert len(emulator.ledger.submissions) == 1


async def attempt(run: FlowRun) -> State[Any]:
    """Run the flow run in this process, as a worker's engine does in its own."""
    engine: Any = run_flow  # whose types do not tell an async flow's state from its result
    state: State[Any] = await engine(run_datasaur_export, flow_run=run, parameters=PARAMETERS, return_type="state")
    return state
