"""aiWARE's jobs: how they are created, change their status, end, and are found."""

from typing import Any

import pytest

from graphql_jobs.emulator import Behaviour, Emulator, PlantedTask

TRANSCRIBER = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
STATUS = "query($id: ID!) { job(id: $id) { status } }"
CANCEL = "mutation($id: ID!) { cancelJob(id: $id) { id message } }"


async def status_of(aiware: Any, job_id: str) -> str | None:
    job = (await aiware(STATUS, id=job_id))["data"]["job"]
    return job and str(job["status"])


async def test_job_is_pending_then_queued_then_running_then_complete(
    emulator: Emulator, aiware: Any, create_job: Any
) -> None:
    """Pace 2 s + 5 s: pending at 0 s, queued at 1 s, running at 2 s and 6.9 s, complete at 7 s."""
    job_id = await create_job()
    seen = []
    for advance_s in (0, 1, 1, 4.9, 0.1):
        emulator.clock.advance(advance_s)
        seen.append(await status_of(aiware, job_id))
    assert seen == ["pending", "queued", "running", "running", "complete"]


async def test_tasks_run_one_after_the_other_with_dates(emulator: Emulator, aiware: Any, create_job: Any) -> None:
    """Two tasks, half of the work done: the first is complete, the second running."""
    job_id = await create_job(tasks=[{"engineId": TRANSCRIBER}, {"engineId": TRANSCRIBER}])
    emulator.clock.advance(4.5)
    document = """query($id: ID!) { job(id: $id) { status tasks { records {
        order status queuedDateTime startedDateTime completedDateTime failureReason } } } }"""
    job = (await aiware(document, id=job_id))["data"]["job"]
    first, second = sorted(job["tasks"]["records"], key=lambda task: task["order"])
    assert (job["status"], first["status"], second["status"]) == ("running", "complete", "running")
    assert first["startedDateTime"] == "2023-11-14T22:13:22.000Z"
    assert second["completedDateTime"] is None


async def test_ids_look_like_the_vendors_and_repeat_with_the_seed(emulator: Emulator, create_job: Any) -> None:
    """`YYMM` + week + day + `_` + 10 characters; tasks add five; another emulator with the seed makes the same."""
    job_id = await create_job()
    assert job_id.startswith("23114614_")
    assert len(job_id) == 19
    task = next(task for task in emulator.aiware.tasks.values() if task.job.id == job_id)
    assert task.id.startswith(job_id)
    assert len(task.id) == 24
    assert Emulator(clock=emulator.clock, seed=7).aiware.plant().id == job_id


async def test_single_engine_jobs_have_five_tasks_and_reprocessing_four(emulator: Emulator, aiware: Any) -> None:
    """uploadUrl creates a data object and a playback task; targetId uses an existing data object."""
    document = """mutation($input: LaunchSingleEngineJobInput) {
        launchSingleEngineJob(input: $input) { targetId status tasks { count } } }"""
    upload = {"engineId": TRANSCRIBER, "uploadUrl": "https://media.example.invalid/a.mp4", "fields": []}
    first = (await aiware(document, input=upload))["data"]["launchSingleEngineJob"]
    assert (first["status"], first["tasks"]["count"]) == ("pending", 5)
    again = {"engineId": TRANSCRIBER, "targetId": first["targetId"]}
    assert (await aiware(document, input=again))["data"]["launchSingleEngineJob"]["tasks"]["count"] == 4
    assert [item.operation for item in emulator.ledger.submissions] == ["launchSingleEngineJob"] * 2


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"tasks": []}, "invalid_input"),
        ({"targetId": "1", "target": {"name": "x"}}, "invalid_input"),
        ({"targetId": "1"}, "not_found"),
        ({"tasks": [{"engineId": "no-such-engine"}]}, "not_found"),
        ({"tasks": [{}]}, "invalid_input"),
        ({"routes": [{"parentIoFolderReferenceId": "nowhere"}]}, "invalid_input"),
    ],
)
async def test_refused_job_is_null_with_a_named_error_and_nothing_is_made(
    emulator: Emulator, aiware: Any, values: dict[str, Any], name: str
) -> None:
    """No tasks, both targets, unknown target, engine or folder: HTTP 200, data.createJob null, top-level name."""
    values = {"tasks": [{"engineId": TRANSCRIBER}], **values}
    reply = await aiware("mutation($input: CreateJob!) { createJob(input: $input) { id } }", input=values)
    error = reply["errors"][0]
    assert (reply["data"], error["name"], error["path"]) == ({"createJob": None}, name, ["createJob"])
    assert error["time_thrown"]
    assert error["data"]["errorId"]
    assert emulator.ledger.submissions == []


