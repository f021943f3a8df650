"""aiWARE's root queries."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql_jobs.emulator.aiware import catalog, exports, media, status
from graphql_jobs.emulator.aiware.errors import AiwareError
from graphql_jobs.emulator.aiware.model import Asset, Job, Task, Tdo
from graphql_jobs.emulator.aiware.paging import page
from graphql_jobs.emulator.aiware.results import find_results
from graphql_jobs.emulator.aiware.world import Info
from graphql_jobs.emulator.execution import Resolver, bind

_USER = {
    "id": "emulator-user",
    "name": "Emulator user",
    "email": "user@example.invalid",
    "organizationId": "1",
    "organization": {"id": "1", "name": "Emulator organization"},
    "roles": [],
}


def paged(info: Info, records: list[Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return one page of `records` by the field's offset and limit."""
    world = info.context.world
    return page(records, arguments.get("offset"), arguments.get("limit"), world.behaviour.page_limit)


def _job(_root: None, info: Info, id: str) -> Job:
    world = info.context.world
    return world.visible_job(id)


def _task(_root: None, info: Info, id: str) -> Task:
    world = info.context.world
    return world.visible_task(id)


def _tasks(_root: None, info: Info, id: str = "", **_: Any) -> dict[str, Any]:
    task = info.context.world.tasks.get(id)
    visible = [task] if task and task.job.course.is_visible(info.context.now_at) else []
    return paged(info, visible, {})


# Filters of `jobs`: argument -> whether a job passes for a value. Other arguments have no effect.
_FILTERS: dict[str, Callable[[Job, Any, float], bool]] = {
    "id": lambda job, wanted, _: job.id == wanted,
    "targetId": lambda job, wanted, _: job.target_id == wanted,
    "clusterId": lambda job, wanted, _: job.cluster_id == wanted,
    "hasTargetTDO": lambda job, wanted, _: (job.target_id is not None) == wanted,
    "engineIds": lambda job, wanted, _: any(task.engine_id in wanted for task in job.tasks),
    "status": lambda job, wanted, now_at: status.told_status(job, now_at) in wanted,
    "dateTimeFilter": lambda job, wanted, now_at: all(_in_window(job, window, now_at) for window in wanted),
}


def _instant(job: Job, field: str, now_at: float) -> float:
    return job.created_at if field == "createdDateTime" else status.modified_at(job, now_at)


def _in_window(job: Job, window: dict[str, Any], now_at: float) -> bool:
    at = _instant(job, window["field"], now_at)
    from_at, to_at = window.get("fromDateTime"), window.get("toDateTime")
    return (from_at is None or from_at <= at) and (to_at is None or at <= to_at)


def _jobs(_root: None, info: Info, **arguments: Any) -> dict[str, Any]:
    now_at = info.context.now_at
    wanted = {name: value for name, value in arguments.items() if name in _FILTERS and value is not None}
    jobs = [
        job
        for job in info.context.world.jobs.values()
        if job.course.is_visible(now_at) and all(_FILTERS[name](job, value, now_at) for name, value in wanted.items())
    ]
    return paged(info, in_order(jobs, arguments.get("orderBy") or [{"field": "createdDateTime"}], now_at), arguments)


def in_order(jobs: list[Job], sorts: Sequence[Mapping[str, str]], now_at: float) -> list[Job]:
    """Return the jobs sorted: descending unless said otherwise; of jobs of one instant, the last created one first."""
    jobs = jobs[::-1]
    for sort in reversed(sorts):
        is_descending = sort.get("direction", "desc") == "desc"
        jobs.sort(key=lambda job: _instant(job, sort["field"], now_at), reverse=is_descending)
    return jobs


def _engine_results(_root: None, info: Info, **arguments: Any) -> dict[str, Any]:
    return {"records": find_results(info.context.world, arguments), "sourceId": arguments.get("sourceId")}


def _tdo(_root: None, info: Info, id: str) -> Tdo:
    world = info.context.world
    return world.existing_tdo(id)


_TDO_INSTANTS = {
    "createdDateTime": "created_at",
    "modifiedDateTime": "created_at",
    "startDateTime": "start_at",
    "stopDateTime": "stop_at",
}


