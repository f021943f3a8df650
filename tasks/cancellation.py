"""Cancelling at the provider: one job, or all that a flow run left there when a person cancelled it.

A person's cancel reaches the provider in three layers, each of which may come first, last or not at all: the flow
itself, while it unwinds (`cancelling_with_the_run`); its hook, in a new process (`cancel_with_the_run`); and a
deployment that an automation starts (`flows/cancel_remote_jobs.py`). What one has done, the others find written down.
Only the last one sets the message of the run's state: Prefect's runner, which comes before it, overwrites any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from prefect import Flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound, TerminationSignal
from prefect.logging.loggers import flow_run_logger
from prefect.states import Cancelled

from blocks.job_run import JobCredentials
from blocks.lookup import load_credentials
from blocks.memory import RunMemory, root_run_id
from graphql_jobs import CancelOutcome, GraphqlJobsError, Job, JobClient, Label, Recovery
from graphql_jobs.errors import CancelRefused, InvalidInput, JobNotFound
from graphql_jobs.record import Record, read_record
from graphql_jobs.submission import find_again
from tasks.outcome import CANCELLED_AT_PROVIDER

#: How a state's message begins that says what became of the run's jobs. The trigger in prefect.yaml leaves such states
#: out, so that what we set starts no further clean-up.
TOLD = "Remote jobs: "

#: Our choices. A worker gives a run 30 s to end and then kills it; nothing waits for the hook but the run's state.
_WHILE_UNWINDING_S = 20.0
_IN_THE_HOOK_S = 60.0
#: Our choices: how long a job is looked for whose id nobody got, and how long the pauses are, from and to; the last
#: layer looks until it is sure.
_LOOK_S = 5.0
_PAUSES_S = (1.0, 5.0)
#: Our choice: so many others may write just before us.
_WRITES = 100
#: Our choices: jobs of one run that are cancelled at once, and sentences in one message.
_AT_ONCE = 10
_MAX_SENTENCES = 10
#: What Prefect's runner writes when it is stopped: that is no person's will (prefect/runner/_cancellation_manager.py).
_SHUT_DOWN = "Runner is shutting down."


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
    except (asyncio.CancelledError, TerminationSignal):  # the signal comes as either, by what it interrupts
        if run_id:
            await _as_far_as_possible(run_id, _WHILE_UNWINDING_S)
        raise


async def cancel_with_the_run(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """The second layer, for `@flow(on_cancellation=[...])`: runs in a new process that knows nothing but the run."""
    await _as_far_as_possible(flow_run.id, _IN_THE_HOOK_S)


async def clean_up_after(run_id: UUID) -> list[str]:
    """The third layer: as `cancel_jobs_of`, until it is sure, and then the run's state says what happened."""
    said = await cancel_jobs_of(run_id, is_last=True)
    if said:
        more = f" And {len(said) - _MAX_SENTENCES} more." if len(said) > _MAX_SENTENCES else ""
        await _tell(run_id, TOLD + " ".join(said[:_MAX_SENTENCES]) + more)
    return said


async def cancel_jobs_of(run_id: UUID, *, is_last: bool = False) -> list[str]:
    """Cancel what a cancelled flow run left at its providers, and log it in that run: a sentence for each job.

    Does nothing for a run that no person cancelled. May be called any number of times, by several at once.
    """
    try:
        async with get_client() as client:
            run = await client.read_flow_run(run_id)
    except ObjectNotFound:
        raise InvalidInput("run", f"there is no flow run {run_id}; if it was deleted, so was what it knew.") from None
    if not by_a_person(run.state):
        return []
    cleaner = _CleanUp(run, is_last)
    return [sentence for sentence in await cleaner.all() if sentence]


def by_a_person(state: State[Any] | None) -> bool:
    """Whether the state is a person's cancel: not a runner's shutdown, nor a job that was cancelled at its provider."""
    if state is None or state.type not in {StateType.CANCELLING, StateType.CANCELLED}:
        return False
    return state.message != _SHUT_DOWN and state.name != CANCELLED_AT_PROVIDER


