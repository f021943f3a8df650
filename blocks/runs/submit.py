"""Submit once from a flow run or a script, with a key by which a retry of the run finds its job."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from math import inf
from pathlib import Path
from uuid import UUID, uuid4

from blocks.reporting.events import tell, tell_unknown
from blocks.runs.caller_keys import store_of
from blocks.runs.job_run import JobCredentials, RemoteJobRun
from blocks.runs.resumed import is_resumed
from blocks.runs.root_run import root_run_id, tag_run
from blocks.runs.store import RunStore
from blocks.runs.submission_numbers import number_in_run
from graphql_jobs import (
    JobClient,
    JobHandle,
    JobSpec,
    Label,
    LocalStore,
    OnUnknown,
    Store,
    WaitPolicy,
    checked_caller_key,
    submission_key,
    submit_once,
)
from graphql_jobs.errors import SubmissionUnknown

_of_this_process = LocalStore()


async def submit_from_here(
    credentials: JobCredentials,
    client: JobClient,
    spec: JobSpec,
    *,
    key: str | None = None,
    on_unknown: OnUnknown = "fail",
    force_resubmit: bool = False,
    wait_at_most_s: float = inf,
    has_result: Callable[[JobHandle], bool] | None = None,
    is_one_of_many: bool = False,
) -> JobHandle:
    """Submit the job of `key`, or of this call in this flow run, once. Raises what `graphql_jobs.submit_once` raises.

    Without `key`, equal specs are numbered: the second submission in an attempt is a second job, and a retry of the run
    adopts both. Outside a flow run, each call without `key` is a new job, and a `key` is known until the process ends.
    Equal jobs that are submitted in other processes (Dask, Ray) cannot be numbered: give each a key. A run that was
    resumed adopts its job also if it failed: its flow decides what follows. In a run, the submission is an event. A
    job that is adopted is one again, with the same id, unless it `is_one_of_many`: Prefect's server (3.9.1, SQLite)
    fails to store events if it has all of them already.
    """
    began_at = client.session.clock.now()
    run_id = await root_run_id()
    if run_id:
        await tag_run(run_id)
    submission, store = await _key_and_store(client, spec, key, run_id)
    try:
        handle = await submit_once(
            client,
            spec,
            store,
            Label(submission, str(run_id or "")),
            credentials=getattr(credentials, "_block_document_name", None) or "",
            on_unknown=on_unknown,
            force_resubmit=force_resubmit,
            wait_at_most_s=wait_at_most_s,
            adopt_failed=partial(is_resumed, run_id) if run_id else None,
            has_result=has_result,
        )
    except SubmissionUnknown as unknown:
        tell_unknown(unknown, client.session.url, run_id)
        raise
    if not (is_one_of_many and was_submitted_before(handle, began_at)):
        tell("submitted", handle, run_id)
    return handle


def was_submitted_before(handle: JobHandle, began_at: float) -> bool:
    """Whether an earlier attempt or another process submitted the job."""
    return bool(handle.submitted_at and handle.submitted_at.timestamp() < began_at)


async def _key_and_store(client: JobClient, spec: JobSpec, key: str | None, run_id: UUID | None) -> tuple[str, Store]:
    """Return the submission's key, which is the same in each retry of the root run, and the store with its entries."""
    at = (client.provider, client.session.url, client.account, spec.operation)
    if key is not None:
        submission = submission_key(*at, "key", checked_caller_key(key))
        return submission, (await store_of(submission, run_id) if run_id else _of_this_process)
    if run_id is None:  # a retry cannot be distinguished from a new call
        return submission_key(*at, "call", uuid4().hex), LocalStore()
    same = submission_key(*at, json.dumps(spec.summary("")))
    number = await number_in_run(same, run_id)
    return submission_key(*at, "run", str(run_id), same, str(number)), RunStore(run_id)


async def start(credentials: JobCredentials, spec: JobSpec, policy: WaitPolicy, folder: Path) -> RemoteJobRun:
    """Submit `spec` for a job block, and return the run to wait for."""
    async with credentials.get_client() as client:
        handle = await submit_from_here(credentials, client, spec, wait_at_most_s=policy.deadlines.total_s)
        return RemoteJobRun(credentials, handle, policy, folder)
