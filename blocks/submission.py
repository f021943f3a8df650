"""Submitting once from a flow run, or from a script."""

from __future__ import annotations

import json
from math import inf
from pathlib import Path
from uuid import UUID, uuid4

from prefect.context import FlowRunContext
from prefect.runtime import flow_run

from blocks.job_run import JobCredentials, RemoteJobRun
from blocks.memory import RunMemory, memory_of
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
    of a `key` lasts as long as the process.
    """
    run_id = UUID(flow_run.id) if flow_run.id else None
    place = (client.provider, client.session.url, client.account, spec.operation)
    memory: Memory = RunMemory(run_id) if run_id else LocalMemory()
    if key is not None:
        submission = submission_key(*place, "key", checked_caller_key(key))
        memory = await memory_of(submission, run_id) if run_id else _of_this_process
    else:
        digest = submission_key("", "", "", "", json.dumps(spec.summary("")))
        # Outside a flow run nothing says that a call is another attempt at an earlier one.
        what = (*place, "run", str(run_id or uuid4()), digest)
        submission = submission_key(*what, str(_occurrence(submission_key(*what))))
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


def _occurrence(what: str) -> int:
    """How often this attempt of the run has submitted the same before. Prefect counts calls of tasks the same way."""
    context = FlowRunContext.get()
    if context is None:
        return 0
    counts = context.task_run_dynamic_keys
    counts[what] = int(counts.get(what, -1)) + 1
    return int(counts[what])
