"""Submitting once from a flow run, or from a script."""

from __future__ import annotations

import json
from functools import lru_cache
from math import inf
from pathlib import Path
from threading import Lock
from uuid import UUID, uuid4

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext, TaskRunContext

from blocks.job_run import JobCredentials, RemoteJobRun
from blocks.memory import RunMemory, memory_of, root_run_id
from graphql_jobs import (
    JobClient,
    JobHandle,
    JobSpec,
    Label,
    LocalMemory,
    Memory,
    OnUnknown,
    WaitPolicy,
    checked_caller_key,
    submission_key,
    submit_once,
)

_of_this_process = LocalMemory()


async def submit_from_here(
    credentials: JobCredentials,
    client: JobClient,
    spec: JobSpec,
    *,
    key: str | None = None,
    on_unknown: OnUnknown = "fail",
    force_resubmit: bool = False,
    wait_at_most_s: float = inf,
) -> JobHandle:
    """The one job of `key`, or of this place in this flow run: `graphql_jobs.submit_once`, which says what it raises.

    Without `key`, the same spec that is submitted a second time in one attempt of a run is a second job; across
    attempts the first is the first. Outside a flow run, each call without `key` is a job of its own, and what is known
    of a `key` lasts as long as the process. Give equal jobs that are submitted in other processes (Dask, Ray) a key
    each: they cannot be counted.
    """
    run_id = await root_run_id()
    at = (client.provider, client.session.url, client.account, spec.operation)
    memory: Memory = RunMemory(run_id) if run_id else LocalMemory()
    if key is not None:
        submission = submission_key(*at, "key", checked_caller_key(key))
        memory = await memory_of(submission, run_id) if run_id else _of_this_process
    elif run_id:
        same = submission_key(*at, json.dumps(spec.summary("")))
        submission = submission_key(*at, "run", str(run_id), same, str(_number(same, await _attempt(run_id))))
    else:  # nothing says that a call is another attempt at an earlier one
        submission = submission_key(*at, "call", uuid4().hex)
    return await submit_once(
        client,
        spec,
        memory,
        Label(submission, str(run_id or "")),
        credentials=getattr(credentials, "_block_document_name", None) or "",
        on_unknown=on_unknown,
        force_resubmit=force_resubmit,
        wait_at_most_s=wait_at_most_s,
    )


async def start(credentials: JobCredentials, spec: JobSpec, policy: WaitPolicy, folder: Path) -> RemoteJobRun:
    """Submit `spec` and give the run to wait for. What all job blocks do."""
    async with credentials.get_client() as client:
        handle = await submit_from_here(credentials, client, spec, wait_at_most_s=policy.deadlines.total_s)
        return RemoteJobRun(credentials, handle, policy, folder)


async def _attempt(run_id: UUID) -> str:
    """Which run, and which attempt at it."""
    context = FlowRunContext.get()
    if context and context.flow_run and context.flow_run.id == run_id:
        return f"{run_id} {context.flow_run.run_count}"
    async with get_client() as client:
        return f"{run_id} {(await client.read_flow_run(run_id)).run_count}"


#: Prefect runs what is submitted to its task runner in threads, all of which count in the same place.
_counting = Lock()


class _Given:
    """The numbers that one attempt at a run gave to equal submissions, and to whom."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[str, ...], int] = {}
        self.next: dict[str, int] = {}


@lru_cache(maxsize=1000)
def _given_in(attempt: str) -> _Given:
    return _Given()


def _number(digest: str, attempt: str) -> int:
    """How many equal submissions came before this one in this attempt at the run.

    Equal jobs may change places from one attempt to the next: only their number counts. So an inner flow, which gets a
    new id when the outer one is run again, finds its job. But a task or an inner flow that Prefect tries again within
    the attempt gets the number that it had.
    """
    with _counting:
        return _counted(digest, attempt, FlowRunContext.get(), TaskRunContext.get())


def _counted(digest: str, attempt: str, flow: FlowRunContext | None, task: TaskRunContext | None) -> int:
    # Prefect makes this dictionary of counters anew whenever it tries a flow again.
    counts = flow.task_run_dynamic_keys if flow else {}
    in_task = f"{digest} {task.task_run.id if task else ''}"
    in_try = f"{in_task} try {task.task_run.run_count if task else 0}"
    counts[in_try] = int(counts.get(in_try, -1)) + 1
    call = f"{in_task} call {counts[in_try]}"
    if call not in counts:  # else the same call of a task that is tried again
        counts[digest] = counts[call] = int(counts.get(digest, -1)) + 1
    given = _given_in(attempt)
    who = (digest, str(flow.flow_run.id) if flow and flow.flow_run else uuid4().hex, str(counts[call]))
    if who not in given.numbers:
        given.numbers[who] = given.next.get(digest, 0)
        given.next[digest] = given.numbers[who] + 1
    return given.numbers[who]
