"""Write artifacts of flow runs. One that cannot be written is lost: no job waits for it, and no run fails."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from functools import partial
from typing import Literal
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey

from blocks.api import ask

logger = logging.getLogger(__name__)

Kind = Literal["markdown", "progress"]

#: Our choices: how long one write is tried, and how many characters of a job's id a key shows.
_WRITE_S = 10.0
_KEY_CHARACTERS = 40
#: Our choice: the artifacts whose ids are kept. An older one is searched for.
_MAX_KEPT = 10_000

# The artifacts of this process, by flow run and key.
_ids: dict[tuple[UUID, str], UUID] = {}


def key_of(provider: str, endpoint: str, *job_ids: str) -> str:
    """Return the key of the report about these jobs: the same in each run that waits for them."""
    digest = hashlib.sha256("\n".join([provider, endpoint, *sorted(job_ids)]).encode()).hexdigest()[:12]
    shown = re.sub(r"[^a-z0-9]+", "-", job_ids[0].lower())[:_KEY_CHARACTERS].strip("-") if len(job_ids) == 1 else "jobs"
    return f"{provider}-{shown}-{digest}"


async def write(
    run_id: UUID, key: str, kind: Kind, data: str | float, description: str, *, is_new: bool = True
) -> None:
    """Create the artifact of the run, or update it. With `is_new`, an earlier process cannot have created it."""
    try:
        async with asyncio.timeout(_WRITE_S):
            await ask(partial(_write, run_id, key, kind, data, description, is_new), for_s=_WRITE_S)
    except Exception as error:  # any error of Prefect's client
        logger.warning("The artifact %s could not be written: %s.", key, type(error).__name__)


async def _write(
    run_id: UUID, key: str, kind: Kind, data: str | float, description: str, is_new: bool, client: PrefectClient
) -> None:
    known = _ids.get((run_id, key)) or (None if is_new else await _find(client, run_id, key))
    if known:
        await client.update_artifact(known, ArtifactUpdate(data=data, description=description))
    else:
        new = ArtifactCreate(key=key, type=kind, data=data, description=description, flow_run_id=run_id)
        known = (await client.create_artifact(new)).id
    _ids[run_id, key] = known
    if len(_ids) > _MAX_KEPT:
        del _ids[next(iter(_ids))]


async def _find(client: PrefectClient, run_id: UUID, key: str) -> UUID | None:
    only = ArtifactFilter(key=ArtifactFilterKey(any_=[key]), flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    found = await client.read_artifacts(artifact_filter=only, limit=1)
    return found[0].id if found else None
