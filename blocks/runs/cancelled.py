"""Whether a person cancelled a flow run, and the tag of runs that submit jobs."""

from __future__ import annotations

import logging
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import State, StateType
from prefect.context import FlowRunContext

from blocks.api import ask

logger = logging.getLogger(__name__)

#: The tag of all deployments of this project, and of every run that submits a job: `reap-orphans` goes by it.
TAG = "graphql-jobs"
#: The name of the state of a run whose job somebody cancelled at the provider.
CANCELLED_AT_PROVIDER = "JobCancelled"
#: What Prefect's runner writes when it is stopped: that is no person's will (prefect/runner/_cancellation_manager.py).
_SHUT_DOWN = "Runner is shutting down."

_tagged: set[UUID] = set()


def by_a_person(state: State | None) -> bool:
    """Whether the state is a person's cancel: not a runner's shutdown, nor a job that was cancelled at its provider."""
    if state is None or state.type not in {StateType.CANCELLING, StateType.CANCELLED}:
        return False
    return state.message != _SHUT_DOWN and state.name != CANCELLED_AT_PROVIDER


async def is_cancelled_by_a_person(run_id: UUID) -> bool:
    """Whether a person has cancelled the run, by its state in the API."""
    return by_a_person((await ask(lambda client: client.read_flow_run(run_id))).state)


async def tag_run(run_id: UUID) -> None:
    """Give the flow run the tag, once per process, so that `reap-orphans` finds it if it ends badly.

    That it fails is logged, and keeps no job from being submitted.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run_id in _tagged or (run and run.id == run_id and TAG in run.tags):
        return
    _tagged.add(run_id)

    async def tag(client: PrefectClient) -> None:
        tags = (await client.read_flow_run(run_id)).tags
        if TAG not in tags:
            await client.update_flow_run(run_id, tags=[*tags, TAG])

    try:
        await ask(tag)
    except BaseException as error:
        _tagged.discard(run_id)
        if not isinstance(error, Exception):  # this was cancelled
            raise
        logger.exception("Run %s could not be tagged: reap-orphans may not find it.", run_id)
