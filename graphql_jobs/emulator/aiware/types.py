"""aiWARE's object types: how each field is read from the model."""

import json
from math import isfinite
from typing import Any

from graphql_jobs.emulator.aiware import catalog, status
from graphql_jobs.emulator.aiware.media import signed
from graphql_jobs.emulator.aiware.model import Asset, Job, Task, Tdo
from graphql_jobs.emulator.aiware.queries import in_order, paged
from graphql_jobs.emulator.aiware.results import finished_tasks, result_asset, words
from graphql_jobs.emulator.aiware.world import Info
from graphql_jobs.emulator.execution import Resolver, bind, speak


def _job_status(job: Job, info: Info) -> str:
    info.context.job_ids.append(job.id)
    return speak(info, status.told_status(job, info.context.now_at), status.KNOWN_WORDS, "running")


def _task_status(task: Task, info: Info) -> str:
    return speak(info, status.task_status(task, info.context.now_at), status.KNOWN_WORDS, "running")


def _job_tasks(job: Job, info: Info, **arguments: Any) -> dict[str, Any]:
    wanted, wanted_id = arguments.get("status"), arguments.get("id")
    tasks = [
        task
        for task in job.tasks
        if wanted_id in (None, task.id) and (wanted is None or status.task_status(task, info.context.now_at) in wanted)
    ]
    return paged(info, tasks, arguments)


def _target(source: Job | Task, info: Info) -> Tdo | None:
    job = source.job if isinstance(source, Task) else source
    return info.context.world.tdos.get(job.target_id or "")


def _past(compute: Resolver) -> Resolver:
    """Return a date of a task's course, or null if it is in the future or the task follows no course."""

    def resolve(task: Task, info: Info) -> float | None:
        end_at = info.context.now_at if task.job.cancelled_at is None else task.job.cancelled_at
        at: float = compute(task)
        return at if task.fixed_status is None and isfinite(at) and at <= end_at else None

    return resolve


def _when_failed(attribute: str) -> Resolver:
    def resolve(task: Task, info: Info) -> Any:
        is_failed = status.task_status(task, info.context.now_at) == "failed"
        return getattr(task, attribute) if is_failed else None

    return resolve


def _task_output(task: Task, info: Info) -> Any:
    return task.output if status.task_status(task, info.context.now_at) in status.ENDED else None


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _jobs_of(tdo: Tdo, info: Info) -> list[Job]:
    return [
        job
        for job in info.context.world.jobs.values()
        if job.target_id == tdo.id and job.course.is_visible(info.context.now_at)
    ]


def _tdo_jobs(tdo: Tdo, info: Info, **arguments: Any) -> dict[str, Any]:
    """Without orderBy, the order is not documented: oldest first, so that records[0] is rarely "my job"."""
    jobs, sorts = _jobs_of(tdo, info), arguments.get("orderBy")
    return paged(info, in_order(jobs, sorts, info.context.now_at) if sorts else jobs, arguments)


def _assets_of(tdo: Tdo, info: Info) -> list[Asset]:
    tasks = (task for job in _jobs_of(tdo, info) for task in finished_tasks(job, info.context.now_at))
    return [*tdo.assets, *(result_asset(task) for task in tasks)]


def _tdo_assets(tdo: Tdo, info: Info, **arguments: Any) -> dict[str, Any]:
    kinds = arguments.get("assetType") or arguments.get("type")
    wanted_id, source_task_id = arguments.get("id"), arguments.get("sourceTaskId")
    assets = [
        asset
        for asset in _assets_of(tdo, info)
        if (kinds is None or asset.asset_type in kinds)
        and wanted_id in (None, asset.id)
        and source_task_id in (None, asset.source_task_id)
    ]
    assets.sort(key=lambda asset: asset.created_at, reverse=arguments.get("orderDirection") != "asc")
    return paged(info, assets, arguments)


def _primary_asset(tdo: Tdo, info: Info, **arguments: Any) -> Asset | None:
    return next((asset for asset in _assets_of(tdo, info) if asset.asset_type == arguments["assetType"]), None)


def _source_data(asset: Asset, info: Info) -> dict[str, Any] | None:
    if asset.source_task_id is None:
        return None
    return {
        "taskId": asset.source_task_id,
        "task": info.context.world.tasks.get(asset.source_task_id),
        "engineId": asset.source_engine_id,
        "engine": catalog.find_engine(asset.source_engine_id or ""),
    }