async def test_ledger_knows_the_callers_key(emulator: Emulator, aiware: Any, create_job: Any) -> None:
    """jobConfig first, then the data object's details, then its name; jobs without a key are left out."""
    ours = {"graphql_jobs": {"key": "A"}}
    first = await create_job(jobConfig=ours, target={"name": "N"})
    second = await create_job(target={"name": "N", "details": {"graphql_jobs": {"key": "B"}}})
    third = await create_job(target={"name": "N"})
    fourth = await create_job(jobConfig=ours)
    await create_job()
    assert emulator.ledger.jobs_by_key() == {"A": [first, fourth], "B": [second], "N": [third]}


async def test_free_json_comes_back_and_payloads_gain_the_organisation(aiware: Any, create_job: Any) -> None:
    """jobConfig as it was sent; the payload with organizationId added."""
    job_id = await create_job(jobConfig={"a": [1]}, tasks=[{"engineId": TRANSCRIBER, "payload": {"url": "u"}}])
    document = "query($id: ID!) { job(id: $id) { jobConfig tasks { records { payload } } } }"
    job = (await aiware(document, id=job_id))["data"]["job"]
    assert job["jobConfig"] == {"a": [1]}
    assert job["tasks"]["records"] == [{"payload": {"url": "u", "organizationId": 1}}]


async def test_many_tasks_come_in_stable_shuffled_pages(aiware: Any, create_job: Any) -> None:
    """120 tasks: 30 by default, none lost or repeated over pages, the same order each time, at most 1000."""
    job_id = await create_job(tasks=[{"engineId": TRANSCRIBER}] * 120)
    document = """query($id: ID!, $offset: Int, $limit: Int) {
        job(id: $id) { tasks(offset: $offset, limit: $limit) { count limit records { id order } } } }"""

    async def page(offset: int, limit: int) -> Any:
        return (await aiware(document, id=job_id, offset=offset, limit=limit))["data"]["job"]["tasks"]

    orders = [task["order"] for offset in range(0, 150, 50) for task in (await page(offset, 50))["records"]]
    assert sorted(orders) == list(range(120))
    assert orders != sorted(orders)
    assert orders[:50] == [task["order"] for task in (await page(0, 50))["records"]]
    assert await page(500, 30) == {"count": 0, "limit": 30, "records": []}
    default = await aiware("query($id: ID!) { job(id: $id) { tasks { count } } }", id=job_id)
    assert default["data"]["job"]["tasks"]["count"] == 30
    assert (await aiware(document, id=job_id, offset=0, limit=1001))["errors"][0]["name"] == "invalid_input"


@pytest.mark.parametrize("behaviour", [Behaviour(), Behaviour(cancelled_word="cancelled")], indirect=True)
async def test_queued_job_can_be_cancelled(
    emulator: Emulator, aiware: Any, create_job: Any, behaviour: Behaviour
) -> None:
    """It ends immediately as aborted, or as cancelled by a setting, stays readable, and its tasks follow."""
    job_id = await create_job()
    assert (await aiware(CANCEL, id=job_id))["data"]["cancelJob"] == {"id": job_id, "message": "Job cancelled"}
    emulator.clock.advance(100)
    assert await status_of(aiware, job_id) == behaviour.cancelled_word
    document = "query($id: ID!) { job(id: $id) { tasks { records { status } } } }"
    tasks = (await aiware(document, id=job_id))["data"]["job"]["tasks"]["records"]
    assert tasks == [{"status": behaviour.cancelled_word}]
    assert [item.accepted for item in emulator.ledger.cancels] == [True]


