"""Clean up after a cancelled flow run: cancel the jobs that it left running at their provider."""

from __future__ import annotations

from uuid import UUID

from prefect import flow

from graphql_jobs.errors import InvalidInput
from tasks.cancelling.layers import clean_up_after
from tasks.forms import with_form
from tasks.names import name_of_run, named_after
from tasks.run_state import ends_in_a_state

_RESOURCE_PREFIX = "prefect.flow-run."


def _run_id(cancelled_run: str) -> UUID:
    try:
        return UUID(cancelled_run.strip().removeprefix(_RESOURCE_PREFIX))
    except ValueError:
        raise InvalidInput("cancelled_run", f"{cancelled_run[:80]!r} is not the id of a flow run.") from None


@with_form(
    cancelled_run="Cancelled flow run",
)
@flow(
    name="cancel-remote-jobs",
    flow_run_name=named_after(lambda given: f"clean up after {name_of_run(_run_id(given['cancelled_run']))}"),
    retries=0,
    validate_parameters=False,
)
@ends_in_a_state
async def cancel_remote_jobs(cancelled_run: str) -> list[str]:
    """Cancel the remote jobs of a flow run that a person cancelled. An automation starts this for every such run.

    Does nothing if no person cancelled the run. The message of the cancelled run's state lists the results.

    Args:
        cancelled_run: Id of the flow run, from its address in the UI, or prefect.flow-run.<id>, from an event.

    Returns:
        A sentence for each job: it was cancelled, or why it was left running.
    """
    return await clean_up_after(_run_id(cancelled_run))
