"""The queries that read: jobs, export deliveries and projects."""

from datetime import UTC, datetime
from typing import Any

from graphql_jobs.emulator.datasaur.errors import DatasaurError
from graphql_jobs.emulator.datasaur.model import KNOWN_WORDS, Job, Project
from graphql_jobs.emulator.datasaur.world import Info
from graphql_jobs.emulator.execution import Resolver, bind, speak
from graphql_jobs.emulator.lifecycle import iso_text


def _get_job(_root: None, info: Info, **arguments: Any) -> Job | None:
    return info.context.world.find_job(arguments["jobId"])


def _get_jobs(_root: None, info: Info, **arguments: Any) -> list[Job | None]:
    world = info.context.world
    jobs: list[Job | None] = [world.find_job(job_id) for job_id in arguments["jobIds"]]
    if world.behaviour.missing_jobs == "omit":
        jobs = [job for job in jobs if job is not None]
    return jobs[::-1] if world.behaviour.reverse_get_jobs else jobs


def _export_status(_root: None, info: Info, **arguments: Any) -> dict[str, Any]:
    job = info.context.world.find_job(arguments["exportId"])
    if job is None:
        # Invented: the answer type has no value for "unknown".
        raise DatasaurError(f"Export {arguments['exportId']} not found")
    return {"job": job, "errors": job.errors(info.context.now_at)}


def _get_project(_root: None, info: Info, input: dict[str, Any]) -> Project:
    world = info.context.world
    return world.existing_project(input["projectId"])


def _passes(project: Project, wanted: dict[str, Any]) -> bool:
    keyword = (wanted.get("keyword") or "").lower()
    day = datetime.fromtimestamp(project.created_at, UTC).date().isoformat()
    days = wanted.get("daysCreatedRange") or {}
    return (
        any(keyword in text.lower() for text in (project.name, *project.tags))
        # Null means the personal workspace.
        and wanted.get("teamId") == project.team_id
        and (days.get("oldestDate") or "") <= day <= days.get("newestDate", day)
        # The vendor's command-line tool sends an empty list for all.
        and (not wanted.get("kinds") or bool(set(wanted["kinds"]) & set(project.kinds)))
        and (not wanted.get("statuses") or project.status in wanted["statuses"])
        and not wanted.get("isArchived")
        and set(wanted.get("tags") or ()) <= set(project.tags)
    )


_SORT_KEYS = {"name": "name", "createdDate": "created_at", "id": "id"}


def _get_projects(_root: None, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Newest first unless sorted (invented order). The cursor is the offset of the page, as text (invented)."""
    wanted = input.get("filter")
    projects = [
        project
        for project in reversed(info.context.world.projects.values())
        if project.exists(info.context.now_at) and (wanted is None or _passes(project, wanted))
    ]
    for sort in reversed(input.get("sort") or ()):
        attribute = _SORT_KEYS.get(sort["field"], "created_at")
        projects.sort(key=lambda project: getattr(project, attribute), reverse=sort["order"] == "DESC")
    return paged(projects, input)


def paged(nodes: list[Any], input: dict[str, Any]) -> dict[str, Any]:
    """Return one page by `page` or `cursor`."""
    page = input.get("page") or {"skip": 0, "take": 50}
    cursor = input.get("cursor")
    skip = int(cursor) if cursor and cursor.isdigit() else page["skip"]
    end = skip + page["take"]
    return {
        "nodes": nodes[skip:end],
        "totalCount": len(nodes),
        "pageInfo": {
            "nextCursor": str(end) if end < len(nodes) else None,
            "prevCursor": str(max(0, skip - page["take"])) if skip else None,
        },
    }


def _status(job: Job, info: Info) -> str:
    info.context.job_ids.append(job.id)
    return speak(info, job.told_status(info.context.now_at), KNOWN_WORDS, "IN_PROGRESS")


def _result_id(job: Job, info: Info) -> str | None:
    return job.result_id if job.status(info.context.now_at) == "DELIVERED" else None


def _additional_data(job: Job, _info: Info) -> dict[str, Any] | None:
    if job.document_ids is None and job.automation_activity_id is None:
        return None
    return {"documentIds": job.document_ids, "automationActivityId": job.automation_activity_id}


QUERIES: dict[str, Resolver] = {
    "getJob": _get_job,
    "getJobs": _get_jobs,
    "getExportDeliveryStatus": _export_status,
    "getProject": _get_project,
    "getProjects": _get_projects,
}

job = bind(
    "Job",
    resolvers={
        "status": _status,
        "progress": lambda _job, info: info.context.world.behaviour.progress,
        "errors": lambda job, info: job.errors(info.context.now_at),
        "resultId": _result_id,
        "result": lambda _job, _info: None,
        "createdAt": lambda job, _info: iso_text(job.course.created_at),
        "updatedAt": lambda job, info: iso_text(job.course.last_change_at(info.context.now_at)),
        "additionalData": _additional_data,
    },
)

export_status = bind(
    "GetExportDeliveryStatusResult", resolvers={"deliveryStatus": lambda source, info: _status(source["job"], info)}
)
