"""Create a run of the sensor that is suspended from the start: no process starts before its jobs have ended."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ObjectNotFound
from prefect.states import Suspended

from blocks.api import ask
from blocks.fields import GIVE_UP_AFTER_S, wait_policy
from blocks.load import ProviderName, load_credentials
from blocks.runs.root_run import TAG
from blocks.runs.suspended_wait import FIRST_PAUSE, SuspendedWait, read_suspension
from graphql_jobs.errors import InvalidInput
from tasks.suspending.suspend import expires_after_s

_LIMITS = inspect.signature(wait_policy).parameters


async def create_suspended_run(
    provider: ProviderName,
    job_ids: Sequence[str],
    credentials: str | None = None,
    *,
    idempotency_key: str | None = None,
    deployment: str = "wait-for-jobs/wait-for-jobs",
    **parameters: Any,
) -> FlowRun:
    """Create a run of the sensor `deployment` that waits for these jobs and is suspended from the start.

    A watcher (`flows/watch_suspended_runs.py`) resumes the run when the jobs have ended. `parameters` are further ones
    of the flow, such as `downstream` or `give_up_after_s`. Each call creates a run; a second call with the same
    `idempotency_key` returns the first run. Raises `InvalidInput` for a malformed id, a block or a deployment that does
    not exist; Prefect's client raises its own error for a wrong parameter.
    """
    try:
        found = await ask(lambda client: client.read_deployment_by_name(deployment))
    except ObjectNotFound:
        raise InvalidInput("deployment", f"there is no deployment {deployment!r}.") from None
    asked = {"provider": provider, "job_ids": list(job_ids), "credentials": credentials, "suspend": True} | parameters
    all_of_them: dict[str, Any] = {"give_up_after_s": GIVE_UP_AFTER_S} | found.parameters | asked
    name = all_of_them.get("credentials") or provider
    block = await load_credentials(provider, name)
    async with block.get_client() as client:
        jobs = [client.handle(job_id, "job_ids") for job_id in job_ids]
    if not jobs:
        raise InvalidInput("job_ids", "the list is empty.")
    wait = SuspendedWait(
        provider=provider,
        credentials=name,
        jobs=jobs,
        policy=wait_policy(**{limit: all_of_them[limit] for limit in _LIMITS if limit in all_of_them}),
        until=all_of_them.get("until", "all ended"),
        on_failure=all_of_them.get("on_failure", "resume"),
    )
    key = idempotency_key or uuid4().hex  # a request whose response is lost is sent again
    state: State[Any] = Suspended(timeout_seconds=expires_after_s(wait.policy), pause_key=FIRST_PAUSE)
    run = await ask(
        lambda client: client.create_flow_run_from_deployment(
            found.id, parameters=found.parameters | asked, state=state, tags=[TAG], idempotency_key=key
        )
    )
    suspension = await read_suspension(run.id)
    if not suspension.has_wait:  # it was just created, or an earlier call was interrupted
        await suspension.suspend(wait)
    return run
