"""Start downstream deployments, each once for the same jobs, by idempotency key, also if the run is retried."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import arun_deployment

from blocks.api import persistent
from blocks.runs.root_run import root_run_id
from blocks.runs.store import RunStore
from graphql_jobs import JobState
from tasks.job_task import job_task
from tasks.outcome import JOBS_PARAMETER, HandOverFailed, fitting, known_as

#: Our choice: a validation message of Prefect's server has a few hundred characters.
_MAX_CAUSE = 2_000
#: The prefix of the names of entries about hand-overs.
_PREFIX = "gqh-"


async def start_downstream(
    deployments: Sequence[str],
    provider: str,
    endpoint: str,
    finished: Sequence[dict[str, Any]],
    scope: Sequence[object] = (),
) -> list[UUID]:
    """Start each deployment once for these outcomes. Return the ids of their runs.

    With `scope`, plain JSON, this flow run hands over once per scope, even if a retry ends with other outcomes first.
    A deployment that cannot be started does not stop the others. Raises `HandOverFailed`, which names them all.
    """
    started: list[UUID] = []
    problems: list[str] = []
    parameters = {JOBS_PARAMETER: fitting(finished)}
    for deployment in dict.fromkeys(deployments):
        key = downstream_key(deployment, provider, endpoint, finished)
        try:
            if scope:
                key = await key_of_hand_over(key, [deployment, provider, endpoint, *scope], finished)
            started.append(await start_deployment(deployment, parameters, key))
        except Exception as error:  # any error of Prefect's client: deleted, refused, unreachable
            problems.append(f"{deployment}: {cause_of(error)}")
    if problems:
        raise HandOverFailed(provider, [known_as(entry) for entry in finished], problems)
    return started


@job_task(name="start deployment", task_run_name="start {deployment}", cache_policy=NO_CACHE, retries=0)
async def start_deployment(deployment: str, parameters: dict[str, Any], key: str) -> UUID:
    """Start `deployment` ("flow/name") with `parameters`, once per `key`. Return the id of its run.

    A second start with the same key, from any process at any time, returns the first run (guarantee 8).
    """
    run = await started(deployment, parameters, key)
    get_run_logger().info("Started %s: run %s (%s).", deployment, run.name, run.id)
    return run.id


async def started(deployment: str, parameters: dict[str, Any], key: str) -> FlowRun:
    """Return the run of `deployment` for `key`: the task above, for callers outside a run."""
    return await persistent(partial(arun_deployment, deployment, parameters=parameters, idempotency_key=key, timeout=0))


def downstream_key(deployment: str, provider: str, endpoint: str, outcomes: Sequence[Mapping[str, Any]]) -> str:
    """Return the idempotency key with which `deployment` starts once for these outcomes (guarantee 8).

    The key contains the jobs and their states, so a job that was handed over as UNKNOWN is handed over again
    once it has ended. A job that repeats an earlier one, whose result was no longer available, counts as the earlier.
    """
    jobs = {f"{known_as(outcome)} {outcome['state']}" for outcome in outcomes}
    text = "\n".join([deployment, provider, endpoint, *sorted(jobs)])
    return f"graphql-jobs-{hashlib.sha256(text.encode()).hexdigest()[:40]}"


async def key_of_hand_over(key: str, scope: Sequence[object], finished: Sequence[Mapping[str, Any]]) -> str:
    """Return the idempotency key for this run's hand-over of `finished`: `key`, or its earlier key in `scope`.

    `scope` is plain JSON that is the same in each retry of the run. A run that waits for the first success may find
    another first success in a retry, and must not start downstream twice. But outcomes that were handed over while the
    end of a job was not known are handed over again once it is known.
    """
    run_id = await root_run_id()
    if run_id is None:
        return key
    store = RunStore(run_id)
    name = f"{_PREFIX}{hashlib.sha256(json.dumps(scope).encode()).hexdigest()[:32]}"
    ended = {known_as(outcome) for outcome in finished if outcome["state"] != JobState.UNKNOWN}
    not_known = sorted({known_as(outcome) for outcome in finished} - ended)
    while True:
        entries = await store.read(name)
        last = entries[-1] if entries else {}
        if "key" in last and ended.isdisjoint(last.get("not_known", ())):
            return str(last["key"])
        if await store.append(name, len(entries), {"key": key, "not_known": not_known}):
            return key


def cause_of(error: Exception) -> str:
    """Return why a run could not be started: the message of Prefect's server if it sent one.

    The message may repeat the parameters, so a long one is cut in the middle.
    """
    words = f"{type(error).__name__}: {error}"
    if isinstance(error, httpx.HTTPStatusError):
        words = f"HTTP {error.response.status_code}: {_said_by(error.response)}"
    words = " ".join(words.split())
    return words if len(words) <= _MAX_CAUSE else f"{words[: _MAX_CAUSE // 2]} ... {words[-_MAX_CAUSE // 2 :]}"


def _said_by(response: httpx.Response) -> str:
    try:
        answer = response.json()
    except ValueError:
        return response.text
    said = answer.get("detail") or answer.get("exception_detail") if isinstance(answer, dict) else None
    return said if isinstance(said, str) else json.dumps(said or answer)