@pytest.mark.parametrize("age_s", [2, 7])
async def test_running_or_finished_job_cannot_be_cancelled(
    emulator: Emulator, aiware: Any, create_job: Any, age_s: float
) -> None:
    """A task runs at 2 s, the job is complete at 7 s: null and invalid_input, and the job continues."""
    job_id = await create_job()
    emulator.clock.advance(age_s)
    reply = await aiware(CANCEL, id=job_id)
    assert (reply["data"]["cancelJob"], reply["errors"][0]["name"]) == (None, "invalid_input")
    emulator.clock.advance(10)
    assert await status_of(aiware, job_id) == "complete"
    assert [item.accepted for item in emulator.ledger.cancels] == [False]


async def test_running_job_whose_tasks_all_wait_can_be_cancelled(emulator: Emulator, aiware: Any) -> None:
    """KB 4164's exception: the job is running, every task is pending or queued."""
    job = emulator.aiware.plant(status="running", tasks=[PlantedTask("queued"), PlantedTask("pending")])
    assert (await aiware(CANCEL, id=job.id))["data"]["cancelJob"]


async def test_results_appear_when_the_job_is_over(emulator: Emulator, aiware: Any, create_job: Any) -> None:
    """Empty before the end, then a transcript with its task's id, by job and by data object plus engine."""
    job_id = await create_job(target={"name": "N"})
    by_job = "query($id: ID!) { engineResults(jobId: $id) { records { tdoId engineId jsondata } } }"
    assert (await aiware(by_job, id=job_id))["data"]["engineResults"]["records"] == []
    emulator.clock.advance(7)
    (record,) = (await aiware(by_job, id=job_id))["data"]["engineResults"]["records"]
    assert record["jsondata"]["taskId"].startswith(job_id)
    assert record["jsondata"]["series"][0]["words"]
    by_tdo = """query($id: ID!, $engines: [ID!]) {
        engineResults(tdoId: $id, engineIds: $engines) { records { jsondata } }
        temporalDataObject(id: $id) { assets(assetType: ["vtn-standard"]) { records { sourceData { taskId } } } } }"""
    data = (await aiware(by_tdo, id=record["tdoId"], engines=[TRANSCRIBER]))["data"]
    assert data["engineResults"]["records"] == [{"jsondata": record["jsondata"]}]
    assert data["temporalDataObject"]["assets"]["records"][0]["sourceData"]["taskId"] == record["jsondata"]["taskId"]
    alone = await aiware("query($id: ID!) { engineResults(tdoId: $id) { records { tdoId } } }", id=record["tdoId"])
    assert alone["errors"][0]["name"] == "invalid_input"


async def test_jobs_are_found_by_target_status_date_and_engine(
    emulator: Emulator, aiware: Any, create_job: Any
) -> None:
    """Newest first; filters restrict the list; without a match it is an empty page."""
    first = await create_job(target={"name": "N"})
    emulator.clock.advance(60)
    second = await create_job(tasks=[{"engineId": "11111111-2222-4333-8444-555555555555"}])
    target_id = emulator.ledger.submissions[0].target_id

    async def ids(arguments: str) -> list[str]:
        reply = await aiware(f"{{ jobs({arguments}) {{ count records {{ id }} }} }}")
        return [job["id"] for job in reply["data"]["jobs"]["records"]]

    assert (await ids("limit: 2"))[0] == second
    assert await ids("limit: 1, offset: 1") == [first]
    assert await ids(f'targetId: "{target_id}"') == [first]
    assert await ids("status: pending") == [second]
    assert await ids('engineIds: ["11111111-2222-4333-8444-555555555555"]') == [second]
    late = 'dateTimeFilter: {field: createdDateTime, fromDateTime: "2023-11-14T22:14:00.000Z"}'
    assert await ids(late) == [second]
    assert (await ids("orderBy: {field: createdDateTime, direction: asc}, limit: 3"))[-1] == second
    assert await ids('id: "none"') == []


@pytest.mark.parametrize(
    "value", ['"2009-02-13T23:31:30.000Z"', '"2009-02-13T23:31:30"', "1234567890", '"1234567890000"']
)
async def test_dates_have_four_forms(aiware: Any, value: str) -> None:
    """ISO text with and without zone, epoch seconds, epoch milliseconds; an invalid date is a 400 with errors."""
    document = "mutation {{ createTDO(input: {{startDateTime: {0}, stopDateTime: {0}}}) {{ startDateTime }} }}"
    reply = await aiware(document.format(value))
    assert reply["data"]["createTDO"]["startDateTime"] == "2009-02-13T23:31:30.000Z"
    reply = await aiware(document.format('"soon"'))
    assert reply["errors"][0]["name"] == "invalid_input"


