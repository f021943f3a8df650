"""Cancelling the jobs of a flow run when a person cancels the run.

A person's cancel reaches the provider in three layers, each of which may come first, last or not at all: the flow
itself, while it unwinds (`cancelling_with_the_run`); its hook, in a new process (`cancel_with_the_run`); and a
deployment that an automation starts (`flows/cancel_remote_jobs.py`). What one has done, the others find written down.
Only the last one sets the message of the run's state: Prefect's runner, which comes before it, overwrites any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ObjectNotFound, TerminationSignal
from prefect.logging.loggers import flow_run_logger
from prefect.states import Cancelled

from blocks.api import ask
from blocks.runs.cancelled_by_person import by_a_person
from blocks.runs.root_run import root_run_id
from graphql_jobs.errors import InvalidInput
from tasks.cancelling.clean_up import CleanUp, is_cancelled_still
from tasks.cancelling.jobs import Done

#: How a state's message begins that says what became of the run's jobs. The trigger in prefect.yaml leaves such states
#: out, so that what we set starts no further clean-up.
TOLD = "Remote jobs: "

#: Our choices. A worker gives a run 30 s to end and then kills it; nothing waits for the hook but the run's state.
_WHILE_UNWINDING_S = 20.0
_IN_THE_HOOK_S = 60.0
#: The runs that something around the current code cleans up after already.
_protected: ContextVar[frozenset[UUID]] = ContextVar("protected", default=frozenset())
#: The clean-ups that this process is at, by event loop and run.
_under_way: dict[tuple[asyncio.AbstractEventLoop, UUID], asyncio.Future[None]] = {}
#: Our choice: sentences in one message of many.
_MAX_SENTENCES = 10


@asynccontextmanager
async def cancelling_with_the_run() -> AsyncIterator[None]:
    """The first layer: if a person cancels this flow run in here, its jobs are cancelled too.

    `submit_job` and the tasks that wait do this by themselves: use it around what else a flow does while its jobs run.
    A worker that stops looks the same from inside; then, and where it cannot be told, the jobs are left running.
    """
    async with cancelling_with(await root_run_id()):
        yield


@asynccontextmanager
async def cancelling_with(run_id: UUID | None) -> AsyncIterator[None]:
    """The same, where it is known which run this is; None: none."""
    if run_id is None or run_id in _protected.get():
        yield
        return
    token = _protected.set(_protected.get() | {run_id})
    try:
        yield
    except (asyncio.CancelledError, TerminationSignal):  # the signal comes as either, by what it interrupts
        await _once_for_all(run_id)
        raise
    finally:
        _protected.reset(token)


async def _once_for_all(run_id: UUID) -> None:
    """The clean-up of the run: one for all tasks of this event loop that are cancelled together."""
    at = (asyncio.get_running_loop(), run_id)
    if at not in _under_way:
        _under_way[at] = asyncio.ensure_future(_as_far_as_possible(run_id, _WHILE_UNWINDING_S))
        _under_way[at].add_done_callback(lambda _: _under_way.pop(at, None))
    await asyncio.shield(_under_way[at])


async def cancel_with_the_run(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """The second layer, for `@flow(on_cancellation=[...])`: runs in a new process that knows nothing but the run."""
    await _as_far_as_possible(flow_run.id, _IN_THE_HOOK_S)


async def clean_up_after(run_id: UUID) -> list[str]:
    """The third layer: as `cancel_jobs_of`, until it is sure, and then the run's state says what happened."""
    run = await _read(run_id)
    if not by_a_person(run.state):
        return []
    done = await CleanUp(run, is_last=True).all()
    if done:
        await _tell(run, TOLD + _summary(done))
    return [one.sentence for one in done]


async def cancel_jobs_of(run_id: UUID) -> list[str]:
    """Cancel what a cancelled flow run left at its providers, and log it in that run: a sentence for each job.

    Does nothing for a run that no person cancelled. May be called any number of times, by several at once.
    """
    run = await _read(run_id)
    if not by_a_person(run.state):
        return []
    return [one.sentence for one in await CleanUp(run, is_last=False).all()]


def _summary(done: Sequence[Done]) -> str:
    """A sentence for each job; of many, how many were cancelled, and a sentence for each of the others, up to ten."""
    if len(done) <= _MAX_SENTENCES:
        return " ".join(one.sentence for one in done)
    others = [one.sentence for one in done if not one.confirmed]
    total = f"{len(done) - len(others)} of {len(done)} jobs were cancelled."
    more = f" And {len(others) - _MAX_SENTENCES} more; the log names them." if len(others) > _MAX_SENTENCES else ""
    return " ".join([total, *others[:_MAX_SENTENCES]]) + more


async def _read(run_id: UUID) -> FlowRun:
    try:
        return await ask(lambda client: client.read_flow_run(run_id))
    except ObjectNotFound:
        raise InvalidInput("run", f"there is no flow run {run_id}; if it was deleted, so was what it knew.") from None


async def _as_far_as_possible(run_id: UUID, within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            await cancel_jobs_of(run_id)
    except Exception:  # another layer comes after this one; the cancel itself must go on
        log = flow_run_logger(flow_run_id=run_id)
        log.exception("The jobs of this run could not all be cancelled while it ended; the clean-up goes on with it.")


async def _tell(run: FlowRun, message: str) -> None:
    """Put the message into the run's state, where a person looks first, unless it was started again meanwhile."""

    async def tell(client: PrefectClient) -> None:
        now = await client.read_flow_run(run.id)
        state = now.state
        if state and state.is_cancelled() and is_cancelled_still(run, now) and state.message != message:
            await client.set_flow_run_state(run.id, Cancelled(name=state.name, message=message), force=True)

    await ask(tell)
