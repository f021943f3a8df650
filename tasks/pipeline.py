"""The steps of every flow that submits a job: submit, wait, fetch the result, start downstream deployments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from blocks.load import ProviderName, load_credentials
from blocks.reporting.reporter import report_result
from blocks.reporting.words import success
from blocks.runs.root_run import root_run_id
from blocks.runs.suspended_wait import OnFailure
from graphql_jobs import JobSpec, OnUnknown, WaitPolicy, require_success
from graphql_jobs.errors import InvalidInput, WaitTimedOut
from tasks.cancelling.layers import cancelling_with_the_run
from tasks.downstream import start_downstream
from tasks.downstream_check import job_samples, require_downstream
from tasks.fetch import fetch_result
from tasks.outcome import outcome_of
from tasks.parameters import OnTimeout
from tasks.run_state import succeeded_with
from tasks.submit import submit_job
from tasks.suspending.suspend import SUSPEND_AFTER_S
from tasks.timeout import after_timeout
from tasks.wait import wait_for_job


@dataclass(frozen=True, slots=True)
class JobOptions:
    """The parameters of a flow for the submission of its job and for a job that is late."""

    key: str | None = None
    on_unknown: OnUnknown = "fail"
    force_resubmit: bool = False
    on_timeout: OnTimeout = "leave"
    suspend: bool = False
    suspend_after_s: float = SUSPEND_AFTER_S
    on_failure: OnFailure = "resume"

    def __post_init__(self) -> None:
        if self.suspend and self.on_failure == "fail" and self.on_timeout == "cancel":
            raise InvalidInput("on_failure", "with 'fail' no process starts, which on_timeout 'cancel' needs.")


async def run_to_the_end(
    provider: ProviderName,
    credentials: str,
    spec: JobSpec,
    policy: WaitPolicy,
    downstream: Sequence[str],
    options: JobOptions,
    folder: Path | None = None,
    *,
    may_repeat: bool = False,
) -> dict[str, Any]:
    """Submit, wait, fetch and hand over. Return the `outcome`, in the state in which the run ends.

    Before that, check that each downstream deployment takes the outcome, and load the credentials block.
    A retry of the run adopts the job of the first attempt. One session stays open, so the steps share connections and
    token. A person's cancel of the run cancels the job.
    """
    await require_downstream(downstream, job_samples(provider, may_repeat=may_repeat))
    block = await load_credentials(provider, credentials)
    async with block.get_client(), cancelling_with_the_run():
        handle = await submit_job(
            block, spec, options.key, options.on_unknown, options.force_resubmit, policy.deadlines.total_s
        )
        try:
            ended = await wait_for_job(
                block,
                handle,
                policy,
                suspend=options.suspend,
                suspend_after_s=options.suspend_after_s,
                on_failure=options.on_failure,
            )
            job = require_success(ended)
        except WaitTimedOut as timeout:
            raise await after_timeout(timeout, block, handle, options.on_timeout) from None
        result = await fetch_result(block, handle, job, folder, policy)
        finished = outcome_of(handle, job, result)
        runs: dict[str, UUID] = {}
        try:
            started = await start_downstream(downstream, handle.provider, handle.endpoint, [finished])
            runs = dict(zip(dict.fromkeys(downstream), started, strict=True))
        finally:  # the result is in the report, also if a deployment cannot be started
            await report_result(handle, job, await root_run_id(), result, runs)
        return succeeded_with(finished, success(job, handle, len(runs)))
