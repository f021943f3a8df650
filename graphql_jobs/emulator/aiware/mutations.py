"""aiWARE's root mutations."""

from typing import Any

from graphql_jobs.emulator.aiware import drafts, exports, status
from graphql_jobs.emulator.aiware.errors import AiwareError
from graphql_jobs.emulator.aiware.model import Asset, Job, Task, Tdo
from graphql_jobs.emulator.aiware.queries import existing_asset, paged
from graphql_jobs.emulator.aiware.world import Info
from graphql_jobs.emulator.execution import bind


def _create_job(_root: None, info: Info, input: dict[str, Any] | None = None) -> Job:
    return drafts.create_job(info.context.world, input or {})


def _launch_single_engine_job(_root: None, info: Info, input: dict[str, Any] | None = None) -> Job:
    if input is None:
        raise AiwareError("invalid_input", "input is needed.")
    return drafts.launch_single_engine_job(info.context.world, input)


def _cancel_job(_root: None, info: Info, id: str) -> dict[str, str]:
    world = info.context.world
    job = world.visible_job(id)
    if not world.cancel(job):
        # Invented: the answer to a refused cancel is not published (docs/providers/aiware.md#cancelling).
        raise AiwareError("invalid_input", "Only a job whose tasks are all pending or queued can be cancelled.")
    return {"id": id, "message": "Job cancelled"}


def _check_retry(job: Job, now_at: float) -> None:
    """Refuse to retry a completed job (KB 4164). The text is invented."""
    if status.computed_status(job, now_at) == "complete":
        raise AiwareError("invalid_input", "A completed job cannot be retried.")


def _retry_job(_root: None, info: Info, id: str) -> Job:
    world = info.context.world
    job = world.visible_job(id)
    _check_retry(job, info.context.now_at)
    return world.retry(job)


