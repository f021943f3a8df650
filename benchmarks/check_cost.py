"""The client's CPU per status of one check, beside a raw aiohttp post of the same bytes in the same run.

The floor is the least that one does by hand: aiohttp sends the same bytes, made beforehand, reads the answer and
decodes its JSON as aiohttp does, with the standard library. Ours adds gql, sign-in, retries, error mapping and the
model, and decodes with orjson; the last column is the ratio to a floor that does so too. CPU time of this process
alone; the emulator is another one.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import orjson

from benchmarks.emulation import Emulation
from benchmarks.gates import at_most
from benchmarks.section import Section
from graphql_jobs import BearerToken, ClientCredentials, Job, JobClient
from graphql_jobs.providers.aiware import AiwareClient, EngineJobSpec
from graphql_jobs.providers.aiware import documents as aiware_documents
from graphql_jobs.providers.datasaur import AutoLabelSpec, DatasaurClient
from graphql_jobs.providers.datasaur import documents as datasaur_documents

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


_JOBS = 100
_REQUESTS_PER_ROUND = 10
#: Done-when 6 of the main job: at most twice the floor.
_GATE = 2.0


@dataclass
class _Case:
    name: str
    client: JobClient
    job_ids: list[str]
    payload: dict[str, object]


class _Costs(NamedTuple):
    floor_us: float
    ours_us: float
    ratio: float
    same_decoder_ratio: float


def check_cost(rounds: int) -> Section:
    """Measure both providers, in so many rounds."""
    # An answer that comes at once finds warm caches, which favours the floor: real servers take their time.
    with Emulation("--queued-s", "0", "--running-s", "86400", takes_shortcuts=False) as emulation:
        costs = asyncio.run(_measure(emulation.introduction, rounds))
    columns = ("check of 100 jobs", "floor, µs per status", "ours, µs per status", "ratio", "to a floor with orjson")
    rows = [
        (name, f"{of.floor_us:.1f}", f"{of.ours_us:.1f}", f"{of.ratio:.2f}", f"{of.same_decoder_ratio:.2f}")
        for name, of in costs.items()
    ]
    gates = [at_most(f"{name}: CPU per status, times the floor", of.ratio, _GATE) for name, of in costs.items()]
    note = (
        f"CPU time of the client alone, one request at a time, median of {rounds} rounds of {_REQUESTS_PER_ROUND} "
        "requests that take turns; the emulator is another process and is not counted."
    )
    return Section("check", "One check", columns, rows, note, gates)


async def _measure(emulator: dict[str, str], rounds: int) -> dict[str, _Costs]:
    async with (
        AiwareClient.connect(emulator["url"], BearerToken(emulator["aiware_token"])) as aiware,
        DatasaurClient.connect(emulator["url"], _datasaur_sign_in(emulator)) as datasaur,
        aiohttp.ClientSession() as raw,
    ):
        cases = [await _aiware_case(aiware), await _datasaur_case(datasaur)]
        return {case.name: await _compare(case, raw, rounds) for case in cases}


async def _compare(case: _Case, raw: aiohttp.ClientSession, rounds: int) -> _Costs:
    """Medians over rounds that take turns, so that a busy machine slows all alike; a ratio is the median ratio."""
    token = await case.client.session._sign_in.token()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps(case.payload).encode()

    async def floor(decode: Callable[[bytes], object] = json.loads) -> None:
        async with raw.post(case.client.session.url, data=body, headers=headers) as response:
            decode(await response.read())

    async def ours() -> None:
        seen = await case.client.check(case.job_ids)
        assert all(isinstance(job, Job) for job in seen.values())  # noqa: S101 (else the work was not done)

    contestants = (floor, partial(floor, orjson.loads), ours)
    measured = [[await _cpu_us(work) for work in contestants] for _ in range(rounds + 1)][1:]  # the first one warms up
    floors, _, owns = zip(*measured, strict=True)
    return _Costs(
        statistics.median(floors),
        statistics.median(owns),
        statistics.median(own / base for base, _, own in measured),
        statistics.median(own / base for _, base, own in measured),
    )


async def _cpu_us(work: Callable[[], Awaitable[None]]) -> float:
    began = time.process_time()
    for _ in range(_REQUESTS_PER_ROUND):
        await work()
    return (time.process_time() - began) * 1e6 / (_REQUESTS_PER_ROUND * _JOBS)


async def _aiware_case(client: AiwareClient) -> _Case:
    spec = EngineJobSpec(engine_id="c0e55cde-340b-44d7-bb42-2e0d65e98255", upload_url="https://media.example.com/a")
    job_ids = [(await client.submit(spec)).job_id for _ in range(_JOBS)]
    variables: dict[str, object] = {f"id{number}": job_id for number, job_id in enumerate(job_ids)}
    page: dict[str, object] = {"offset": 0, "limit": aiware_documents.TASK_PAGE}
    payload = aiware_documents.check_jobs(_JOBS).bind(variables | page).payload
    return _Case("aiWARE, 100 aliases, 5 tasks each", client, job_ids, payload)


async def _datasaur_case(client: DatasaurClient) -> _Case:
    spec = AutoLabelSpec.of(
        project_id="HvdyIL2iwZn",
        labeler_email="labeler@example.com",
        target_endpoint="https://model.example.com/predict",
        target_secret="not shown",  # noqa: S106 (none)
    )
    job_ids = [(await client.submit(spec)).job_id for _ in range(_JOBS)]
    payload = datasaur_documents.GET_JOBS.bind({"jobIds": job_ids}).payload
    return _Case("Datasaur, one list", client, job_ids, payload)


def _datasaur_sign_in(emulator: dict[str, str]) -> ClientCredentials:
    url = f"{emulator['url']}/api/oauth/token"
    return ClientCredentials(url, emulator["datasaur_client_id"], emulator["datasaur_client_secret"])
