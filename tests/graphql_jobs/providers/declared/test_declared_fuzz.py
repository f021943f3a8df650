"""Guarantee 11 for declared providers: any answer raises only this project's errors, without a hang or a secret."""

from __future__ import annotations

import logging
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs.handle import JobHandle
from graphql_jobs.job import Job, JobState
from graphql_jobs.providers.declared import declared_client
from graphql_jobs.transport.auth import BearerToken
from graphql_jobs.transport.retry import OutageBudget
from tests.graphql_jobs.canned import CannedSession
from tests.graphql_jobs.fuzzing import ANSWERS, LABEL, NOW, fuzz, used
from tests.graphql_jobs.mutations import STATUSES, TOKEN, headers, mutated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: Dagster reads lists and has errors inside data; films has a result to fetch; Datasaur reads one job per request.
KINDS = {
    name: declared_client((Path(__file__).parent / f"{name}.yaml").read_text())
    for name in ("dagster", "films", "datasaur")
}
A, B = "0" * 35 + "a", "0" * 35 + "b"
RUN: dict[str, Any] = {"runId": A, "status": "FAILURE", "creationTime": 1702268336.059, "updateTime": 1702268336.059}
RENDER: dict[str, Any] = {"id": A, "status": "BROKEN", "error": f"403 for https://h/?sig={TOKEN}"}
JOB: dict[str, Any] = {"id": A, "status": "DELIVERED", "resultId": "r", "createdAt": "2026-01-01T00:00:00Z"}
WRONG: dict[str, Any] = {"__typename": "PythonError", "message": f"no {TOKEN}", "errors": [{"code": TOKEN}, None, 3]}
ERROR: dict[str, Any] = {"message": f"no {TOKEN}", "path": ["runsOrError", "results", 1], "extensions": {"code": "X"}}
ANSWERS_OF: dict[str, list[Any]] = {
    "dagster": [
        {"data": {"launchRun": {"__typename": "LaunchRunSuccess", "run": RUN}}},
        {"data": {"launchRun": WRONG}},
        {"data": {"runsOrError": {"__typename": "Runs", "results": [RUN, RUN | {"runId": B, "status": "STARTED"}]}}},
        {"data": {"runsOrError": {"__typename": "Runs", "results": [RUN, None]}}, "errors": [ERROR, 3]},
        {"data": {"runsOrError": WRONG}},
        {"data": {"terminateRun": {"__typename": "TerminateRunFailure", "message": TOKEN}}},
    ],
    "films": [
        {"data": {"render": {"__typename": "Render", "id": A, "file": {"url": "ftp://h/f"}}}},
        {"data": {"render": {"__typename": "Refusal", "message": TOKEN}}},
        {"data": {"renders": [RENDER, RENDER | {"id": B, "status": "WAITING"}]}},
        {"data": {"renders": [RENDER, None]}, "errors": [ERROR | {"path": ["renders", 1, "status"]}]},
        {"data": {"search": {"nodes": [{"id": A, "at": "2026-01-01T00:00:00Z"}, {"id": B, "at": 17}]}}},
        {"data": {"stop": {"id": A}}},
    ],
    "datasaur": [
        {"data": {"result": JOB}},
        {"data": {"result": JOB | {"status": "FAILED", "errors": [{"id": TOKEN}, None]}}},
        {"data": {"result": JOB}, "errors": [ERROR | {"path": ["result", "status"]}]},
        {"data": {"result": None}, "errors": [ERROR]},
    ],
}
VALUES: dict[str, dict[str, Any]] = {
    "dagster": {"job": "j", "location": "l"},
    "films": {"film": "f"},
    "datasaur": {"input": {}},
}


async def one_answer(kind: str, seed: int) -> None:
    """One mutated answer to one of the requests, read and used."""
    random = Random(seed)
    answer = (random.choice(STATUSES), headers(random), mutated(random, random.choice(ANSWERS_OF[kind])))
    session = CannedSession(BearerToken(TOKEN), KINDS[kind].dialect, [answer, answer, answer])
    client = KINDS[kind](session)
    handle = JobHandle(provider=kind, endpoint=session.url, job_id=A)
    done = Job(client.provider, A, JobState.SUCCEEDED, "DONE")
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: client.check([A]),
        lambda: client.check([A, B]),
        lambda: client.poll([A, B], defer=True),
        lambda: client.identify(),
        lambda: client.collect(handle, done, Path("/nowhere"), OutageBudget(0.0, session.clock)),
    ]
    calls += [lambda: client.submit(client.spec(VALUES[kind]), LABEL), lambda: client.cancel(A)]
    if client.declaration.find:
        calls.append(lambda: client.find("submit", {}, LABEL, NOW))
    await used(session, random.choice(calls)())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("watchdog")
async def test_mutated_answers_to_a_declared_provider_raise_nothing_but_our_errors(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Lists, single jobs, unions and errors inside data; a failure names its seed, as in test_fuzz.py."""
    caplog.set_level(logging.CRITICAL)

    async def one(seed: int) -> None:
        await one_answer(kind, seed)

    await fuzz(kind, one, max(ANSWERS // 20, 1))