async def test_unknown_job_is_null_with_not_found_and_spares_its_neighbours(aiware: Any) -> None:
    """Two aliases, one unknown: one null with an error of its own path, one status."""
    reply = await aiware('{ a: job(id: "none") { id } b: job(id: "2791851b-0d02-4aaf-97e0-cd77a2e771ad") { status } }')
    assert reply["data"] == {"a": None, "b": {"status": "running"}}
    (error,) = reply["errors"]
    assert (error["name"], error["path"]) == ("not_found", ["a"])
    assert (error["data"]["objectId"], error["data"]["objectType"]) == ("none", "Job")


async def test_children_run_after_their_parents_by_route(emulator: Emulator, aiware: Any, create_job: Any) -> None:
    """The child is submitted first; `order` is as submitted, the parent starts first."""
    child = {"engineId": TRANSCRIBER, "ioFolders": [{"referenceId": "in", "mode": "chunk", "type": "input"}]}
    parent = {"engineId": TRANSCRIBER, "ioFolders": [{"referenceId": "out", "mode": "chunk", "type": "output"}]}
    route = {"parentIoFolderReferenceId": "out", "childIoFolderReferenceId": "in"}
    job_id = await create_job(tasks=[child, parent], routes=[route])
    emulator.clock.advance(2)
    document = "query($id: ID!) { job(id: $id) { routes { options } tasks { records { order status } } } }"
    tasks = (await aiware(document, id=job_id))["data"]["job"]["tasks"]["records"]
    assert {task["order"]: task["status"] for task in tasks} == {1: "running", 0: "queued"}


async def test_smaller_lookups_answer(emulator: Emulator, aiware: Any, create_job: Any) -> None:
    """task, tasks, engine, engines, clusters, me and myRights in one request."""
    job_id = await create_job()
    task_id = next(task.id for task in emulator.aiware.tasks.values() if task.job.id == job_id)
    document = """query($id: ID!, $engine: ID!) { task(id: $id) { jobId engine { id name } job { id } }
        tasks(id: $id) { count } engine(id: $engine) { standaloneJobTemplates { type } }
        engines(ids: [$engine]) { count } clusters { records { id } } me { organization { id } }
        myRights { operations } }"""
    data = (await aiware(document, id=task_id, engine=TRANSCRIBER))["data"]
    assert (data["task"]["jobId"], data["task"]["job"]["id"]) == (job_id, job_id)
    assert (data["tasks"]["count"], data["engines"]["count"]) == (1, 1)
    assert "job:create" in data["myRights"]["operations"]


async def test_subscriptions_are_kept_and_nothing_is_delivered(aiware: Any) -> None:
    """subscribeEvent answers an id that eventSubscriptions lists until unsubscribeEvent."""
    subscribe = """mutation { subscribeEvent(input: {eventName: "JobCompleted" eventType: "job" application: "system"
        delivery: {name: Webhook params: {url: "https://hook.example.invalid", encoding: "json"}}}) }"""
    subscription_id = (await aiware(subscribe))["data"]["subscribeEvent"]
    listing = '{ eventSubscriptions(eventType: "job") { records { id } } }'
    assert (await aiware(listing))["data"]["eventSubscriptions"]["records"] == [{"id": subscription_id}]
    await aiware("mutation($id: ID!) { unsubscribeEvent(id: $id) { id } }", id=subscription_id)
    assert (await aiware(listing))["data"]["eventSubscriptions"]["records"] == []


async def test_update_task_moves_a_task_by_hand(emulator: Emulator, aiware: Any, create_job: Any) -> None:
    """A task that is set to waiting keeps the job running; a reason without failure is refused."""
    job_id = await create_job()
    task_id = next(task.id for task in emulator.aiware.tasks.values() if task.job.id == job_id)
    document = "mutation($input: UpdateTask) { updateTask(input: $input) { status } }"
    await aiware(document, input={"id": task_id, "status": "waiting"})
    emulator.clock.advance(1000)
    assert await status_of(aiware, job_id) == "running"
    wrong = {"id": task_id, "status": "complete", "failureReason": "unknown"}
    assert (await aiware(document, input=wrong))["errors"][0]["name"] == "invalid_input"
