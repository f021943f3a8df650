"""Cancelling at the provider: one job, or all that a flow run left there when a person cancelled it.

A person's cancel reaches the provider in three layers, each of which may come first, last or not at all: the flow
itself, while it unwinds (`cancelling_with_the_run`); its hook, in a new process (`cancel_with_the_run`); and a
deployment that an automation starts (`flows/cancel_remote_jobs.py`). What one has done, the others find written down.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from prefect import Flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled

from blocks.job_run import JobCredentials
from blocks.lookup import load_credentials
from blocks.memory import RunMemory, root_run_id
from graphql_jobs import CancelOutcome, GraphqlJobsError, JobClient, Label, Recovery
from graphql_jobs.errors import CancelRefused, InvalidInput, JobNotFound
from graphql_jobs.record import Record, read_record
from graphql_jobs.submission import find_again

logger = logging.getLogger(__name__)

#: Our choices. A worker gives a run 30 s to end, and then kills it.
_WHILE_UNWINDING_S = 20.0
_LOOKS = 4
_LOOK_PAUSE_S = 2.0
_BY_A_PERSON = {StateType.CANCELLING, StateType.CANCELLED}


@task(name="cancel job", task_run_name="cancel {job_id}", cache_policy=NO_CACHE)
async def cancel_job(credentials: JobCredentials, job_id: str) -> CancelOutcome:
    """Cancel the job and read it until that shows.

    Raises `CancelRefused` where the provider would not (aiWARE, once a task runs) or cannot (Datasaur): it is left
    running there.
    """
    async with credentials.get_client() as client:
        outcome = await client.cancel(job_id)
    get_run_logger().info("Job %s: %s", job_id, outcome.message)
    return outcome


@asynccontextmanager
async def cancelling_with_the_run() -> AsyncIterator[None]:
    """The first layer: if a person cancels this flow run in here, its jobs are cancelled too.

    A worker that stops looks the same from inside; then, and where it cannot be told, the jobs are left running.
    """
    run_id = await root_run_id()
    try:
        yield
    except asyncio.CancelledError:
        if run_id:
            try:
                async with asyncio.timeout(_WHILE_UNWINDING_S):
                    await cancel_jobs_of(run_id)
            except Exception:  # the other layers come after this one; the cancel itself must go on
                logger.exception("The jobs of this run could not be cancelled while it ended.")
        raise


async def cancel_with_the_run(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """The second layer, for `@flow(on_cancellation=[...])`: runs in a new process that knows nothing but the run."""
    await cancel_jobs_of(flow_run.id)


async def cancel_jobs_of(run_id: UUID) -> list[str]:
    """Cancel what a cancelled flow run left at its providers, and say so in the run's state: a sentence for each job.

    Does nothing for a run that no person cancelled. May be called any number of times, by several at once.
    """
    async with get_client() as client:
        run = await client.read_flow_run(run_id)
    if run.state is None or run.state.type not in _BY_A_PERSON:
        return []
    memory = RunMemory(run_id)
    sentences = [await _cancel_submission(memory, key, entries) for key, entries in (await memory.read_all()).items()]
    for key, home in (await memory.references()).items():
        sentences.append(await _cancel_adopted(key, home))
    said = [sentence for sentence in sentences if sentence]
    for sentence in said:
        logger.info("%s", sentence)
    if said:
        await _tell(run_id, " ".join(said))
    return said


async def _cancel_adopted(key: str, home: UUID) -> str:
    """A job that another run submitted is that run's, as long as it goes on."""
    async with get_client() as client:
        try:
            owner = await client.read_flow_run(home)
        except ObjectNotFound:
            return ""
    if owner.state is not None and not owner.state.is_final():
        return f"The job of key {key} was left running: run {owner.name} ({home}) submitted it and still waits for it."
    return await _cancel_submission(RunMemory(home), key, await RunMemory(home).read(key))


async def _cancel_submission(memory: RunMemory, key: str, entries: Any) -> str:
    record = read_record(entries)
    if record.cancelled or record.surely_nothing:
        return record.cancelled
    what = record.handle.job_id if record.handle else f"the job of {record.operation} ({record.subject})"
    try:
        credentials = await load_credentials(record.provider, record.credentials)  # type: ignore[arg-type] # checked there
    except InvalidInput as error:
        return f"{record.provider} {what}: left as it is, since its credentials cannot be had: {error.problem}"
    async with credentials.get_client() as client:
        sentence, is_final = await _cancel_record(client, Label(key, str(memory.flow_run_id)), record, what)
    if is_final:
        await memory.append(key, record.count, {"kind": "cancelled", "message": sentence})
    return sentence


async def _cancel_record(client: JobClient, label: Label, record: Record, what: str) -> tuple[str, bool]:
    """What happened, and whether another attempt would be pointless."""
    try:
        job_id = record.handle.job_id if record.handle else await _look_for(client, label, record)
        if job_id is None:
            return f"{client.provider} {what}: not to be seen there; if it shows later, it was left running.", False
        outcome = await client.cancel(job_id)
    except CancelRefused as refusal:
        return str(refusal), True
    except JobNotFound:
        return f"{client.provider} {what}: gone.", True
    except GraphqlJobsError as failure:
        return f"{client.provider} {what}: it is not known whether it was cancelled: {failure}", False
    return f"{client.provider} job {job_id}: {outcome.message}", outcome.confirmed


async def _look_for(client: JobClient, label: Label, record: Record) -> str | None:
    """The id of a job whose answer never came, where the provider lets us look."""
    if client.recoveries.get(record.operation) is not Recovery.FIND:
        detail = f"nobody can tell whether {record.operation} was done; if it was, it was left running."
        raise CancelRefused(client.provider, "(id unknown)", detail)
    for look in range(_LOOKS):
        if look:
            await client.session.clock.sleep(_LOOK_PAUSE_S)
        if found := await find_again(client, label, record):
            return found[0].job_id
    return None


async def _tell(run_id: UUID, message: str) -> None:
    """Put the message into the run's state, where a person looks first."""
    async with get_client() as client:
        run = await client.read_flow_run(run_id)
        if run.state and run.state.type in _BY_A_PERSON and message not in (run.state.message or ""):
            await client.set_flow_run_state(run_id, Cancelled(message=message), force=True)
