"""Cancel the jobs of a flow run when a person cancels the run.

Three layers do this, in any order, and any of them may be missing:

1. the flow itself, while it unwinds (`cancelling_with_the_run`);
2. its hook, in a new process (`cancel_with_the_run`), or the watcher of a suspended run (`cancel_in_the_watcher`);
3. a deployment that an automation starts (`clean_up_after`, called by `flows/cancel_remote_jobs.py`).

Each layer records its results, so the others do not repeat them. Only the third sets the name and the message of the
run's state: Prefect's runner overwrites any earlier ones.
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
from blocks.runs.cancelled_by_person import JOB_RUNS, by_a_person
from blocks.runs.root_run import root_run_id
from graphql_jobs.errors import InvalidInput
from tasks.cancelling.clean_up import CleanUp, is_cancelled_still
from tasks.cancelling.jobs import Done

#: The prefix of the message that lists the results of a clean-up. The trigger in prefect.yaml ignores states with
#: such a message, so it does not start another clean-up.
MESSAGE_PREFIX = "Remote jobs: "

#: Our choices. A worker gives a run 30 s to end and then kills it; only the run's state waits for the hook.
_WHILE_UNWINDING_S = 20.0
_IN_THE_HOOK_S = 60.0
#: The runs whose jobs an enclosing `cancelling_with` cancels.
_protected: ContextVar[frozenset[UUID]] = ContextVar("protected", default=frozenset())
#: The clean-ups that this process is running, by event loop and run.
_under_way: dict[tuple[asyncio.AbstractEventLoop, UUID], asyncio.Future[None]] = {}
#: Our choice: the maximum number of sentences in a message.
_MAX_SENTENCES = 10


@asynccontextmanager
async def cancelling_with_the_run() -> AsyncIterator[None]:
    """Cancel the jobs if a person cancels this flow run within this context. This is the first layer.

    `submit_job` and the tasks that wait do this themselves. Use it around other work that a flow does while its jobs
    run. If a worker stops, or if it is unknown who cancelled, the jobs are left running.
    """
    async with cancelling_with(await root_run_id()):
        yield


@asynccontextmanager
async def cancelling_with(run_id: UUID | None) -> AsyncIterator[None]:
    """Do the same for the given root run, or nothing for None."""
    if run_id is None or run_id in _protected.get():
        yield
        return
    token = _protected.set(_protected.get() | {run_id})
    try:
        yield
    except (asyncio.CancelledError, TerminationSignal):  # which of the two depends on what the signal interrupts
        await _once_for_all(run_id)
        raise
    finally:
        _protected.reset(token)


async def _once_for_all(run_id: UUID) -> None:
    """Run one clean-up for all tasks of this event loop that are cancelled together."""
    at = (asyncio.get_running_loop(), run_id)
    if at not in _under_way:
        _under_way[at] = asyncio.ensure_future(_as_far_as_possible(run_id, _WHILE_UNWINDING_S))
        _under_way[at].add_done_callback(lambda _: _under_way.pop(at, None))
    await asyncio.shield(_under_way[at])


async def cancel_with_the_run(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Cancel in a new process, for `@flow(on_cancellation=[...])`. This is the second layer."""
    await _as_far_as_possible(flow_run.id, _IN_THE_HOOK_S)


async def cancel_in_the_watcher(run_id: UUID) -> None:
    """Cancel without a process of the run. This is the second layer of a suspended run."""
    await _as_far_as_possible(run_id, _IN_THE_HOOK_S)


async def clean_up_after(run_id: UUID) -> list[str]:
    """Cancel the jobs until each result is final, and put the results into the run's state. This is the third layer."""
    run = await _read(run_id)
    if not by_a_person(run.state):
        return []
    done = await CleanUp(run, is_last=True).all()
    if done:
        await _set_state(run, MESSAGE_PREFIX + _summary(done), any(one.runs_on for one in done))
    return [one.sentence for one in done]


async def cancel_jobs_of(run_id: UUID) -> list[str]:
    """Cancel the jobs of a cancelled flow run. Log and return a sentence for each job.

    Does nothing if no person cancelled the run. Safe to call repeatedly and concurrently.
    """
    run = await _read(run_id)
    if not by_a_person(run.state):
        return []
    return [one.sentence for one in await CleanUp(run, is_last=False).all()]


def _summary(done: Sequence[Done]) -> str:
    """Return a sentence per job. For more than ten jobs, return a total, and a sentence per job not cancelled."""
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
        raise InvalidInput(
            "run", f"there is no flow run {run_id}; if it was deleted, its entries were deleted too."
        ) from None


async def _as_far_as_possible(run_id: UUID, within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            await cancel_jobs_of(run_id)
    except Exception:  # a later layer tries again; the cancel of the run must continue
        log = flow_run_logger(flow_run_id=run_id)
        log.exception("The jobs of this run could not all be cancelled while it ended. The next layer tries again.")


async def _set_state(run: FlowRun, message: str, runs_on: bool) -> None:
    """Put the message into the run's state, where the UI shows it, unless the run was started again meanwhile.

    The state's name says whether a job may still run.
    """

    async def set_it(client: PrefectClient) -> None:
        now = await client.read_flow_run(run.id)
        state = now.state
        if state and state.is_cancelled() and is_cancelled_still(run, now) and state.message != message:
            name = JOB_RUNS if runs_on else "Cancelled" if state.name == JOB_RUNS else state.name
            await client.set_flow_run_state(run.id, Cancelled(name=name, message=message), force=True)

    await ask(set_it)
