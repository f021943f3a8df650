"""Each task in a user's own async flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow
from prefect.context import FlowRunContext

import tasks
from graphql_jobs import Job, JobState
from graphql_jobs.errors import CancelRefused, JobFailed, JobNotFound
from graphql_jobs.providers.aiware import AiwareJobSpec, EngineJobSpec, EngineTask
from graphql_jobs.providers.datasaur import ExportSpec
from tests.conftest import files_in

if TYPE_CHECKING:
    from pathlib import Path

    from blocks import AiwareCredentials, DatasaurCredentials
    from graphql_jobs.emulator import Emulator
    from tests.conftest import Deploy, RunsOf

from tests.tasks.task_runs import task_run_names

pytestmark = [pytest.mark.prefect, pytest.mark.walk, pytest.mark.usefixtures("prefect_server")]

ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"


async def test_job_from_submission_to_downstream(
    aiware: AiwareCredentials, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """Submit, check, wait, fetch, start downstream, in one flow. The names of the task runs describe them."""
    downstream = await deploy("own-async-downstream")

    @flow
    async def mine() -> tuple[Job, Job, dict[str, Any], object, str]:
        handle = await tasks.submit_job(aiware, EngineJobSpec(engine_id=ENGINE_ID, upload_url="https://x.invalid/a"))
        seen = await tasks.check_job(aiware, handle.job_id)
        job = await tasks.wait_for_job(aiware, handle)
        result = await tasks.fetch_result(aiware, handle, job)
        await tasks.start_deployment(downstream, {"jobs": [job.to_json()]}, f"mine-{job.job_id}")
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        return seen, job, result, context.flow_run.id, handle.job_id

    seen, job, result, flow_run_id, job_id = await mine()
    assert (seen.state, job.state) == (JobState.PENDING, JobState.SUCCEEDED)
    assert [record["engineId"] for record in result["engine_results"]] == [ENGINE_ID]
    [started] = await runs_of(downstream)
    assert started.parameters["jobs"] == [job.to_json()]
    made = [(done.operation, done.job_id) for done in emulator.ledger.submissions]
    assert made == [("createTDOWithAsset", None), ("launchSingleEngineJob", job_id)]
    names = await task_run_names(flow_run_id, 5)
    assert {
        "submit aiWARE engine job",
        f"check {job_id}",
        f"wait for aiWARE job {job_id}",
        f"fetch result of aiWARE job {job_id}",
        f"start {downstream}",
    } <= set(names)


async def test_job_with_tasks_can_be_cancelled(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """createJob, then cancel while it is queued: confirmed, with one cancel at the provider."""

    @flow
    async def mine() -> Any:
        handle = await tasks.submit_job(aiware, AiwareJobSpec(tasks=[EngineTask(engine_id=ENGINE_ID)]))
        return await tasks.cancel_job(aiware, handle.job_id)

    outcome = await mine()
    assert outcome.confirmed
    assert [cancel.job_id for cancel in emulator.ledger.cancels] == [outcome.job_id]


async def test_cancel_without_support_is_refused(datasaur: DatasaurCredentials, emulator: Emulator) -> None:
    """Datasaur has no cancel: `CancelRefused`, and no request."""

    @flow
    async def mine() -> Any:
        return await tasks.cancel_job(datasaur, "AutoLabelQueue:1")

    with pytest.raises(CancelRefused, match="left running"):
        await mine()
    assert emulator.ledger.requests == []


async def test_export_is_saved_in_the_given_folder(datasaur: DatasaurCredentials, tmp_path: Path) -> None:
    """`fetch_result(..., folder)` downloads the zip there."""

    @flow
    async def mine() -> dict[str, Any]:
        handle = await tasks.submit_job(datasaur, ExportSpec(project_ids=["HvdyIL2iwZn"], file_name="x"))
        job = await tasks.wait_for_job(datasaur, handle)
        return await tasks.fetch_result(datasaur, handle, job, tmp_path)

    result = await mine()
    assert files_in(tmp_path) == {result["file"]: result["size_bytes"]}


async def test_result_of_a_failed_job_is_not_fetched(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """`fetch_result` with a failed job raises `JobFailed`, without a request."""
    planted = emulator.aiware.plant(status="failed", tasks=[])

    @flow
    async def mine() -> Any:
        job = await tasks.check_job(aiware, planted.id)
        async with aiware.get_client() as client:
            return await tasks.fetch_result(aiware, client.handle(planted.id), job)

    with pytest.raises(JobFailed):
        await mine()
    assert emulator.ledger.count("engineResults") == 0


async def test_bad_id_does_not_affect_the_others(
    aiware: AiwareCredentials, datasaur: DatasaurCredentials, emulator: Emulator
) -> None:
    """check_jobs with 99 jobs and one unknown id, at each provider: 99 jobs and one `JobNotFound`, in one request."""
    good = {
        "aiware": [emulator.aiware.plant().id for _ in range(99)],
        "datasaur": [emulator.datasaur.plant().id for _ in range(99)],
    }

    @flow
    async def mine(provider: str) -> Any:
        block = aiware if provider == "aiware" else datasaur
        return await tasks.check_jobs(block, [*good[provider], "unknown"])

    for provider, job_ids in good.items():
        seen = await mine(provider)
        assert isinstance(seen.pop("unknown"), JobNotFound)
        assert list(seen) == job_ids
        assert all(isinstance(job, Job) for job in seen.values())
    assert [record.statuses_read for record in emulator.ledger.requests if record.statuses_read] == [99, 99]


async def test_waiting_for_many_is_one_task_run(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """50 jobs until they end: one task run, and one request per poll."""
    job_ids = [emulator.aiware.plant().id for _ in range(50)]

    @flow
    async def mine() -> Any:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        return context.flow_run.id, await tasks.wait_for_jobs(aiware, job_ids)

    flow_run_id, ended = await mine()
    assert {job.state for job in ended.values()} == {JobState.SUCCEEDED}
    assert len(ended) == 50
    polls = [set(record.job_ids) for record in emulator.ledger.requests]
    assert polls[0] == set(job_ids)
    # Jobs take 7 s, the interval is 2 s, and jobs that are not nearly due need a second request.
    assert len(polls) <= 2 * (7 / 2 + 1)
    names = await task_run_names(flow_run_id, 1)
    assert names == ["wait for 50 aiWARE jobs"]