def _update_jobs(_root: None, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Restart jobs: the only accepted status is queued. If one job cannot be restarted, none is."""
    world = info.context.world
    if input.get("status") != "queued":
        raise AiwareError("invalid_input", "The only status that can be set is queued.")
    jobs = [world.visible_job(job_id) for job_id in input.get("ids") or ()]
    for job in jobs:
        _check_retry(job, info.context.now_at)
    return paged(info, [world.retry(job) for job in jobs], {"limit": world.behaviour.page_limit})


def _create_tdo(_root: None, info: Info, input: dict[str, Any] | None = None) -> Tdo:
    tdo = _made_tdo(info, "createTDO", input or {})
    info.context.world.start_rules("createTDO", tdo)
    return tdo


def _create_tdo_with_asset(_root: None, info: Info, input: dict[str, Any] | None = None) -> Tdo:
    world = info.context.world
    values = _with_upload(info, input or {})
    if not values.get("uri") and not values.get("file"):
        raise AiwareError("invalid_input", "One of uri or file (upload) must be provided to create an asset.")
    tdo = _made_tdo(info, "createTDOWithAsset", values)
    world.add_asset(tdo, {**values, "details": None})
    world.start_rules("createTDOWithAsset", tdo)
    return tdo


def _made_tdo(info: Info, operation: str, values: dict[str, Any]) -> Tdo:
    world = info.context.world
    tdo = world.add_tdo(values)
    world.record(operation, None, world.caller_key(None, tdo.id), tdo.id, values)
    return tdo


def _create_asset(_root: None, info: Info, input: dict[str, Any]) -> Asset:
    world = info.context.world
    tdo = world.existing_tdo(input["containerId"])
    asset = world.add_asset(tdo, _with_upload(info, input))
    world.record("createAsset", None, world.caller_key(None, tdo.id), tdo.id, input)
    return asset


def _with_upload(info: Info, values: dict[str, Any]) -> dict[str, Any]:
    """Return the input with the multipart part `file`, which it need not mention."""
    uploaded = info.context.request.files.get("file")
    return {**values, "file": uploaded} if uploaded is not None else values


# The fields of UpdateTDO, and where the model has them.
_UPDATES = {
    "startDateTime": "start_at",
    "stopDateTime": "stop_at",
    "status": "status",
    "name": "name",
    "description": "description",
    "isPublic": "is_public",
    "details": "details",
}


def _update_tdo(_root: None, info: Info, input: dict[str, Any] | None = None) -> Tdo:
    """Change the given fields. Invented: null changes nothing, and `details` are replaced, not merged."""
    values = input or {}
    tdo: Tdo = info.context.world.existing_tdo(values.get("id", ""))
    for name, attribute in _UPDATES.items():
        if values.get(name) is not None:
            setattr(tdo, attribute, values[name])
    return tdo


def _delete_tdo(_root: None, info: Info, id: str) -> dict[str, str]:
    world = info.context.world
    del world.tdos[world.existing_tdo(id).id]
    return {"id": id, "message": f"TemporalDataObject {id} was deleted."}


def _delete_asset(_root: None, info: Info, id: str) -> dict[str, str]:
    asset = existing_asset(None, info, id)
    info.context.world.existing_tdo(asset.container_id).assets.remove(asset)
    # Invented text, after that of deleteTDO.
    return {"id": id, "message": f"Asset {id} was deleted."}


def _cleanup_tdo(_root: None, info: Info, id: str, **_: Any) -> dict[str, str]:
    tdo: Tdo = info.context.world.existing_tdo(id)
    tdo.assets.clear()
    return {"id": id, "message": f"TemporalDataObject {id} was cleaned up."}


def _update_task(_root: None, info: Info, input: dict[str, Any]) -> Task:
    world = info.context.world
    task = world.visible_task(input["id"])
    reason, message = input.get("failureReason"), input.get("failureMessage")
    if (reason and input["status"] != "failed") or (message and not reason):
        # Documented rule, invented text.
        raise AiwareError("invalid_input", "failureReason needs status failed; failureMessage needs failureReason.")
    task.fixed_status, task.failure_reason, task.failure_message = input["status"], reason, message
    task.output = input.get("output", task.output)
    return task


def _login_info(info: Info, token: str) -> dict[str, Any]:
    return {"token": token, "organization": {"id": "1", "name": "Emulator organization"}}


def _user_login(_root: None, info: Info, input: dict[str, Any] | None = None) -> dict[str, Any]:
    accounts, values = info.context.accounts, input or {}
    if not accounts.is_aiware_user(values.get("userName", ""), values.get("password", "")):
        # Documented answer to a login that fails (the vendor's page of API examples).
        raise AiwareError("not_found", "The requested object or entity could not be found")
    info.context.world.count_token()
    return _login_info(info, accounts.open_session())


def _refresh_token(_root: None, info: Info, token: str) -> dict[str, Any]:
    """Replace the session. Invented: it is not published whether the old token remains valid."""
    _validate_token(_root, info, token)
    info.context.accounts.close_session(token)
    info.context.world.count_token()
    return _login_info(info, info.context.accounts.open_session())


def _validate_token(_root: None, info: Info, token: str) -> dict[str, Any]:
    if not info.context.accounts.knows_aiware_token(token):
        raise AiwareError("authentication_error")
    return _login_info(info, token)


def _user_logout(_root: None, info: Info, token: str) -> bool:
    return bool(info.context.accounts.close_session(token))


def _subscribe_event(_root: None, info: Info, input: dict[str, Any]) -> str:
    """Store the subscription. Invented: nothing is delivered; the wire format is not public."""
    world = info.context.world
    subscription_id = world.ids.uuid()
    world.subscriptions[subscription_id] = {
        "id": subscription_id,
        "organizationId": "1",
        "eventName": input.get("eventName") or "",
        "eventType": input.get("eventType") or "",
        "targetName": input["delivery"]["name"],
        "consumerParams": input["delivery"]["params"],
        "subscriptionHash": subscription_id.replace("-", ""),
        "createdDateTime": info.context.now_at,
        "conditions": input.get("conditions"),
    }
    return subscription_id


def _unsubscribe_event(_root: None, info: Info, id: str) -> dict[str, str]:
    if info.context.world.subscriptions.pop(id, None) is None:
        raise AiwareError("not_found", objectId=id, objectType="EventSubscription")
    return {"id": id, "message": "Unsubscribed"}


mutation = bind(
    "Mutation",
    resolvers={
        "createJob": _create_job,
        "launchSingleEngineJob": _launch_single_engine_job,
        "cancelJob": _cancel_job,
        "retryJob": _retry_job,
        "updateJobs": _update_jobs,
        "createTDO": _create_tdo,
        "updateTDO": _update_tdo,
        "createTDOWithAsset": _create_tdo_with_asset,
        "createAsset": _create_asset,
        "deleteTDO": _delete_tdo,
        "deleteAsset": _delete_asset,
        "cleanupTDO": _cleanup_tdo,
        "updateTask": _update_task,
        "createExportRequest": exports.create,
        "userLogin": _user_login,
        "userLogout": _user_logout,
        "refreshToken": _refresh_token,
        "validateToken": _validate_token,
        "subscribeEvent": _subscribe_event,
        "unsubscribeEvent": _unsubscribe_event,
    },
)
