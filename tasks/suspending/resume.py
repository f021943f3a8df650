"""Resume a suspended run whose jobs have ended, once, or end it without a process."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Cancelling, Failed

from blocks.api import ask
from blocks.runs.cancelled_by_person import by_a_person
from tasks.run_state import overall_state
from tasks.until import Ended

logger = logging.getLogger(__name__)

#: Prefect's names of the states of a run that is suspended, and of one that was resumed and has no worker yet.
SUSPENDED = "Suspended"
RESUMING = "Resuming"
#: The name of the state of a run whose jobs have ended and that Prefect does not resume.
CANNOT_RESUME = "CannotResume"


def is_suspended(run: FlowRun) -> bool:
    """Whether the run is suspended. Prefect's other paused runs keep their process."""
    return run.state is not None and run.state.is_paused() and run.state.name == SUSPENDED


def state_id(run: FlowRun) -> UUID:
    """Return the id of the run's state, which is new in each suspension."""
    assert run.state  # noqa: S101 (it is suspended)
    return run.state.id


async def still_suspended(run: FlowRun) -> FlowRun | None:
    """Return the current run, or None if it was resumed, ended or deleted since it was read."""
    try:
        now = await ask(lambda client: client.read_flow_run(run.id))
    except ObjectNotFound:
        return None
    return now if _same(now, run) else None


async def resume(run: FlowRun) -> bool:
    """Resume the run. Return False if it is no longer suspended or its deployment no longer exists."""

    async def once(client: PrefectClient) -> OrchestrationResult[object] | None:
        now = await client.read_flow_run(run.id)  # before each attempt: an earlier one may have succeeded
        return await client.resume_flow_run(run.id) if _same(now, run) else None

    try:
        result = await ask(once)
        if result and result.status == SetStateStatus.REJECT:
            await _cannot_resume(run, getattr(result.details, "reason", None) or "no reason was given")
            return False
        await settle(run)
    except ObjectNotFound:
        return False
    return bool(result)


async def settle(run: FlowRun) -> None:
    """Complete a resumption. It is safe to repeat this if a watcher was killed in between.

    Prefect does not count the first execution of a run that was created suspended, and would rerun it if it fails.
    """
    if run.run_count == 0 and run.empirical_policy:
        policy = run.empirical_policy.model_copy(update={"resuming": False})
        await ask(lambda client: client.update_flow_run(run.id, empirical_policy=policy))
    await keep_cancelled(run.id, str(state_id(run)))


async def end(run: FlowRun, outcomes: Mapping[str, Ended]) -> State[object] | None:
    """End the run without a process, in the state that its flow would have returned. None if all jobs succeeded."""
    state = overall_state(outcomes)
    if state is None:
        return None
    state = State(type=state.type, name=state.name, message=state.message)
    if now := await still_suspended(run):
        await ask(lambda client: client.set_flow_run_state(now.id, state))
        await keep_cancelled(run.id, str(state_id(run)))
    return state


async def keep_cancelled(run_id: UUID, suspended_state_id: str) -> None:
    """Cancel the run again if a person cancelled it at the instant when it was resumed or ended.

    On PostgreSQL, Prefect's server may accept both, and then rerun a cancelled run. `suspended_state_id` is
    the state from which the run was resumed.
    """
    states = await ask(lambda client: client.read_flow_run_states(run_id))
    suspended_at = next((one.timestamp for one in states if str(one.id) == suspended_state_id), None)
    if suspended_at is None or not any(by_a_person(one) for one in states if one.timestamp >= suspended_at):
        return
    await ask(partial(_cancel, run_id))


async def _cancel(run_id: UUID, client: PrefectClient) -> None:
    state = (await client.read_flow_run(run_id)).state
    if state is None or state.is_cancelled() or state.is_cancelling():
        return
    if state.is_pending() or state.is_running():  # its worker ends the process
        await client.set_flow_run_state(run_id, Cancelling())
    else:
        await client.set_flow_run_state(run_id, Cancelled(), force=True)
    logger.info("Run %s was cancelled at the instant when it was resumed. It stays cancelled.", run_id)


async def _cannot_resume(run: FlowRun, reason: str) -> None:
    """Fail a run that Prefect does not resume. Otherwise it would stay suspended permanently."""
    message = f"The jobs have ended, but Prefect does not resume this run: {reason} Start a new run for the result."
    if await still_suspended(run):
        await ask(lambda client: client.set_flow_run_state(run.id, Failed(name=CANNOT_RESUME, message=message)))


def _same(now: FlowRun, before: FlowRun) -> bool:
    """Whether the run is still in the same suspension."""
    return is_suspended(now) and state_id(now) == state_id(before)
