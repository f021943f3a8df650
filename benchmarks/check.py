"""The client's CPU per status of one check, compared with a raw aiohttp post of the same prepared bytes."""

import asyncio
import json
import time
from itertools import pairwise
from statistics import median
from typing import Any

import aiohttp

from benchmarks.contest import emulator
from benchmarks.report import Section, at_most
from graphql_jobs import BearerToken, ClientCredentials, Job
from graphql_jobs.providers.aiware import AiwareClient, EngineJobSpec
from graphql_jobs.providers.aiware.documents import TASK_PAGE, check_jobs
from graphql_jobs.providers.datasaur import DatasaurClient, ExportSpec
from graphql_jobs.providers.datasaur.documents import GET_JOBS

#: Our choices. Ours also has gql, sign-in, retries, error mapping and the model, and checks the server's data.
_JOBS, _REQUESTS_PER_ROUND, CHECK_TIMES_FLOOR = 100, 10, 4.0


def check(rounds: int) -> Section:
    """Both providers, in rounds in which the floor and ours alternate. The emulator executes the checks."""
    with emulator("--queued-s", "0", "--running-s", "86400") as told:
        costs = asyncio.run(_measure(told, rounds))
    columns = ("check of 100 jobs", "floor, µs per status", "ours, µs per status", "ratio")
    rows = [(name, f"{raw:.1f}", f"{own:.1f}", f"{ratio:.2f}") for name, (raw, own, ratio) in costs.items()]
    gates = [at_most(f"{name}: CPU, times the floor", of[2], CHECK_TIMES_FLOOR) for name, of in costs.items()]
    note = f"CPU time of the client, medians of {rounds} rounds of {_REQUESTS_PER_ROUND} requests one after another."
    return Section(columns, rows, note, gates)


async def _measure(told: dict[str, str], rounds: int) -> dict[str, tuple[float, ...]]:
    url = told["url"]
    sign_in = ClientCredentials(f"{url}/api/oauth/token", told["datasaur_client_id"], told["datasaur_client_secret"])
    engine = EngineJobSpec(engine_id="c0e55cde-340b-44d7-bb42-2e0d65e98255", upload_url="https://media.example.com/a")
    export = ExportSpec.of(project_ids=["HvdyIL2iwZn"], file_name="a", format="JSON_ADVANCED", role="REVIEWER")
    async with (
        AiwareClient.connect(url, BearerToken(told["aiware_token"])) as aiware,
        DatasaurClient.connect(url, sign_in) as datasaur,
    ):
        ids = [(await aiware.submit(engine)).job_id for _ in range(_JOBS)]
        values: dict[str, object] = {f"id{number}": job_id for number, job_id in enumerate(ids)}
        aliases = check_jobs(_JOBS).bind(values | {"offset": 0, "limit": TASK_PAGE}).payload
        job_ids = [(await datasaur.submit(export)).job_id for _ in range(_JOBS)]
        by_ids = GET_JOBS.bind({"jobIds": job_ids}).payload
        return {
            "aiWARE, 100 aliases, 5 tasks each": await _compare(aiware, ids, aliases, rounds),
            "Datasaur, one list": await _compare(datasaur, job_ids, by_ids, rounds),
        }


async def _compare(client: Any, job_ids: list[str], payload: object, rounds: int) -> tuple[float, ...]:
    """The floor, ours and the ratio: medians."""
    headers = {"Authorization": f"Bearer {await client.session._sign_in.token()}", "Content-Type": "application/json"}
    body, costs = json.dumps(payload).encode(), []
    async with aiohttp.ClientSession() as http:
        for _ in range(rounds + 1):
            instants, seen = [time.process_time()], dict[str, object]()
            for _ in range(_REQUESTS_PER_ROUND):
                async with http.post(client.session.url, data=body, headers=headers) as response:
                    json.loads(await response.read())
            instants.append(time.process_time())
            for _ in range(_REQUESTS_PER_ROUND):
                seen = await client.check(job_ids)
            instants.append(time.process_time())
            assert all(isinstance(job, Job) for job in seen.values())  # noqa: S101 (else the work was not done)
            raw, own = ((end - begin) * 1e6 / _REQUESTS_PER_ROUND / _JOBS for begin, end in pairwise(instants))
            costs.append((raw, own, own / raw))
    return tuple(median(column) for column in zip(*costs[1:], strict=True))  # the first round warms up