async def _as_far_as_possible(run_id: UUID, within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            await cancel_jobs_of(run_id)
    except Exception:  # another layer comes after this one; the cancel itself must go on
        log = flow_run_logger(flow_run_id=run_id)
        log.exception("The jobs of this run could not all be cancelled while it ended; the clean-up goes on with it.")


async def _tell(run_id: UUID, message: str) -> None:
    """Put the message into the run's state, where a person looks first."""
    async with get_client() as client:
        state = (await client.read_flow_run(run_id)).state
        if state and state.is_cancelled() and by_a_person(state) and state.message != message:
            await client.set_flow_run_state(run_id, Cancelled(name=state.name, message=message), force=True)


class _CleanUp:
    """What one layer does for one run."""

    def __init__(self, run: FlowRun, is_last: bool) -> None:
        self.run = run
        self.is_last = is_last
        #: This cancel, so that a later one of the same run is not taken for done.
        self.cancel_id = f"{run.id}/{run.run_count}"
        self.logger = flow_run_logger(run)
        self.slots = asyncio.Semaphore(_AT_ONCE)

    async def all(self) -> list[str]:
        """A sentence for each submission; an empty one where there is surely no job."""
        memory = RunMemory(self.run.id)
        homes = dict.fromkeys(await memory.read_all(), memory)
        homes |= {key: RunMemory(home) for key, home in (await memory.references()).items()}
        return await asyncio.gather(*(self.one(key, home) for key, home in sorted(homes.items())))

    async def one(self, key: str, home: RunMemory) -> str:
        """Nothing that goes wrong with one job may keep another from being cancelled."""
        try:
            async with self.slots:
                return await self._clean_up(key, home)
        except Exception as error:
            self.logger.exception("The job of key %s could not be cancelled.", key)
            why = str(error) if isinstance(error, GraphqlJobsError) else type(error).__name__
            return f"the job of key {key}: it is not known whether it was cancelled: {why}"

    async def _clean_up(self, key: str, home: RunMemory) -> str:
        record = read_record(await home.read(key))
        owner = record.owner or str(home.flow_run_id)
        if owner != str(self.run.id):
            if living := await _living(owner):
                whose = f"run {living.name!r} ({owner}) submitted it and still waits for it"
                return f"{record.provider} {_what(record)}: left running, since {whose}."
            if home.flow_run_id == self.run.id:  # this run's own job ended badly before another run submitted anew
                return ""
        if record.count == 0 or record.surely_nothing:
            return ""
        if said := record.cancelled.get(self.cancel_id):
            return said
        sentence, is_final = await self._cancel(Label(key, owner), record)
        self.logger.info("%s", sentence)
        return await self._note(home, key, record, sentence) if is_final else sentence

    async def _cancel(self, label: Label, record: Record) -> tuple[str, bool]:
        """What happened, and whether that will not change any more."""
        what = f"{record.provider} {_what(record)}"
        try:
            credentials = await load_credentials(record.provider, record.credentials)  # type: ignore[arg-type] # checked there
        except InvalidInput as error:
            return f"{what}: left as it is, since its credentials cannot be had: {error.problem}", False
        async with credentials.get_client() as client:
            try:
                if record.handle:
                    return await self._cancel_job(client, client.handle(record.handle, "handle").job_id)
                return await self._cancel_unseen(client, label, record, what)
            except GraphqlJobsError as failure:
                return f"{what}: it is not known whether it was cancelled: {failure}", False

    async def _cancel_job(self, client: JobClient, job_id: str) -> tuple[str, bool]:
        try:
            outcome = await client.cancel(job_id)
        except CancelRefused as refusal:
            if not client.can_cancel:
                seen = (await client.check([job_id]))[job_id]
                if isinstance(seen, Job) and seen.state.is_terminal:
                    return f"{client.provider} job {job_id}: it had already ended: {seen.describe()}.", True
            return str(refusal), self.is_last or not client.can_cancel
        except JobNotFound:
            return f"{client.provider} job {job_id}: it is not there any more.", self.is_last
        return f"{client.provider} job {job_id}: {outcome.message}", outcome.confirmed

    async def _cancel_unseen(self, client: JobClient, label: Label, record: Record, what: str) -> tuple[str, bool]:
        """A job whose id nobody got: found by its key where the provider lets us look."""
        if not client.can_cancel or client.recoveries.get(record.operation) is not Recovery.FIND:
            return f"{what}: nobody can tell whether it was started; if it was, it was left running.", True
        patience_s = client.visibility_s if self.is_last else _LOOK_S
        pause_s, longest_s = _PAUSES_S
        give_up_at = client.session.clock.now() + patience_s
        while not (found := await find_again(client, label, record)):
            if client.session.clock.now() >= give_up_at:
                seen = f"not to be seen within {patience_s:.0f} s"
                return f"{what}: {seen}; if it was started and shows later, it was left running.", self.is_last
            await client.session.clock.sleep(pause_s)
            pause_s = min(2 * pause_s, longest_s)
        ids = [handle.job_id for handle in found]
        if not client.finds_surely(record.operation, record.place or {}):
            return f"{what}: {', '.join(ids)} may be it, and nothing tells; left running. Look after it.", self.is_last
        done = [await self._cancel_job(client, job_id) for job_id in ids]
        return " ".join(sentence for sentence, _ in done), all(is_final for _, is_final in done)

    async def _note(self, home: RunMemory, key: str, treated: Record, sentence: str) -> str:
        """Write down what happened; if another layer was quicker, its words are the ones that count."""
        for _ in range(_WRITES):
            record = read_record(await home.read(key))
            if said := record.cancelled.get(self.cancel_id):
                return said
            entry = {"kind": "cancelled", "of": self.cancel_id, "message": sentence}
            if record.by != treated.by or await home.append(key, record.count, entry):
                break
        return sentence


def _what(record: Record) -> str:
    return f"job {record.handle.job_id}" if record.handle else f"{record.operation} ({record.subject})"


async def _living(run_id: str) -> FlowRun | None:
    """The run, if it still goes on, or will."""
    async with get_client() as client:
        try:
            run = await client.read_flow_run(UUID(run_id))
        except ObjectNotFound:
            return None
    return None if run.state and (run.state.is_final() or run.state.is_cancelling()) else run
