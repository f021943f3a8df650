"""Resume a suspended run whose jobs have ended, once, or end it without a process."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Cancelling, Failed

from blocks.api import ask
from blocks.runs.cancelled_by_person import by_a_person
from blocks.runs.suspended_wait import is_pause_key

logger = logging.getLogger(__name__)

#: Prefect's name of the state of a run that is suspended.
SUSPENDED = "Suspended"
#: Prefect's names of the states of a run that a person starts again: by its command line, and in its UI.
_RESTARTED = frozenset({"Scheduled", "AwaitingRetry"})
#: The name of the state of a run whose jobs have ended and that Prefect does not resume.
CANNOT_RESUME = "CannotResume"

Result = OrchestrationResult[object]


class SuspendedRun(NamedTuple):
    """What a watcher keeps of a suspended run: ten thousand runs in Prefect's own form take 80 MB."""

    id: UUID
    name: str
    #: The id of its state, which is new in each suspension, and the key of the pause.
    state_id: UUID
    pause_key: str | None
    #: Epoch seconds.
    suspended_at: float
    #: 0 for a run that was created suspended.
    run_count: int
    deployment_id: UUID | None

    @classmethod
    def of(cls, run: FlowRun) -> SuspendedRun:
        """Return it for a run that is suspended, or was resumed just now."""
        state = run.state
        assert state  # noqa: S101 (it has one)
        return cls(
            run.id,
            run.name,
            state.id,
            state.state_details.pause_key,
            state.timestamp.timestamp(),
            run.run_count,
            run.deployment_id,
        )


def is_suspended(run: FlowRun) -> bool:
    """Whether the run is suspended for its jobs.

    Prefect's paused runs keep their process. A run that a person or its flow suspended waits for a person.
    """
    state = run.state
    if state is None or not (state.is_paused() and state.name == SUSPENDED):
        return False
    return is_pause_key(state.state_details.pause_key)


async def still_suspended(run: SuspendedRun) -> bool:
    """Whether the run is in the same suspension, and was not resumed, ended or deleted since it was read."""
    try:
        return _same(await ask(lambda client: client.read_flow_run(run.id)), run)
    except ObjectNotFound:
        return False


async def resume(run: SuspendedRun) -> bool:
    """Have a worker run the flow again. False if the run is suspended no more, or has no deployment any more."""
    result, refusal = None, "its deployment was deleted."
    if await _has_deployment(run):
        result = await _if_suspended(run, lambda client: client.resume_flow_run(run.id))
        refused = result is not None and result.status == SetStateStatus.REJECT
        refusal = getattr(result.details, "reason", None) or "no reason was given." if result and refused else ""
    if refusal:
        message = f"The jobs have ended, but Prefect cannot resume this run: {refusal} Start a new run for the result."
        # Nobody else could resume it either, and it would stay suspended.
        await end(run, Failed(name=CANNOT_RESUME, message=message))
    await settle(run)
    return _accepted(result)


async def _has_deployment(run: SuspendedRun) -> bool:
    """Prefect would accept the resumption of a run whose deployment was deleted, and no worker would run it."""
    deployment_id = run.deployment_id
    if deployment_id is None:
        return False
    try:
        await ask(lambda client: client.read_deployment(deployment_id))
    except ObjectNotFound:
        return False
    return True


async def end(run: SuspendedRun, state: State[object]) -> bool:
    """End the run without a process. False if it is suspended no more."""
    bare = State(type=state.type, name=state.name, message=state.message)
    result = await _if_suspended(run, lambda client: client.set_flow_run_state(run.id, bare))
    await keep_cancelled(run.id)
    return _accepted(result)


async def settle(run: SuspendedRun) -> None:
    """Complete a resumption. It is safe to repeat this if a watcher was killed in between.

    Prefect does not count the first execution of a run that was created suspended, and would rerun it if it fails.
    """
    if run.run_count == 0:
        await ask(partial(_count_first_execution, run.id))
    await keep_cancelled(run.id)


async def keep_cancelled(run_id: UUID) -> bool:
    """Cancel the run again if a person cancelled it at the same instant at which it was resumed or ended.

    On PostgreSQL, Prefect's server may accept both, so that a cancelled run would be run again. A run that a person
    started again after the cancel goes on. Returns whether the run is cancelled.
    """
    states = sorted(await ask(lambda client: client.read_flow_run_states(run_id)), key=lambda one: one.timestamp)
    is_cancelled = False
    for state in states:
        if state.name == SUSPENDED or state.name in _RESTARTED:
            is_cancelled = False
        is_cancelled |= by_a_person(state)
    if is_cancelled:
        await ask(partial(_cancel, run_id))
    return is_cancelled


async def _count_first_execution(run_id: UUID, client: PrefectClient) -> None:
    policy = (await client.read_flow_run(run_id)).empirical_policy
    await client.update_flow_run(run_id, empirical_policy=policy.model_copy(update={"resuming": False}))


async def _cancel(run_id: UUID, client: PrefectClient) -> None:
    state = (await client.read_flow_run(run_id)).state
    if state is None or state.is_cancelled() or state.is_cancelling():
        return
    if state.is_pending() or state.is_running():  # its worker ends the process
        await client.set_flow_run_state(run_id, Cancelling())
    else:
        await client.set_flow_run_state(run_id, Cancelled(), force=True)
    logger.info("Run %s was cancelled at the instant when it was resumed. It stays cancelled.", run_id)


async def _if_suspended(run: SuspendedRun, change: Callable[[PrefectClient], Awaitable[Result]]) -> Result | None:
    """Change the state of the run. The run is read before each try, since an earlier one may have changed it."""

    async def once(client: PrefectClient) -> Result | None:
        return await change(client) if _same(await client.read_flow_run(run.id), run) else None

    return await ask(once)


def _accepted(result: Result | None) -> bool:
    return result is not None and result.status == SetStateStatus.ACCEPT


def _same(now: FlowRun, before: SuspendedRun) -> bool:
    """Whether the run is still in the same suspension."""
    return is_suspended(now) and now.state is not None and now.state.id == before.state_id
