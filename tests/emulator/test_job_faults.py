"""Faults of jobs are decided when the job is submitted."""

from typing import Any

import pytest

from graphql_jobs.emulator import Emulator, JobFault, PlantedTask

JOB = """query($id: ID!) { job(id: $id) { status tasks { records {
    order status failureReason failureMessage standbyTask { status } standbyForTask { id } } } } }"""
GET_JOB = "query($id: String!) { getJob(jobId: $id) { status resultId errors { id stack args } } }"


async def seen_over_time(emulator: Emulator, aiware: Any, job_id: str, *advances_s: float) -> list[Any]:
    seen = []
    for advance_s in advances_s:
        emulator.clock.advance(advance_s)
        job = (await aiware("query($id: ID!) { job(id: $id) { status } }", id=job_id))["data"]["job"]
        seen.append(job and job["status"])
    return seen


async def ended(emulator: Emulator, aiware: Any, create_job: Any, fault: JobFault, tasks: int = 1) -> Any:
    """A job with this fault, after its end."""
    emulator.faults.add(fault)
    job_id = await create_job(tasks=[{"engineId": "c0e55cde-340b-44d7-bb42-2e0d65e98255"}] * tasks)
    emulator.clock.advance(7)
    return (await aiware(JOB, id=job_id))["data"]["job"]


async def test_failing_job_says_why_in_its_task(emulator: Emulator, aiware: Any, create_job: Any) -> None:
    """failed, with reason and message on the last task and not on the others."""
    fault = JobFault("job_fails", failure_reason="url_not_found", failure_message="gone")
    job = await ended(emulator, aiware, create_job, fault, tasks=2)
    tasks = {task["order"]: task for task in job["tasks"]["records"]}
    assert (job["status"], tasks[0]["status"], tasks[0]["failureReason"]) == ("failed", "complete", None)
    assert (tasks[1]["status"], tasks[1]["failureReason"], tasks[1]["failureMessage"]) == (
        "failed",
        "url_not_found",
        "gone",
    )


async def test_retried_job_keeps_its_id_and_forgets_its_failure(
    emulator: Emulator, aiware: Any, create_job: Any
) -> None:
    """Fails, retryJob: pending again and finally complete; a complete job cannot be retried."""
    emulator.faults.add(JobFault("job_fails"))
    job_id = await create_job()
    emulator.clock.advance(7)
    retry = "mutation($id: ID!) { retryJob(id: $id) { id status tasks { records { failureReason } } } }"
    assert (await aiware(retry, id=job_id))["data"]["retryJob"] == {
        "id": job_id,
        "status": "pending",
        "tasks": {"records": [{"failureReason": None}]},
    }
    emulator.clock.advance(7)
    reply = await aiware(retry, id=job_id)
    assert (reply["data"]["retryJob"], reply["errors"][0]["name"]) == (None, "invalid_input")


async def test_update_jobs_restarts_in_bulk(emulator: Emulator, aiware: Any, create_job: Any) -> None:
    """updateJobs(status: queued) restarts many jobs, as retryJob does one; a fault may apply only to the retry."""
    emulator.faults.add(JobFault("job_fails", operation="createJob"), JobFault("job_fails", operation="retryJob"))
    job_id = await create_job()
    emulator.clock.advance(7)
    document = "mutation($ids: [ID!]) { updateJobs(input: {ids: $ids, status: queued}) { records { id status } } }"
    reply = await aiware(document, ids=[job_id])
    assert reply["data"]["updateJobs"]["records"] == [{"id": job_id, "status": "pending"}]
    assert await seen_over_time(emulator, aiware, job_id, 7) == ["failed"]


async def test_complete_job_may_hide_a_failed_task(emulator: Emulator, aiware: Any, create_job: Any) -> None:
    """complete with a failed task and no standby; task_order chooses which of 40."""
    fault = JobFault("failed_task_in_complete", task_order=3)
    emulator.faults.add(fault)
    job_id = await create_job(tasks=[{"engineId": "c0e55cde-340b-44d7-bb42-2e0d65e98255"}] * 40)
    emulator.clock.advance(7)
    document = "query($id: ID!) { job(id: $id) { status tasks(status: [failed], limit: 100) { records { order } } } }"
    job = (await aiware(document, id=job_id))["data"]["job"]
    assert job == {"status": "complete", "tasks": {"records": [{"order": 3}]}}


async def test_standby_task_makes_a_failure_good(emulator: Emulator, aiware: Any, create_job: Any) -> None:
    """failed primary, complete standby, complete job."""
    job = await ended(emulator, aiware, create_job, JobFault("failed_task_with_standby"))
    primary = next(task for task in job["tasks"]["records"] if task["standbyTask"])
    assert (job["status"], primary["status"], primary["standbyTask"]) == ("complete", "failed", {"status": "complete"})
    assert len(job["tasks"]["records"]) == 2


async def test_standby_task_that_is_not_needed_never_starts(emulator: Emulator, aiware: Any, create_job: Any) -> None:
    """The caller's own standbyTask stays standby_pending and does not delay the job."""
    engine_id = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
    job_id = await create_job(tasks=[{"engineId": engine_id, "standbyTask": {"engineId": engine_id}}])
    emulator.clock.advance(7)
    job = (await aiware(JOB, id=job_id))["data"]["job"]
    assert job["status"] == "complete"
    assert sorted(task["status"] for task in job["tasks"]["records"]) == ["complete", "standby_pending"]


