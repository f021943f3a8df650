"""Create jobs from the caller's input: createJob and launchSingleEngineJob."""

from collections.abc import Iterable
from typing import Any

from graphql_jobs.emulator.aiware import catalog
from graphql_jobs.emulator.aiware.errors import AiwareError
from graphql_jobs.emulator.aiware.model import Job, Task
from graphql_jobs.emulator.aiware.world import AiwareWorld
from graphql_jobs.emulator.lifecycle import Course

# Our choice: all callers belong to one organisation. The server adds its id to payloads (docs/providers/aiware.md).
ORGANIZATION_ID = 1


def create_job(world: AiwareWorld, values: dict[str, Any]) -> Job:
    """Do createJob. Raises invalid_input or not_found before anything is created."""
    _check_create(world, values)
    target_id = values.get("targetId")
    if values.get("target") is not None:
        target_id = world.add_tdo(values["target"]).id
    job = _new_job(world, target_id, values.get("clusterId"), values.get("jobConfig"))
    job.name, job.routes = values.get("name"), values.get("routes") or ()
    _add_tasks(world, job, _in_running_order(values["tasks"], values.get("routes") or ()))
    return world.submit("createJob", job, values)


def launch_single_engine_job(world: AiwareWorld, values: dict[str, Any]) -> Job:
    """Do launchSingleEngineJob: five tasks, or four for an existing target. Raises invalid_input or not_found."""
    upload_url, target_id = values.get("uploadUrl"), values.get("targetId")
    if (upload_url is None) == (target_id is None):
        raise AiwareError("invalid_input", "Give either uploadUrl or targetId.")
    engine = _existing_engine(values["engineId"])
    if not engine.templates:
        # Documented text.
        raise AiwareError("invalid_input", "This engine does not specify a default single job template")
    fields = {item["fieldName"]: item.get("fieldValue") for item in values.get("fields") or ()}
    tdo = world.add_tdo({}) if target_id is None else world.existing_tdo(target_id)
    job = _new_job(world, tdo.id, values.get("clusterId") or fields.get("clusterId"), None)
    _add_tasks(world, job, list(enumerate(_template(engine.id, upload_url, fields))))
    return world.submit("launchSingleEngineJob", job, values)


def _template(engine_id: str, upload_url: str | None, fields: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the documented template: adapter, playback (not for a reprocess), chunker, engine, output writer."""
    steps = [
        (catalog.WEBSTREAM_ADAPTER_ID, {"url": upload_url} if upload_url else {}),
        *([(catalog.PLAYBACK_ID, {})] if upload_url else []),
        (catalog.CHUNKER_ID, {}),
        (engine_id, dict(fields)),
        (catalog.OUTPUT_WRITER_ID, {}),
    ]
    return [{"engineId": step_id, "payload": payload} for step_id, payload in steps]


def _check_create(world: AiwareWorld, values: dict[str, Any]) -> None:
    """Check the input. The texts of the errors are invented; the codes are documented."""
    tasks = values.get("tasks") or ()
    if not tasks:
        raise AiwareError("invalid_input", "At least one task is needed.")
    if values.get("target") is not None and values.get("targetId") is not None:
        raise AiwareError("invalid_input", "target and targetId are mutually exclusive.")
    if values.get("targetId") is not None:
        world.existing_tdo(values["targetId"])
    for task in tasks:
        _check_task(task)
    _check_routes(values)


def _check_task(task: dict[str, Any]) -> None:
    if (task.get("engineId") is None) == (task.get("taskType") is None):
        raise AiwareError("invalid_input", "Each task needs one of taskType and engineId.")
    if task.get("engineId") is not None:
        _existing_engine(task["engineId"])
    if task.get("standbyTask") is not None:
        _check_task(task["standbyTask"])


def _check_routes(values: dict[str, Any]) -> None:
    known = {folder.get("referenceId") for task in values["tasks"] for folder in task.get("ioFolders") or ()}
    for route in values.get("routes") or ():
        for end in ("parentIoFolderReferenceId", "childIoFolderReferenceId"):
            if route.get(end) is not None and route[end] not in known:
                raise AiwareError("invalid_input", f"No task has a folder {route[end]}.")


def _existing_engine(engine_id: str) -> catalog.Engine:
    engine = catalog.find_engine(engine_id)
    if engine is None:
        raise AiwareError("not_found", objectId=engine_id, objectType="Engine")
    return engine


def _new_job(world: AiwareWorld, target_id: str | None, cluster_id: str | None, config: Any) -> Job:
    now_at = world.clock.now()
    job = Job(world.ids.aiware_job(now_at), Course(now_at, world.pace), now_at)
    job.target_id, job.cluster_id, job.config = target_id, cluster_id, config
    return job


def _add_tasks(world: AiwareWorld, job: Job, ordered: list[tuple[int, dict[str, Any]]]) -> None:
    """Give each task an equal, consecutive part of the job's work; `order` stays as submitted."""
    count = len(ordered)
    for index, (order, values) in enumerate(ordered):
        task = _new_task(world, job, values)
        task.order = order
        task.begin, task.end = index / count, (index + 1) / count
        job.tasks.append(task)
        if values.get("standbyTask") is not None:
            world.add_standby(task, _new_task(world, job, values["standbyTask"]))


def _new_task(world: AiwareWorld, job: Job, values: dict[str, Any]) -> Task:
    engine_id = values.get("engineId") or values["taskType"]
    task = Task(world.ids.aiware_task(job.id), job, len(job.tasks), engine_id)
    task.payload = values.get("payload", values.get("payloadString"))
    if isinstance(task.payload, dict):
        task.payload = {**task.payload, "organizationId": ORGANIZATION_ID}
    task.io_folders = values.get("ioFolders") or ()
    task.execution_preferences = values.get("executionPreferences")
    task.build_id, task.is_clone, task.test_task = values.get("buildId"), values.get("isClone"), values.get("testTask")
    return task


def _in_running_order(
    tasks: Iterable[dict[str, Any]], routes: Iterable[dict[str, Any]]
) -> list[tuple[int, dict[str, Any]]]:
    """Return the tasks with their input positions, parents first. Tasks in a cycle of routes keep their order."""
    waiting, ordered, filled = list(enumerate(tasks)), [], set[str]()
    sources = [(route.get("parentIoFolderReferenceId"), route.get("childIoFolderReferenceId")) for route in routes]
    while waiting:
        ready = next((index for index, (_, task) in enumerate(waiting) if _is_ready(task, sources, filled)), 0)
        order, task = waiting.pop(ready)
        ordered.append((order, task))
        filled |= _folders(task)
    return ordered


def _is_ready(task: dict[str, Any], sources: list[tuple[Any, Any]], filled: set[str]) -> bool:
    own = _folders(task)
    return all(parent is None or parent in filled for parent, child in sources if child in own)


def _folders(task: dict[str, Any]) -> set[str]:
    return {folder["referenceId"] for folder in task.get("ioFolders") or () if folder.get("referenceId")}
