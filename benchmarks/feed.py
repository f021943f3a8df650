"""aiWARE's list of jobs that ended since an instant, by hand: whether it would spare most of the looks."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp

from benchmarks.batched import Post, alias_entries, alias_payload
from benchmarks.wire import is_good_end

if TYPE_CHECKING:
    from benchmarks.contestant import Setup
    from benchmarks.meter import Meter

#: The published filter has no word for aborted jobs (enum JobStatusFilter): those would be missed.
_ENDED = """
query Ended($from: DateTime, $offset: Int, $limit: Int) {
  jobs(
    status: [complete, failed, cancelled]
    dateTimeFilter: [{ field: modifiedDateTime, fromDateTime: $from }]
    orderBy: [{ field: modifiedDateTime, direction: asc }]
    offset: $offset
    limit: $limit
  ) { records { id } }
}
"""
#: Our choice: instants of jobs are whole seconds (docs/providers/aiware.md), and a list may be behind a little.
_OVERLAP_S = 2.0
#: The documented default (docs/providers/aiware.md), and a page that nobody promises.
_DOCUMENTED_PAGE, _LARGE_PAGE = 30, 500


async def by_documented_pages(setup: Setup, meter: Meter) -> None:
    """Pages of thirty."""
    await _by_feed(setup, meter, _DOCUMENTED_PAGE)


async def by_large_pages(setup: Setup, meter: Meter) -> None:
    """Pages of five hundred."""
    await _by_feed(setup, meter, _LARGE_PAGE)


async def _by_feed(setup: Setup, meter: Meter, page: int) -> None:
    """One sweep at first; then each T the list, and a whole check of each awaited job in it (guarantee 4)."""
    async with aiohttp.ClientSession() as http:
        url, token = f"{setup.emulator['url']}/v3/graphql", setup.emulator["aiware_token"]
        check = Post(http, url, token, alias_payload(setup), alias_entries)
        live = dict.fromkeys(setup.job_ids)
        meter.begin()
        since, due_at = time.time(), asyncio.get_running_loop().time()
        await _look_at(list(live), live, check, setup.batch, meter)
        while live:
            due_at += setup.interval_s
            await asyncio.sleep(due_at - asyncio.get_running_loop().time())
            asked_at = time.time()
            listed = await _listed(http, url, token, since - _OVERLAP_S, page)
            await _look_at([job_id for job_id in listed if job_id in live], live, check, setup.batch, meter)
            since = asked_at


async def _look_at(job_ids: list[str], live: dict[str, None], check: Post, batch: int, meter: Meter) -> None:
    for first in range(0, len(job_ids), batch):
        for job in await check(job_ids[first : first + batch]):
            good = is_good_end(job["status"])
            if good is not None:
                del live[job["id"]]
                meter.tell(job["id"], "succeeded" if good else "failed")


async def _listed(http: aiohttp.ClientSession, url: str, token: str, since: float, page: int) -> list[str]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    found: list[str] = []
    while True:
        variables: dict[str, Any] = {"from": int(since), "offset": len(found), "limit": page}
        body = json.dumps({"query": _ENDED, "operationName": "Ended", "variables": variables}).encode()
        async with http.post(url, data=body, headers=headers) as response:
            records = json.loads(await response.read())["data"]["jobs"]["records"]
        found += [record["id"] for record in records]
        if len(records) < page:
            return list(dict.fromkeys(found))
