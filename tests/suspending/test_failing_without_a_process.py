"""With `on_failure="fail"`, a suspended run ends as it would have ended in its process."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs.emulator import Fault, JobFault
from tests.suspending.conftest import ENGINE, finish, watch

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator
    from graphql_jobs.emulator.aiware.model import Job
    from tasks.suspending.watcher import Watcher
    from tests.suspending.conftest import Runs

pytestmark = pytest.mark.prefect

STAYS: dict[str, Any] = {"times": None}
ENDS: dict[str, tuple[JobFault | Fault, dict[str, Any]]] = {
    "JobFailed": (JobFault("job_fails", **STAYS), {}),
    "TimedOut": (JobFault("stuck", **STAYS), {"give_up_after_s": 600.0}),
    "JobLost": (JobFault("gone", **STAYS), {}),
    "CheckRefused": (Fault("unauthorized", operation="job", **STAYS), {}),
    "ProviderLost": (Fault("server_error", operation="job", **STAYS), {}),
}


def without_ids(message: str | None) -> str:
    """The message without the id of the job and the seconds that passed."""
    return re.sub(r"\d{8}_\w+", "JOB", re.sub(r"\d+ s\b", "N s", message or ""))


@pytest.mark.parametrize("name", ENDS)
async def test_run_ends_in_the_state_and_with_the_message_of_its_flow(
    runs: Runs, watcher: Watcher, emulator: Emulator, name: str
) -> None:
    """Once in its process, and once without."""
    fault, parameters = ENDS[name]
    emulator.faults.add(fault)
    in_process = await runs.execute(await runs.create("run-aiware-job", ENGINE | parameters | {"suspend": False}))
    run = await runs.create("run-aiware-job", ENGINE | parameters | {"on_failure": "fail"})
    assert (await runs.execute(run)).name == "Suspended"
    await watch(watcher)
    state = await runs.state(run)
    assert (in_process.name, state.name, state.type) == (name, name, in_process.type)
    assert without_ids(state.message) == without_ids(in_process.message)


@pytest.mark.parametrize("statuses", [("failed",), ("complete", "failed"), ("aborted",), ("aborted", "failed")])
async def test_sensor_ends_in_the_state_and_with_the_message_of_its_flow(
    runs: Runs, watcher: Watcher, emulator: Emulator, job: Job, statuses: tuple[str, ...]
) -> None:
    """Jobs that failed, or were cancelled at the provider."""
    jobs = [job, emulator.aiware.plant()][: len(statuses)]
    for one, status in zip(jobs, statuses, strict=True):
        finish(one, status)
    ids = [one.id for one in jobs]
    in_process = await runs.execute(await runs.create("wait-for-jobs", {"provider": "aiware", "job_ids": ids}))
    run = await runs.sensor(*ids, on_failure="fail")
    await watch(watcher)
    state = await runs.state(run)
    assert (state.name, state.type, state.message) == (in_process.name, in_process.type, in_process.message)


async def test_run_whose_jobs_succeeded_is_resumed(runs: Runs, watcher: Watcher, job: Job) -> None:
    """The flow has a result to return."""
    run = await runs.sensor(job.id, on_failure="fail")
    finish(job)
    await watch(watcher)
    assert (await runs.state(run)).name == "Resuming"
