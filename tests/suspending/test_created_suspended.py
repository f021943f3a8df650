"""A run of the sensor that is created suspended: no process starts before its jobs have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flows.wait_for_jobs import wait_for_jobs
from graphql_jobs.emulator import JobFault
from graphql_jobs.errors import InvalidInput
from tasks import create_suspended_run
from tests.suspending.conftest import watch

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator
    from tasks.suspending.watcher import Watcher
    from tests.suspending.conftest import Runs

pytestmark = pytest.mark.prefect

DEPLOYMENT = "wait-for-jobs/suspending"


@pytest.fixture
def job_id(emulator: Emulator) -> str:
    """The id of a job of another submitter."""
    return emulator.aiware.plant().id


async def create(runs: Runs, job_id: str, **parameters: Any) -> Any:
    await runs.deployment("wait-for-jobs")
    return await create_suspended_run("aiware", [job_id], deployment=DEPLOYMENT, **parameters)


async def test_sensor_runs_once_after_its_job_has_ended(runs: Runs, watcher: Watcher, job_id: str) -> None:
    """It is suspended first, and executed once."""
    run = await create(runs, job_id)
    assert run.state.name == "Suspended"
    await watch(watcher)
    assert (await runs.execute(run)).name == "Completed"
    assert (await runs.client.read_flow_run(run.id)).run_count == 1


async def test_sensor_whose_job_failed_is_executed_once(runs: Runs, watcher: Watcher, emulator: Emulator) -> None:
    """Prefect does not count the first execution of a run that was created suspended, and would run it again."""
    run = await create(runs, emulator.aiware.plant(fault=JobFault("job_fails")).id)
    await watch(watcher)
    assert (await runs.execute(run)).name == "JobFailed"
    states = [state.name for state in await runs.client.read_flow_run_states(run.id)]
    assert states.count("Running") == 1


async def test_same_key_creates_one_run(runs: Runs, job_id: str) -> None:
    """The second call returns the run of the first."""
    first = await create(runs, job_id, idempotency_key="nightly")
    assert (await create(runs, job_id, idempotency_key="nightly")).id == first.id


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"deployment": "wait-for-jobs/none"}, "deployment"),
        ({"job_ids": []}, "job_ids"),
        ({"job_ids": ["a b\n"]}, "job_ids"),
        ({"credentials": "none"}, "credentials"),
        ({"give_up_after_s": -1}, "total_s"),
    ],
)
async def test_wrong_input_creates_no_run(runs: Runs, job_id: str, wrong: dict[str, Any], named: str) -> None:
    """The error names the parameter."""
    await runs.deployment("wait-for-jobs")
    asked: dict[str, Any] = {"provider": "aiware", "job_ids": [job_id], "deployment": DEPLOYMENT} | wrong
    before = len(await runs.client.read_flow_runs())
    with pytest.raises(InvalidInput, match=named):
        await create_suspended_run(**asked)
    assert len(await runs.client.read_flow_runs()) == before


def test_parameters_are_those_of_the_flow() -> None:
    """The function passes them on by name."""
    assert {"provider", "job_ids", "credentials", "suspend", "until", "on_failure"} <= set(
        wait_for_jobs.parameters.properties
    )
