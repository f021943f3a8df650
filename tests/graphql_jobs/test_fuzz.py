"""Guarantee 11 with random data: any answer raises only this project's errors, without a hang or a secret.

A hundred thousand mutated answers by default, the same each time. A failure names its seed: `FUZZ_FIRST=<seed>
FUZZ_ANSWERS=1` runs only that answer, and another FUZZ_FIRST runs others.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import time
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from aiohttp import web

from graphql_jobs.handle import JobHandle
from graphql_jobs.job import Job, JobState
from graphql_jobs.providers.aiware import AiwareClient, AiwareJobSpec, EngineJobSpec
from graphql_jobs.providers.aiware.job_lists import labelled_jobs
from graphql_jobs.providers.datasaur import AutoLabelSpec, DatasaurClient, ExportSpec, ProjectSpec
from graphql_jobs.providers.datasaur.reader import DIALECT
from graphql_jobs.transport.auth import BearerToken, ClientCredentials
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.session import Session
from tests.clocks import FakeClock
from tests.graphql_jobs.canned import CannedSession
from tests.graphql_jobs.fuzzing import ANSWERS, FIRST, HANG_S, LABEL, NOW, fuzz, use, used
from tests.graphql_jobs.mutations import STATUSES, TOKEN, headers, mutated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.graphql_jobs.conftest import Serve


TASK = {"id": "1", "status": "failed", "engineId": "e", "startedDateTime": "2026-01-01T00:00:00Z"} | {
    "failureReason": "file_not_found",
    "failureMessage": "403 for https://h/?sig=5ec7e75ec7e75ec7e7",
    "standbyTask": {"id": "2", "status": "complete"},
}
AIWARE_JOB = {"id": "a", "status": "complete", "targetId": "t", "createdDateTime": "2026-01-01T00:00:00Z"} | {
    "modifiedDateTime": 1702268336059,
    "jobConfig": LABEL.to_json(),
    "target": {"details": LABEL.to_json()},
    "tasks": {"limit": 30, "records": [TASK, TASK | {"id": "2", "status": "complete"}]},
}
DATASAUR_JOB = {"id": "a", "status": "FAILED", "progress": 100, "resultId": "r"} | {
    "errors": [{"id": "E1", "stack": "no\nat", "args": {"file": "a", "secretKey": TOKEN}}],
    "createdAt": "2023-12-11T04:18:56.059Z",
    "updatedAt": "2023-12-11T04:18:56.059Z",
}
ERROR = {"message": "no", "name": "not_found", "path": ["j1", "tasks", 0], "data": {"objectId": "b"}} | {
    "extensions": {"code": "FORBIDDEN", "type": "AuthenticationError"}
}


def samples(folder: str) -> list[Any]:
    """Recorded answers of the providers."""
    paths = sorted((Path(__file__).parents[1] / "samples" / folder).glob("*.json"))
    return [json.loads(path.read_text()) for path in paths]


AIWARE = [
    *samples("aiware"),
    {"data": {"j0": AIWARE_JOB, "j1": AIWARE_JOB | {"id": "b"}}},
    {"data": {"j0": AIWARE_JOB, "j1": None}, "errors": [ERROR, ERROR | {"path": None}]},
    {"data": {"createJob": AIWARE_JOB, "createTDO": {"id": "t"}, "createTDOWithAsset": {"id": "t"}}},
    {"data": {"jobs": {"records": [AIWARE_JOB, AIWARE_JOB | {"id": "b"}]}}},
    {"data": {"launchSingleEngineJob": AIWARE_JOB, "retryJob": AIWARE_JOB, "cancelJob": {"id": "a", "message": "m"}}},
    {"data": {"engineResults": {"records": [{"jsondata": {"series": [{"startTimeMs": 0}]}}]}}},
]
DATASAUR = [
    *samples("datasaur"),
    {"data": {"result": [DATASAUR_JOB, DATASAUR_JOB | {"id": "b", "status": "IN_PROGRESS"}]}},
    {"data": {"result": DATASAUR_JOB}},
    {"data": {"result": [DATASAUR_JOB, None]}, "errors": [ERROR | {"path": ["result", 1]}, ERROR]},
    {"data": {"result": {"name": "n", "job": DATASAUR_JOB}}},
    {"data": {"result": {"exportId": "ExportQueue:1", "fileUrl": f"https://h/f?s={TOKEN}", "fileUrlExpiredAt": 1}}},
    {"data": {"result": {"nodes": [{"id": "1", "name": "n", "createdDate": "2026-01-01T00:00:00Z"}]}}},
]
SIGN_IN = [{"access_token": "another-t0k3n-5ecret", "expires_in": 3600, "token_type": "Bearer"}, {"error": "invalid"}]
SPECS: list[Any] = [
    AutoLabelSpec.of(project_id="p", labeler_email="m", target_endpoint="https://h", target_secret="s3cret-of-a-model"),
    ExportSpec.of(project_ids=["p"], file_name="f"),
    ProjectSpec.of(name="n", documents=[{"name": "d.txt", "external_url": "https://h/d?sig=5ec7e75ec7e75ec7e7"}]),
]
AIWARE_SPEC = AiwareJobSpec.of(tasks=[{"engine_id": "e", "payload": {"url": "https://h/?sig=5ec7e75ec7e75ec7e7"}}])
ENGINE_SPEC = EngineJobSpec.of(engine_id="e", upload_url="https://h/?sig=5ec7e75ec7e75ec7e7")


def aiware_call(random: Random, client: AiwareClient) -> Awaitable[object]:
    """One of the requests to aiWARE."""
    handle = JobHandle(provider="aiware", endpoint=client.session.url, job_id="a")
    job = Job("aiware", "a", JobState.SUCCEEDED, "complete")
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: client.check(["a"]),
        lambda: client.check(["a", "b"]),
        lambda: client.poll(["a", "b"], defer=True),
        lambda: client.submit(AIWARE_SPEC, LABEL),
        lambda: client.submit(ENGINE_SPEC),
        lambda: client.make_container(AIWARE_SPEC, LABEL),
        lambda: client.make_container(ENGINE_SPEC, LABEL),
        lambda: client.retry("a"),
        lambda: client.cancel("a"),
        lambda: client.result(handle, job, Path("/nowhere"), outage_budget_s=0.0),
        lambda: client.find("createJob", {"target_id": "t"}, LABEL, NOW),
        lambda: client.find("launchSingleEngineJob", {"target_id": "t", "engine_id": "e"}, LABEL, NOW),
        lambda: labelled_jobs(client, NOW - 100, NOW),
    ]
    return random.choices(calls, [8, 8, 4, *[1] * 10])[0]()


def datasaur_call(random: Random, client: DatasaurClient) -> Awaitable[object]:
    """One of the requests to Datasaur, except for files."""
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: client.check(["a"]),
        lambda: client.check(["a", "b"]),
        lambda: client.poll(["a", "b"], defer=True),
        lambda: client.check(["project:1"]),
        lambda: client.submit(random.choice(SPECS)),
        lambda: client.find("createProject", {"name": "n", "team_id": None}, LABEL, NOW),
    ]
    return random.choices(calls, [6, 6, 3, 1, 4, 1])[0]()


async def one_answer(kind: str, seed: int) -> None:
    """One mutated answer, read and used. Raises any error of another package."""
    random = Random(seed)
    sample = random.choice({"aiware": AIWARE, "datasaur": DATASAUR, "sign-in": SIGN_IN}[kind])
    answer = (random.choice(STATUSES), headers(random), mutated(random, sample))
    auth = ClientCredentials("http://h/token?code=" + TOKEN, "id", TOKEN) if kind == "sign-in" else BearerToken(TOKEN)
    session = CannedSession(auth, DIALECT, [answer, answer, answer])
    if kind == "aiware":
        call = aiware_call(random, AiwareClient(session))
    else:
        call = datasaur_call(random, DatasaurClient(session))
    await used(session, call)


@pytest.mark.parametrize(("kind", "share"), [("aiware", 0.5), ("datasaur", 0.4), ("sign-in", 0.1)])
@pytest.mark.usefixtures("watchdog")
async def test_a_hundred_thousand_mutated_answers_raise_nothing_but_our_errors(
    kind: str, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Values, shapes, depths, sizes, numbers, headers, statuses and bytes; nothing hangs, and no secret is shown."""
    caplog.set_level(logging.CRITICAL)
    await fuzz(kind, partial(one_answer, kind), max(int(ANSWERS * share), 1))


