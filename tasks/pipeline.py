"""What all flows have in common: check the parameters, run a job to its end, and start what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import get_run_logger

from blocks.runs.job_run import JobCredentials
from blocks.runs.store import RunStore, root_run_id
from graphql_jobs import JobSpec, OnUnknown, WaitPolicy, require_success
from graphql_jobs.errors import InvalidInput, JobNotFound, WaitTimedOut
from tasks.cancelling.layers import cancelling_with_the_run
from tasks.downstream import (
    HandOverFailed,
    cause_of,
    downstream_key,
    known_as,
    require_deployments,
    start_deployment,
)
from tasks.fetch import fetch_result
from tasks.handed_over import key_of_hand_over
from tasks.outcome import fitting, outcome_of
from tasks.samples import Samples
from tasks.submit import submit_job
from tasks.timeout import OnTimeout, after_timeout
from tasks.wait import wait_for_job

#: The parameter through which a downstream flow gets the finished jobs, a list of `outcome`s.
JOBS_PARAMETER = "jobs"

_WAY_OUT = (
    "Run again, this run would look for it again: if it is gone for good, submit it anew in a new run (with "
    "force_resubmit, if it has a key of its own)."
)


@dataclass(frozen=True, slots=True)
class Care:
    """What the caller decides about a job besides what it is and how long it may take: parameters of the flows."""

    key: str | None = None
    on_unknown: OnUnknown = "fail"
    force_resubmit: bool = False
    on_timeout: OnTimeout = "leave"


async def run_to_the_end(
    credentials: JobCredentials,
    spec: JobSpec,
    policy: WaitPolicy,
    folder: Path | None,
    downstream: Sequence[str],
    care: Care = Care(),
) -> dict[str, Any]:
    """Submit, wait, fetch and hand over. Gives the `outcome`. A run that is run again goes on with the job that it has.

    One session stays open throughout, so that the steps share their connections and their token. A person's cancel
    cancels the job.
    """
    async with credentials.get_client(), cancelling_with_the_run():
        handle = await submit_job(
            credentials, spec, care.key, care.on_unknown, care.force_resubmit, policy.deadlines.total_s
        )
        try:
            job = require_success(await wait_for_job(credentials, handle, policy))
        except JobNotFound as lost:
            raise JobNotFound(lost.provider, lost.job_id, f"{lost.detail} {_WAY_OUT}") from None
        except WaitTimedOut as timeout:
            raise await after_timeout(timeout, credentials, handle, care.on_timeout) from None
        result = await fetch_result(credentials, handle, job, folder, policy)
        finished = outcome_of(handle, job, result)
        await start_downstream(downstream, handle.provider, handle.endpoint, [finished])
        return finished


async def require_downstream(deployments: Sequence[str], samples: Samples) -> None:
    """Raise `InvalidInput` unless each deployment takes outcomes like these.

    Not if an earlier attempt of this run has submitted a job: that may be done by now, so that a misfit is told by the
    hand-over, and not as "nothing was sent".
    """
    try:
        await require_deployments(deployments, "downstream", JOBS_PARAMETER, samples)
    except InvalidInput as misfit:
        if not await _was_submitted_before():
            raise
        get_run_logger().warning("%s An earlier attempt has submitted, so this run goes on.", misfit.problem)


async def _was_submitted_before() -> bool:
    run_id = await root_run_id()
    if run_id is None:
        return False
    store = RunStore(run_id)
    own = await store.read_all()
    return any(entries[-1].get("kind") != "void" for entries in own.values()) or bool(await store.references())


async def start_downstream(
    deployments: Sequence[str],
    provider: str,
    endpoint: str,
    finished: Sequence[dict[str, Any]],
    scope: Sequence[object] = (),
) -> list[UUID]:
    """Start each deployment once for these outcomes, and give the ids of the runs.

    With `scope`, plain JSON, the run hands over once in it, also if it is run again and other outcomes come first then.
    One that cannot be started keeps no other from it. Raises `HandOverFailed` that names all which could not.
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
        except Exception as error:  # whatever Prefect's client raises: gone, refused, unreachable
            problems.append(f"{deployment}: {cause_of(error)}")
    if problems:
        raise HandOverFailed([known_as(entry) for entry in finished], problems)
    return started