def _engine_runs(tdo: Tdo, info: Info) -> dict[str, Any]:
    """Return the latest task of each engine. Invented: whether earlier ones are listed."""
    latest = {task.engine_id: task for job in _jobs_of(tdo, info) for task in job.tasks}
    runs = [{"engine": catalog.find_engine(name), "status": _task_status(task, info)} for name, task in latest.items()]
    return paged(info, runs, {})


def _uri(asset: Asset, info: Info) -> str | None:
    if asset.source_task_id is None:
        return asset.uri
    return f"{info.context.base_url}/_results/{asset.source_task_id}"


def _details(source: Tdo | Asset, _info: Info, path: str | None = None) -> Any:
    value = source.details
    for step in (path or "").split(".") if path else ():
        value = value.get(step) if isinstance(value, dict) else None
    return value


job = bind(
    "Job",
    {
        "createdDateTime": "created_at",
        "targetId": "target_id",
        "clusterId": "cluster_id",
        "jobConfig": "config",
    },
    {
        "status": _job_status,
        "tasks": _job_tasks,
        "target": _target,
        "modifiedDateTime": lambda job, info: status.modified_at(job, info.context.now_at),
    },
)

task = bind(
    "Task",
    {
        "createdDateTime": "job.created_at",
        "targetId": "job.target_id",
        "jobId": "job.id",
        "engineId": "engine_id",
        "buildId": "build_id",
        "isClone": "is_clone",
        "testTask": "test_task",
        "payload": "payload",
        "taskPayload": "payload",
        "standbyTask": "standby_task",
        "standbyForTask": "standby_for_task",
        "ioFolders": "io_folders",
        "executionPreferences": "execution_preferences",
    },
    {
        "status": _task_status,
        "target": _target,
        "engine": lambda task, _info: catalog.find_engine(task.engine_id),
        "modifiedDateTime": lambda task, info: status.modified_at(task.job, info.context.now_at),
        "queuedDateTime": _past(status.queued_at),
        "startedDateTime": _past(status.started_at),
        "completedDateTime": _past(status.ended_at),
        "failureReason": _when_failed("failure_reason"),
        "failureMessage": _when_failed("failure_message"),
        "output": _task_output,
        "taskOutput": _task_output,
        "outputString": lambda task, info: _text(_task_output(task, info)),
        "payloadString": lambda task, _info: _text(task.payload),
    },
)

tdo = bind(
    "TemporalDataObject",
    {
        "createdDateTime": "created_at",
        "modifiedDateTime": "created_at",
        "startDateTime": "start_at",
        "stopDateTime": "stop_at",
        "isPublic": "is_public",
    },
    {
        "organizationId": lambda _tdo, _info: "1",
        "details": _details,
        "assets": _tdo_assets,
        "assetCount": lambda tdo, info: len(_assets_of(tdo, info)),
        "primaryAsset": _primary_asset,
        "jobs": _tdo_jobs,
        "tasks": lambda tdo, info, **arguments: paged(
            info, [task for job in _jobs_of(tdo, info) for task in job.tasks], arguments
        ),
        "streams": lambda _tdo, _info: [],
        "folders": lambda _tdo, _info: [],
        "engineRuns": _engine_runs,
    },
)

asset = bind(
    "Asset",
    {
        "createdDateTime": "created_at",
        "modifiedDateTime": "created_at",
        "containerId": "container_id",
        "contentType": "content_type",
        "assetType": "asset_type",
        "type": "asset_type",
    },
    {
        "details": _details,
        "sourceData": _source_data,
        "uri": _uri,
        "signedUri": lambda asset, info: signed(info.context.world, _uri(asset, info)),
        # Invented: for every function the words, and null for what is no transcript.
        "transform": lambda asset, _info, **_: words(asset.jsondata) or None,
    },
)

engine = bind(
    "Engine",
    {
        "displayName": "name",
        "categoryId": "category_id",
        "ownerOrganizationId": "owner_organization_id",
        "standaloneJobTemplates": "templates",
    },
    {"category": lambda engine, _info: catalog.find_category(engine.category_id)},
)
