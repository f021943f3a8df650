"""Our waiting without gql and without the model: what it adds by itself to a raw post of the same bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp

from benchmarks.ours import sign_in_of, wait_for_all
from benchmarks.wire import Datasaur
from graphql_jobs import Job, JobState
from graphql_jobs.providers.datasaur import DatasaurClient
from graphql_jobs.providers.datasaur.reader import STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contestant import Setup
    from benchmarks.meter import Meter
    from graphql_jobs.handle import Seen


class _BareClient(DatasaurClient):
    """Polls as the raw loop does; one model for all jobs of one status, since nobody reads more of it."""

    post: Any = None

    async def check_batch(self, job_ids: Sequence[str]) -> dict[str, Seen]:
        return {entry["id"]: _JOBS[entry["status"]] for entry in await self.post(job_ids)}


_JOBS = {word: Job("datasaur", "", STATES[word], word) for word in STATES if STATES[word] is not JobState.UNKNOWN}


async def by_ids(setup: Setup, meter: Meter) -> None:
    """One `wait_many` for all, whose looks are raw posts."""
    _BareClient.max_batch = setup.batch
    async with (
        aiohttp.ClientSession() as http,
        _BareClient.connect(setup.emulator["url"], sign_in_of(setup)) as client,
    ):
        token = await Datasaur(http, setup.emulator).sign_in()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        url = f"{setup.emulator['url']}/graphql"

        async def post(job_ids: Sequence[str]) -> Any:
            variables = {"jobIds": list(job_ids)}
            body = json.dumps({"query": setup.document, "operationName": "GetJobs", "variables": variables}).encode()
            async with http.post(url, data=body, headers=headers) as response:
                return json.loads(await response.read())["data"]["result"]

        client.post = post
        await wait_for_all(client, setup, meter)
