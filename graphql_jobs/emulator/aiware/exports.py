"""Export requests: a second kind of job, which a client polls by `exportRequest` (docs/providers/aiware.md#results)."""

from typing import Any

from graphql_jobs.emulator.aiware.errors import AiwareError
from graphql_jobs.emulator.aiware.model import ExportRequest
from graphql_jobs.emulator.aiware.world import Info
from graphql_jobs.emulator.execution import bind


def create(_root: None, info: Info, input: dict[str, Any]) -> ExportRequest:
    """Start an export of the results of data objects. Raises invalid_input or not_found."""
    world = info.context.world
    tdo_ids = tuple(world.existing_tdo(item["tdoId"]).id for item in input.get("tdoData") or ())
    if not tdo_ids:
        # Invented text.
        raise AiwareError("invalid_input", "tdoData must name at least one data object.")
    return world.submit_export(tdo_ids, input)


def find(_root: None, info: Info, id: str) -> ExportRequest:
    """Return the export request. Raises not_found."""
    export: ExportRequest | None = info.context.world.exports.get(id)
    if export is None or not export.course.is_visible(info.context.now_at):
        raise AiwareError("not_found", objectId=id, objectType="ExportRequest")
    return export


def _asset_uri(export: ExportRequest, info: Info) -> str | None:
    is_complete = export.status(info.context.now_at) == "complete"
    return f"{info.context.base_url}/_results/{export.id}" if is_complete else None


export_request = bind(
    "ExportRequest",
    {"createdDateTime": "course.created_at"},
    {
        "status": lambda export, info: export.status(info.context.now_at),
        "assetUri": _asset_uri,
        "modifiedDateTime": lambda export, info: export.course.last_change_at(info.context.now_at),
        "organizationId": lambda _export, _info: "1",
        "requestorId": lambda _export, _info: "emulator-user",
    },
)
