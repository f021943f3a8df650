"""Whether a person cancelled a flow run. A worker that shuts down looks similar."""

from __future__ import annotations

from uuid import UUID

from prefect.client.schemas.objects import State, StateType

from blocks.api import ask

#: The name of the state of a run whose job was cancelled at the provider.
CANCELLED_AT_PROVIDER = "JobCancelled"
#: The name of the state of a run that a person cancelled and that left a job running.
JOB_RUNS = "CancelledJobRuns"
#: The message that Prefect's runner writes when it shuts down (prefect/runner/_cancellation_manager.py).
_SHUT_DOWN = "Runner is shutting down."


def by_a_person(state: State | None) -> bool:
    """Whether a person cancelled, and not a runner that shuts down or a job that was cancelled at its provider."""
    if state is None or state.type not in {StateType.CANCELLING, StateType.CANCELLED}:
        return False
    return state.message != _SHUT_DOWN and state.name != CANCELLED_AT_PROVIDER


async def is_cancelled_by_a_person(run_id: UUID) -> bool:
    """Whether a person has cancelled the run, by its state in the API."""
    return by_a_person((await ask(lambda client: client.read_flow_run(run_id))).state)