def _tdo_in_window(tdo: Tdo, window: dict[str, Any]) -> bool:
    at: float = getattr(tdo, _TDO_INSTANTS[window["field"]])
    from_at, to_at = window.get("fromDateTime"), window.get("toDateTime")
    return (from_at is None or from_at <= at) and (to_at is None or at <= to_at)


def _tdos(_root: None, info: Info, **arguments: Any) -> dict[str, Any]:
    world = info.context.world
    wanted_ids = arguments.get("ids") or ([arguments["id"]] if arguments.get("id") else None)
    windows = arguments.get("dateTimeFilter") or ()
    tdos = [
        tdo
        for tdo in reversed(world.tdos.values())
        if (wanted_ids is None or tdo.id in wanted_ids) and all(_tdo_in_window(tdo, window) for window in windows)
    ]
    attribute = _TDO_INSTANTS[arguments.get("orderBy") or "startDateTime"]
    tdos.sort(key=lambda tdo: getattr(tdo, attribute), reverse=arguments.get("orderDirection") != "asc")
    return paged(info, tdos, arguments)


def existing_asset(_root: None, info: Info, id: str) -> Asset:
    """Return the asset that a caller created. Raises not_found."""
    for tdo in info.context.world.tdos.values():
        for asset in tdo.assets:
            if asset.id == id:
                return asset
    raise AiwareError("not_found", objectId=id, objectType="Asset")


def _engine(_root: None, info: Info, id: str) -> catalog.Engine:
    engine = catalog.find_engine(id)
    if engine is None:
        raise AiwareError("not_found", objectId=id, objectType="Engine")
    return engine


def _engines(_root: None, info: Info, **arguments: Any) -> dict[str, Any]:
    ids = arguments.get("ids") or ([arguments["id"]] if arguments.get("id") else None)
    found = catalog.known_engines() if ids is None else [engine for engine in map(catalog.find_engine, ids) if engine]
    name, category_id = arguments.get("name") or "", arguments.get("categoryId")
    found = [engine for engine in found if category_id in (None, engine.category_id)]
    return paged(info, [engine for engine in found if name.lower() in engine.name.lower()], arguments)


_PAGE = ("offset", "limit")
_LISTED = {"type": "categoryType"}


def _listing(items: Sequence[Mapping[str, Any]]) -> Resolver:
    """Return the resolver of a constant list with the filters `id`, `name`, `type` and `application`."""

    def resolve(_root: None, info: Info, **arguments: Any) -> dict[str, Any]:
        wanted = {_LISTED.get(name, name): value for name, value in arguments.items() if value and name not in _PAGE}
        return paged(info, [item for item in items if wanted.items() <= item.items()], arguments)

    return resolve


def _event_subscriptions(_root: None, info: Info, **arguments: Any) -> dict[str, Any]:
    ids = arguments.get("ids")
    wanted = {name: arguments[name] for name in ("eventName", "eventType") if arguments.get(name)}
    found = [
        item
        for item in info.context.world.subscriptions.values()
        if wanted.items() <= item.items() and (ids is None or item["id"] in ids)
    ]
    return paged(info, found, arguments)


query = bind(
    "Query",
    resolvers={
        "job": _job,
        "jobs": _jobs,
        "task": _task,
        "tasks": _tasks,
        "engineResults": _engine_results,
        "temporalDataObject": _tdo,
        "temporalDataObjects": _tdos,
        "asset": existing_asset,
        "engine": _engine,
        "engines": _engines,
        "clusters": _listing(catalog.CLUSTERS),
        "engineCategories": _listing(catalog.CATEGORIES),
        "libraries": _listing(catalog.LIBRARIES),
        "events": _listing(catalog.EVENTS),
        "exportRequest": exports.find,
        "getSignedWritableUrl": media.signed_writable_url,
        "me": lambda _root, _info: _USER,
        # Invented: the API key of the emulator has all rights.
        "myRights": lambda _root, _info: {"operations": ["job:create", "job:read", "job:update", "job:delete"]},
        "eventSubscriptions": _event_subscriptions,
    },
)
