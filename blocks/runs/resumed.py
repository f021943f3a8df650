"""Whether the current attempt of a flow run was resumed, so that its flow runs again from its top."""

from __future__ import annotations

from uuid import UUID

from blocks.api import ask

#: Prefect's name of the state of a run that was resumed and has no worker yet.
RESUMING = "Resuming"
#: Prefect's names of the states in which a run waits for its turn.
_IN_LINE = frozenset({"Late", "AwaitingConcurrencySlot"})


async def is_resumed(run_id: UUID) -> bool:
    """Whether the run was resumed, and not retried since then."""
    states = await ask(lambda client: client.read_flow_run_states(run_id))
    scheduled = [state for state in states if state.is_scheduled() and state.name not in _IN_LINE]
    return bool(scheduled) and max(scheduled, key=lambda state: state.timestamp).name == RESUMING