async def test_aborted_task_fails_the_job(emulator: Emulator, aiware: Any, create_job: Any) -> None:
    """aborted without a reason; the job is failed (KB 4353)."""
    job = await ended(emulator, aiware, create_job, JobFault("task_aborted"))
    (task,) = job["tasks"]["records"]
    assert (job["status"], task["status"], task["failureReason"]) == ("failed", "aborted", None)


FATES = [
    (JobFault("unknown_status", word="napping"), (0, 2, 5), ["pending", "napping", "complete"]),
    (JobFault("status_for_ever", word="paused"), (0, 2, 9999), ["paused", "paused", "paused"]),
    (JobFault("not_visible", delay_s=3), (0, 2.9, 0.1), [None, None, "running"]),
    (JobFault("gone", delay_s=3), (0, 2.9, 0.1), ["pending", "running", None]),
    (JobFault("stuck"), (0, 1, 9999), ["pending", "queued", "queued"]),
    (JobFault("stuck", word="running"), (0, 2, 9999), ["pending", "running", "running"]),
    (JobFault("running_queued_running"), (2, 2, 2, 1), ["running", "queued", "running", "complete"]),
]
_WORDS = {"pending": "QUEUED", "queued": "QUEUED", "running": "IN_PROGRESS", "complete": "DELIVERED"}


@pytest.mark.parametrize(("fault", "advances_s", "expected"), FATES, ids=lambda value: getattr(value, "kind", None))
async def test_jobs_fate_shows_over_time_on_aiware(
    emulator: Emulator,
    aiware: Any,
    create_job: Any,
    fault: JobFault,
    advances_s: tuple[float, ...],
    expected: list[Any],
) -> None:
    """Words outside the enum are returned; None is a job that is not found."""
    emulator.faults.add(fault)
    job_id = await create_job()
    assert await seen_over_time(emulator, aiware, job_id, *advances_s) == expected


@pytest.mark.parametrize(("fault", "advances_s", "expected"), FATES, ids=lambda value: getattr(value, "kind", None))
async def test_jobs_fate_shows_over_time_on_datasaur(
    emulator: Emulator,
    datasaur: Any,
    auto_label: Any,
    fault: JobFault,
    advances_s: tuple[float, ...],
    expected: list[Any],
) -> None:
    """The same faults in Datasaur's words."""
    emulator.faults.add(fault)
    job_id = await auto_label()
    seen = []
    for advance_s in advances_s:
        emulator.clock.advance(advance_s)
        job = (await datasaur(GET_JOB, id=job_id))["data"]["getJob"]
        seen.append(job and job["status"])
    assert seen == [_WORDS.get(word, word) for word in expected]


async def test_failed_datasaur_job_has_errors_and_no_result(emulator: Emulator, datasaur: Any) -> None:
    """FAILED, errors with id, stack and args, resultId null, and no project."""
    emulator.faults.add(JobFault("job_fails", operation="createProject", key="Doomed"))
    create = 'mutation { createProject(input: {name: "Doomed", kinds: [ROW_BASED], documents: []}) { job { id } } }'
    job_id = (await datasaur(create))["data"]["createProject"]["job"]["id"]
    emulator.clock.advance(7)
    job = (await datasaur(GET_JOB, id=job_id))["data"]["getJob"]
    assert (job["status"], job["resultId"], job["errors"][0]["id"]) == ("FAILED", None, "internal_error")
    projects = await datasaur('{ getProjects(input: {filter: {keyword: "Doomed"}}) { totalCount } }')
    assert projects["data"]["getProjects"]["totalCount"] == 0


async def test_fate_may_be_for_one_key_only(emulator: Emulator, aiware: Any, create_job: Any) -> None:
    """key "B": the job of A has no fault."""
    emulator.faults.add(JobFault("job_fails", key="B", times=None))
    ids = [await create_job(jobConfig={"graphql_jobs": {"key": key}}) for key in ("A", "B")]
    emulator.clock.advance(7)
    assert [await seen_over_time(emulator, aiware, job_id, 0) for job_id in ids] == [["complete"], ["failed"]]


async def test_planted_jobs_stay_as_planted(emulator: Emulator, aiware: Any, datasaur: Any) -> None:
    """The status follows the tasks unless it is given; a word outside the enum is possible."""
    failed = PlantedTask("failed", failure_reason="unknown", standby=PlantedTask("complete"))
    planted = [
        emulator.aiware.plant(tasks=[failed, PlantedTask("complete")]),
        emulator.aiware.plant(tasks=[PlantedTask("failed"), PlantedTask("complete")]),
        emulator.aiware.plant(status="complete", tasks=[PlantedTask("failed")]),
        emulator.aiware.plant(status="napping", tasks=[PlantedTask("complete")]),
        emulator.aiware.plant(),
    ]
    emulator.clock.advance(10_000)
    seen = [(await seen_over_time(emulator, aiware, job.id, 0))[0] for job in planted]
    assert seen == ["complete", "failed", "complete", "napping", "complete"]
    emulator.datasaur.plant("x", status="FAILED", errors=[{"id": "e", "stack": "s"}])
    job = (await datasaur(GET_JOB, id="x"))["data"]["getJob"]
    assert (job["status"], job["errors"]) == ("FAILED", [{"id": "e", "stack": "s", "args": None}])
    assert emulator.ledger.submissions == []
