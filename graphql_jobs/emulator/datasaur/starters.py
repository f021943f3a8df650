"""The mutations, and the queries, that start jobs (docs/providers/datasaur.md)."""

from typing import Any
from urllib.parse import quote

from graphql_jobs.emulator.datasaur.errors import DatasaurError
from graphql_jobs.emulator.datasaur.model import Job
from graphql_jobs.emulator.datasaur.world import Info
from graphql_jobs.emulator.execution import Resolver
from graphql_jobs.emulator.lifecycle import iso_text


def _launch(operation: str) -> Resolver:
    """Return the resolver of createProject or its older version. Names need not be unique."""

    def resolve(_root: None, info: Info, input: dict[str, Any]) -> dict[str, Any]:
        world = info.context.world
        job = world.submit(operation, key=input["name"], target_id=input.get("teamId"), spec=input)
        world.add_project(job, input)
        return {"job": job, "name": input["name"]}

    return resolve


def _add_documents(_root: None, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    world = info.context.world
    project = world.existing_project(input["projectId"])
    job = world.submit("addDocumentsToProject", key=project.name, target_id=project.id, spec=input)
    job.document_ids = [world.ids.datasaur_project() for _ in input["documents"]]
    return {"job": job, "name": project.name}


def _auto_label(_root: None, info: Info, input: dict[str, Any]) -> Job:
    world = info.context.world
    project = world.existing_project(input["projectId"])
    # No key: the input has no field for one.
    return world.submit("autoLabelTokenBasedProject", key=None, target_id=project.id, spec=input)


def _on_project(operation: str) -> Resolver:
    def resolve(_root: None, info: Info, **arguments: Any) -> Job:
        project = info.context.world.existing_project(arguments["projectId"])
        return info.context.world.submit(operation, key=None, target_id=project.id, spec=arguments)

    return resolve


def _collect_dataset(_root: None, info: Info, input: dict[str, Any]) -> Job:
    return info.context.world.submit("collectDataset", key=None, target_id=input["teamId"], spec=input)


def _run_automation(_root: None, info: Info, **arguments: Any) -> Job:
    world = info.context.world
    job = world.submit("runAutomation", key=None, target_id=arguments["automationId"], spec=arguments)
    job.automation_activity_id = world.ids.uuid()
    return job


def _predict(_root: None, info: Info, input: dict[str, Any]) -> Job:
    target_id = input["dataProgrammingId"]
    return info.context.world.submit("getDataProgrammingPredictions", key=None, target_id=target_id, spec=input)


def _export(operation: str) -> Resolver:
    """Return the resolver of an export: a query with a side effect. Each call starts an export."""

    def resolve(_root: None, info: Info, input: dict[str, Any] | None = None, **others: Any) -> dict[str, Any]:
        world, values = info.context.world, {**others, **(input or {})}
        for project_id in _project_ids(values):
            world.existing_project(project_id)
        key = values.get("fileName")
        job = world.submit(operation, key=key, target_id=_export_target(values), spec=values)
        return _export_answer(info, job, values)

    return resolve


def _project_ids(values: dict[str, Any]) -> list[str]:
    project_ids = values.get("projectIds")
    if project_ids is not None and not project_ids:
        raise DatasaurError("projectIds must not be empty", "invalid_input")
    return list(project_ids or ([values["projectId"]] if values.get("projectId") else []))


def _export_target(values: dict[str, Any]) -> str | None:
    project_ids = _project_ids(values)
    if project_ids:
        return ",".join(project_ids)
    return values.get("documentId") or values.get("teamId")


def _export_answer(info: Info, job: Job, values: dict[str, Any]) -> dict[str, Any]:
    """Return the address, only for FILE_STORAGE. EMAIL and CUSTOM_WEBHOOK are recorded but not delivered:
    an invented restriction, since the emulator calls no other service."""
    # exportTeamIAA has no method, and exportChart need not; invented: they use the common one.
    method = values.get("method") or "FILE_STORAGE"
    answer: dict[str, Any] = {"exportId": job.id, "queued": True}
    if method in ("FILE_STORAGE", "DOWNLOAD", "DOWNLOAD_REQUEST"):
        file = info.context.world.add_file(job, _safe_name(values), _project_ids(values))
        url = f"{info.context.base_url}/_files/{file.id}/{quote(file.file_name)}?signature={file.signature}"
        answer["fileUrl" if method == "FILE_STORAGE" else "redirect"] = url
        answer["fileUrlExpiredAt"] = iso_text(file.expires_at)
    if method == "EXTERNAL_OBJECT_STORAGE":
        prefix = (values.get("externalObjectStorageParameter") or {}).get("prefix") or ""
        answer["key"] = f"{prefix}{_safe_name(values)}"
    return answer


def _safe_name(values: dict[str, Any]) -> str:
    """Return the name of the file (invented characters), which is also in its address."""
    name = values.get("fileName") or "export"
    return "".join(char if char.isalnum() or char in "-_. " else "_" for char in name) + ".zip"


MUTATIONS: dict[str, Resolver] = {
    "createProject": _launch("createProject"),
    "launchTextProjectAsync": _launch("launchTextProjectAsync"),
    "addDocumentsToProject": _add_documents,
    "autoLabelTokenBasedProject": _auto_label,
    "calculateAgreementTables": _on_project("calculateAgreementTables"),
    "collectDataset": _collect_dataset,
    "runAutomation": _run_automation,
}
QUERIES: dict[str, Resolver] = {
    "replicateCabinet": _on_project("replicateCabinet"),
    "getDataProgrammingPredictions": _predict,
    "exportTextProject": _export("exportTextProject"),
    "exportTextProjectDocument": _export("exportTextProjectDocument"),
    "exportTeamOverview": _export("exportTeamOverview"),
    "exportTestProjectResult": _export("exportTestProjectResult"),
    "exportTeamIAA": _export("exportTeamIAA"),
    "exportChart": _export("exportChart"),
}
