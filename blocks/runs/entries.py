"""Read all entries (inputs) of a flow run. Prefect's API has no pages for them."""

from __future__ import annotations

import asyncio
import string
from functools import partial
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client

from blocks.api import persistent

#: Our choice: 1,000 entries per request are about 1 MB.
PAGE = 1_000
#: Our choice: concurrent requests.
_AT_ONCE = 10
#: The characters that Prefect allows in the names of entries (`FlowRunInput.key`).
_CHARACTERS = f"-{string.digits}{string.ascii_lowercase}"


async def read_entries(flow_run_id: UUID, prefix: str) -> dict[str, str]:
    """Return the values of all entries whose names begin with `prefix`, by name.

    The API returns the first entries of a prefix and has no offset. If there are more, longer prefixes are read.
    """
    async with get_client() as client:
        return await _read(client, flow_run_id, prefix, asyncio.Semaphore(_AT_ONCE))


async def _read(client: PrefectClient, flow_run_id: UUID, prefix: str, reads: asyncio.Semaphore) -> dict[str, str]:
    async with reads:
        page = await persistent(partial(client.filter_flow_run_input, flow_run_id, prefix, PAGE, set()))
    found = {one.key: one.value for one in page}
    if len(page) < PAGE:
        return found
    longer = [_read(client, flow_run_id, prefix + character, reads) for character in _CHARACTERS]
    for part in await asyncio.gather(*longer):
        found |= part
    return found
