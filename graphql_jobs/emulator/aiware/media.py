"""aiWARE's files: media that callers put at a signed address, and the results behind an asset's address."""

import json
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from aiohttp import web

from graphql_jobs.emulator.aiware.results import finished_tasks, transcript, words
from graphql_jobs.emulator.aiware.world import AiwareWorld, Info
from graphql_jobs.emulator.answers import Answer, store_refusal

# The documented default: docs/providers/aiware.md#results.
_LIFETIME_S = 10_800


@dataclass
class Medium:
    """An object that the bearer of its signature may write and read."""

    signature: str
    expires_at: float
    content: bytes | None = None
    content_type: str = "application/octet-stream"


def signed_writable_url(_root: None, info: Info, key: str | None = None) -> dict[str, Any]:
    """Return the addresses of a new object. A used key gets a new signature and loses its content (invented)."""
    world = info.context.world
    key = key or world.ids.uuid()
    medium = Medium(secrets.token_urlsafe(32), info.context.now_at + _LIFETIME_S)
    world.media[key] = medium
    unsigned = f"{info.context.base_url}/_media/{quote(key)}"
    address = f"{unsigned}?signature={medium.signature}"
    return {
        "bucket": "emulator",
        "key": key,
        "expiresInSeconds": _LIFETIME_S,
        "expiresAtDateTime": medium.expires_at,
        "url": address,
        "getUrl": address,
        "unsignedUrl": unsigned,
    }


def signed(world: AiwareWorld, uri: str | None) -> str | None:
    """Return the address with a signature if it is that of an object here, else unchanged."""
    medium = world.media.get(unquote((uri or "").partition("/_media/")[2]))
    return f"{uri}?signature={medium.signature}" if medium else uri


async def put(world: AiwareWorld, request: web.Request) -> Answer:
    """Keep the content of a signed object, as an object store does."""
    medium = _medium(world, request)
    if medium is None:
        return store_refusal(403, "AccessDenied")
    medium.content, medium.content_type = await request.read(), request.content_type
    return Answer(200)


async def get(world: AiwareWorld, request: web.Request) -> Answer:
    """Return the content of a signed object, or 404 until it was put."""
    medium = _medium(world, request)
    if medium is None:
        return store_refusal(403, "AccessDenied")
    if medium.content is None:
        return store_refusal(404, "NoSuchKey")
    return Answer(200, medium.content, medium.content_type)


def _medium(world: AiwareWorld, request: web.Request) -> Medium | None:
    medium = world.media.get(request.match_info["key"])
    is_signed = medium is not None and request.query.get("signature") == medium.signature
    return medium if medium and is_signed and world.clock.now() < medium.expires_at else None


async def result(world: AiwareWorld, request: web.Request) -> Answer:
    """Return the result of a task, or the file of an export request. Invented: its address has no signature."""
    now_at, result_id = world.clock.now(), request.match_info["result_id"]
    task, export = world.tasks.get(result_id), world.exports.get(result_id)
    if task is not None and task in finished_tasks(task.job, now_at):
        return Answer(200, json.dumps(transcript(task)).encode())
    if export is not None and export.status(now_at) == "complete":
        jobs = [job for job in world.jobs.values() if job.target_id in export.tdo_ids]
        texts = [words(transcript(task)) for job in jobs for task in finished_tasks(job, now_at)]
        return Answer(200, "\n".join(texts).encode(), "text/plain")
    return store_refusal(404, "NoSuchKey")
