"""Each task in a user's own sync flow, by `.submit(...).result()`: in threads, on separate event loops."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow
from pydantic import SecretStr

import tasks as typed_tasks
from graphql_jobs import Job, JobState, Schedule, WaitPolicy
from graphql_jobs.emulator import Emulator, JobFault
from graphql_jobs.errors import CancelRefused, InvalidInput, JobNotFound
from graphql_jobs.providers.aiware import AiwareJobSpec, EngineJobSpec, EngineTask
from graphql_jobs.providers.datasaur import AutoLabelSpec, ExportSpec
from tests.conftest import TARGET_SECRET, Deploy, RunsOf, aiware_credentials, datasaur_credentials, files_in

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

#: Prefect's types say that `.result()` of an async task returns a coroutine; it returns the coroutine's result.
tasks: Any = typed_tasks
ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
#: Real intervals, since these tasks run on the machine's clock: as short as possible.
OFTEN = WaitPolicy(Schedule(0.05, 1, 0.05))


async def test_aiware_job_from_submission_to_downstream(
    live_emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """Submit, check one and many, wait for one and many, fetch, start downstream, all from sync code."""
    downstream = await deploy("own-sync-downstream")
    credentials = aiware_credentials(live_emulator)

    @flow
    def mine() -> tuple[Job, dict[str, Any]]:
        spec = EngineJobSpec(engine_id=ENGINE_ID, upload_url="https://x.invalid/a")
        handle = tasks.submit_job.submit(credentials, spec).result()
        assert tasks.check_job.submit(credentials, handle.job_id).result().job_id == handle.job_id
        seen = tasks.check_jobs.submit(credentials, [handle.job_id, "unknown"]).result()
        assert isinstance(seen["unknown"], JobNotFound)
        job = tasks.wait_for_job.submit(credentials, handle, OFTEN).result()
        assert tasks.wait_for_jobs.submit(credentials, [handle], OFTEN).result() == {handle.job_id: job}
        result = tasks.fetch_result.submit(credentials, handle, job).result()
        tasks.start_deployment.submit(downstream, {"jobs": [job.to_json()]}, job.job_id).result()
        return job, result

    job, result = await asyncio.to_thread(mine)
    assert job.state is JobState.SUCCEEDED
    assert [record["engineId"] for record in result["engine_results"]] == [ENGINE_ID]
    assert [run.parameters["jobs"] for run in await runs_of(downstream)] == [[job.to_json()]]
    made = [(done.operation, done.job_id) for done in live_emulator.ledger.submissions]
    assert made == [("createTDOWithAsset", None), ("launchSingleEngineJob", job.job_id)]


async def test_datasaur_jobs_submitted_side_by_side(live_emulator: Emulator, tmp_path: Path) -> None:
    """Two concurrent tasks, each in its own thread and loop, with client id and secret: both jobs succeed."""
    credentials = datasaur_credentials(live_emulator)
    label = AutoLabelSpec(
        project_id="HvdyIL2iwZn",
        labeler_email="labeler@example.invalid",
        target_endpoint="https://model.example.invalid",
        target_secret=SecretStr(TARGET_SECRET),
    )

    @flow
    def mine() -> dict[str, Any]:
        labelling = tasks.submit_job.submit(credentials, label)
        exporting = tasks.submit_job.submit(credentials, ExportSpec(project_ids=["HvdyIL2iwZn"], file_name="x"))
        handles = [labelling.result(), exporting.result()]
        ended = tasks.wait_for_jobs.submit(credentials, handles, OFTEN).result()
        job = ended[handles[1].job_id]
        result: dict[str, Any] = tasks.fetch_result.submit(credentials, handles[1], job, tmp_path).result()
        return result

    result = await asyncio.to_thread(mine)
    assert files_in(tmp_path) == {result["file"]: result["size_bytes"]}
    assert {done.operation for done in live_emulator.ledger.submissions} == {
        "autoLabelTokenBasedProject",
        "exportTextProject",
    }


async def test_cancel_from_sync_code(live_emulator: Emulator) -> None:
    """A Datasaur job: refused. An aiWARE job with an invalid id: `InvalidInput`. Nothing is sent."""
    aiware, datasaur = aiware_credentials(live_emulator), datasaur_credentials(live_emulator)

    @flow
    def mine() -> None:
        with pytest.raises(CancelRefused):
            tasks.cancel_job.submit(datasaur, "AutoLabelQueue:1").result()
        with pytest.raises(InvalidInput):
            tasks.cancel_job.submit(aiware, "no such/id").result()

    await asyncio.to_thread(mine)
    assert live_emulator.ledger.requests == []


async def test_queued_job_is_cancelled_from_sync_code(live_emulator: Emulator) -> None:
    """Submitted with a start far in the future and cancelled: confirmed."""
    live_emulator.faults.add(JobFault("stuck"))
    credentials = aiware_credentials(live_emulator)

    @flow
    def mine() -> bool:
        spec = AiwareJobSpec(tasks=[EngineTask(engine_id=ENGINE_ID)])
        handle = tasks.submit_job.submit(credentials, spec).result()
        return bool(tasks.cancel_job.submit(credentials, handle.job_id).result().confirmed)

    assert await asyncio.to_thread(mine)