@pytest.mark.usefixtures("watchdog")
async def test_answers_of_a_real_server_raise_nothing_but_our_errors(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Three hundred over HTTP: headers, statuses and bytes as aiohttp's own parser reads them."""
    caplog.set_level(logging.CRITICAL)
    answers: list[tuple[int, dict[str, str], bytes]] = []

    async def answer(request: web.Request) -> web.Response:
        status, told, body = answers[0]
        return web.Response(status=max(status, 200), headers=told, body=body)

    server = await serve(answer)
    for seed in range(FIRST, FIRST + 300):
        random = Random(seed)
        odd = {name: value for name, value in headers(random).items() if value.isprintable() and name != "X-Any"}
        answers[:] = [(random.choice(STATUSES), odd, mutated(random, random.choice(AIWARE + DATASAUR)))]
        session = Session(server.url, BearerToken(TOKEN), DIALECT, Limits(attempts=1, budget_s=0.001), FakeClock())
        async with session, asyncio.timeout(HANG_S):
            for client in (AiwareClient(session), DatasaurClient(session)):
                shown = use(await client.check(["a"]))
                assert TOKEN not in unquote(shown), f"seed {seed}: {shown[:500]}"


LARGE: dict[str, Callable[[], object]] = {
    "jobs": lambda: {"data": {"result": [DATASAUR_JOB | {"id": f"{n}", "args": None} for n in range(4_000)]}},
    "failed tasks": lambda: {"data": {"j0": AIWARE_JOB | {"tasks": {"limit": 9_000, "records": [TASK] * 4_000}}}},
    "odd ids": lambda: {"data": {"j0": AIWARE_JOB | {"tasks": {"records": [{"id": "%41\\" * 40}] * 5_000}}}},
    "errors": lambda: {"data": None, "errors": [{"message": "x" * 900, "path": ["j0"]}] * 1_000},
    "many errors": lambda: {"data": None, "errors": [1] * 500_000},
    "escapes": lambda: {"errors": [{"message": "%41\\n&amp;" * 100_000}]},
    "brackets": lambda: {"data": {"result": [[[]]] * 150_000}},
    "a number": lambda: {"data": {"result": 10**4_000, "more": ["\ud800"] * 100_000}},
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.usefixtures("watchdog")
async def test_a_large_answer_holds_the_event_loop_up_for_no_longer_than_reading_it_takes(
    name: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """A megabyte of each kind: the time and that of the standard library's decoder are printed; only a hang fails."""
    caplog.set_level(logging.CRITICAL)
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    body = json.dumps(LARGE[name]()).encode()
    started = time.process_time()
    json.loads(body)
    decoding_s = time.process_time() - started
    answer = (200, {"Content-Type": "application/json"}, body)
    took_s = []
    for kind in (AiwareClient, DatasaurClient):
        session = CannedSession(BearerToken(TOKEN), DIALECT, [answer])
        session.kept_secrets.keep_queries([f"https://h/?sig={n:032d}" for n in range(2_000)])
        started = time.process_time()
        await kind(session).check(["a"])
        took_s.append(time.process_time() - started)
    megabytes = len(body) / 1e6
    with capsys.disabled():
        print(  # noqa: T201 (a figure to be read, on a machine that may be busy)
            f"\n{name}: {megabytes:.1f} MB, {max(took_s) / megabytes * 1000:.0f} ms per MB, "
            f"{max(took_s) / decoding_s:.1f} times what decoding it takes"
        )
