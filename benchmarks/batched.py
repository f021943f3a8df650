"""Loops that ask for many jobs in one request: Robosaur's, and the raw loop that serves as the floor."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp

from benchmarks.wire import GET_JOBS, Datasaur, Unauthorized, is_good_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.contestant import Setup
    from benchmarks.meter import Meter


async def robosaur(setup: Setup, meter: Meter) -> None:
    """datasaur-ai/robosaur, src/utils/polling.helper.ts: all ids every T, until all have ended.

    As there: finished ids are asked for again, a refused token is renewed once, any other error ends the process.
    """
    told: set[str] = set()
    async with aiohttp.ClientSession() as http:
        datasaur, may_renew = Datasaur(http, setup.emulator), True
        meter.begin()
        while True:
            try:
                jobs = await datasaur.ask(GET_JOBS, {"jobIds": setup.job_ids})
            except Unauthorized as refusal:
                if not may_renew:
                    raise
                may_renew = False
                await datasaur.sign_in(refusal.refused)
                continue
            for job in jobs:
                good = is_good_end(job["status"])  # a null item ends it here, as it does there
                if good is not None and job["id"] not in told:
                    told.add(job["id"])
                    meter.tell(job["id"], "succeeded" if good else "failed")
            if len(told) == len(setup.job_ids):
                return
            await asyncio.sleep(setup.interval_s)


async def raw_ids(setup: Setup, meter: Meter) -> None:
    """The floor by ids: the same bytes as ours, with aiohttp and the standard decoder, and nothing else."""
    await _raw_ids(setup, meter, spread=False)


async def raw_ids_spread(setup: Setup, meter: Meter) -> None:
    """As above, but the requests of an interval at even distances over it."""
    await _raw_ids(setup, meter, spread=True)


async def _raw_ids(setup: Setup, meter: Meter, *, spread: bool) -> None:
    async with aiohttp.ClientSession() as http:
        token = await Datasaur(http, setup.emulator).sign_in()

        def payload(job_ids: list[str]) -> dict[str, Any]:
            return {"query": setup.document, "operationName": "GetJobs", "variables": {"jobIds": job_ids}}

        def entries(data: dict[str, Any]) -> list[dict[str, Any]]:
            jobs: list[dict[str, Any]] = data["result"]
            return jobs

        post = Post(http, f"{setup.emulator['url']}/graphql", token, payload, entries)
        await _loop(post, setup, meter, spread=spread)


async def raw_aliases(setup: Setup, meter: Meter) -> None:
    """The floor by aliases: as above, a document of a fixed number of aliases, filled up with the last id."""
    async with aiohttp.ClientSession() as http:
        url, token = f"{setup.emulator['url']}/v3/graphql", setup.emulator["aiware_token"]
        await _loop(Post(http, url, token, alias_payload(setup), alias_entries), setup, meter, spread=False)


def alias_payload(setup: Setup) -> Callable[[list[str]], dict[str, Any]]:
    """Makes the body of a check by aliases."""

    def payload(job_ids: list[str]) -> dict[str, Any]:
        padded = job_ids + [job_ids[-1]] * (setup.batch - len(job_ids))
        variables: dict[str, Any] = {f"id{number}": job_id for number, job_id in enumerate(padded)}
        variables |= {"offset": 0, "limit": 30}
        return {"query": setup.document, "operationName": "CheckJobs", "variables": variables}

    return payload


def alias_entries(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The jobs of its answer, each once."""
    return list({job["id"]: job for job in data.values()}.values())


class Post:
    """One request by hand."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str, payload: Any, entries: Any) -> None:
        self._http = http
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._payload = payload
        self._entries = entries

    async def __call__(self, job_ids: list[str]) -> list[dict[str, Any]]:
        body = json.dumps(self._payload(job_ids)).encode()
        async with self._http.post(self._url, data=body, headers=self._headers) as response:
            entries: list[dict[str, Any]] = self._entries(json.loads(await response.read())["data"])
            return entries


async def _loop(post: Post, setup: Setup, meter: Meter, *, spread: bool) -> None:
    """Ask for all that goes on, a batch right after the other at the begin of each interval, or at even distances."""
    loop = asyncio.get_running_loop()
    live = dict.fromkeys(setup.job_ids)
    meter.begin()
    due_at = loop.time()
    while live:
        job_ids = list(live)
        batches = [job_ids[first : first + setup.batch] for first in range(0, len(job_ids), setup.batch)]
        for number, batch in enumerate(batches, 1):
            for job in await post(batch):
                good = is_good_end(job["status"])
                if good is not None:
                    del live[job["id"]]
                    meter.tell(job["id"], "succeeded" if good else "failed")
            if spread or number == len(batches):
                due_at += setup.interval_s / len(batches) if spread else setup.interval_s
                await asyncio.sleep(due_at - loop.time())
