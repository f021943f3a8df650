"""The flow run that owns the submissions of the current code: its id, its checkpoints and its tag."""

from __future__ import annotations

import logging
from functools import partial
from typing import cast
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.runtime import flow_run

from blocks.api import ask
from blocks.runs.store import RunStore
from graphql_jobs.waiting.checkpoints import Checkpoints

logger = logging.getLogger(__name__)

#: The tag of this project's deployments and of every run that submits a job. `reap-orphans` finds runs by it.
TAG = "graphql-jobs"

_tagged: set[UUID] = set()


async def root_run_id() -> UUID | None:
    """Return the id of the root run: the outermost flow run that this code runs in. None outside a flow run.

    A flow that another flow calls as a function gets a new id in each attempt, so its caller's id counts.
    """
    if flow_run.id is None:
        return None
    run_id = UUID(flow_run.id)
    context = FlowRunContext.get()
    if context and context.flow_run and context.flow_run.id == run_id and _has_its_own_process(context.flow_run):
        return run_id
    while caller_id := await ask(partial(_caller_of, run_id)):
        run_id = caller_id
    return run_id


async def _caller_of(run_id: UUID, client: PrefectClient) -> UUID | None:
    """Return the flow run that called this one as a function, if any."""
    run = await client.read_flow_run(run_id)
    if _has_its_own_process(run):
        return None
    return (await client.read_task_run(cast(UUID, run.parent_task_run_id))).flow_run_id


def _has_its_own_process(run: FlowRun) -> bool:
    """Whether the run has its own process and so is cancelled and retried separately.

    Prefect links the runs that `run_deployment` starts, or that are sent to a work pool, to a task run of the caller,
    like flows that are called as functions. Only the former have a deployment or a work queue.
    """
    return run.parent_task_run_id is None or run.deployment_id is not None or run.work_queue_id is not None


async def checkpoints_of_this_run() -> Checkpoints | None:
    """Return the checkpoints of this flow run's waits, with those of earlier attempts. None outside a flow run."""
    run_id = await root_run_id()
    return Checkpoints(RunStore(run_id)) if run_id else None


async def tag_run(run_id: UUID) -> None:
    """Add the tag to the flow run, once per process, so that `reap-orphans` finds it if it fails.

    A failure is logged. The job is submitted anyway.
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
