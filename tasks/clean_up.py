"""What one layer does about one cancelled run: it cancels the jobs that are the run's own, while it stays cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Any, TypeVar

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.logging.loggers import flow_run_logger

from blocks.lookup import load_credentials
from blocks.memory import RunMemory
from graphql_jobs import CancelOutcome, GraphqlJobsError, Job, JobClient, Label, Recovery
from graphql_jobs.clock import Clock, instant
from graphql_jobs.errors import CancelRefused, InvalidInput, JobNotFound
from graphql_jobs.finding import Undecided
from graphql_jobs.record import Record, read_record
from graphql_jobs.submission import find_again
from tasks.outcome import CANCELLED_AT_PROVIDER
from tasks.owners import submissions_of, who_waits_too

T = TypeVar("T")

#: Our choices: how long the first layers look for a job that does not show, and how long the pauses are, from and to;
#: the last layer looks until it is sure.
_LOOK_S = 5.0
_PAUSES_S = (1.0, 5.0)
#: Our choice: so many others may write just before us.
_WRITES = 100
#: Our choice: jobs of one run that are cancelled at once.
_AT_ONCE = 10
#: What Prefect's runner writes when it is stopped: that is no person's will (prefect/runner/_cancellation_manager.py).
_SHUT_DOWN = "Runner is shutting down."


def by_a_person(state: State[Any] | None) -> bool:
    """Whether the state is a person's cancel: not a runner's shutdown, nor a job that was cancelled at its provider."""
    if state is None or state.type not in {StateType.CANCELLING, StateType.CANCELLED}:
        return False
    return state.message != _SHUT_DOWN and state.name != CANCELLED_AT_PROVIDER


def is_cancelled_still(run: FlowRun, now: FlowRun) -> bool:
    """Whether nobody has started the run again since it was read as `run`."""
    return by_a_person(now.state) and now.run_count == run.run_count


async def until_seen(ask: Callable[[], Awaitable[T]], clock: Clock, give_up_at: float) -> T:
    """What `ask` gives, which is called again while the provider does not show the job (law 10).

    Raises `JobNotFound` once `give_up_at` has come.
    """
    pause_s, longest_s = _PAUSES_S
    while True:
        try:
            return await ask()
        except JobNotFound:
            now = clock.now()
            if now >= give_up_at:
                raise
        await clock.sleep(min(pause_s, give_up_at - now))
        pause_s = min(2 * pause_s, longest_s)


def shows_at(client: JobClient, submitted_at: datetime) -> float:
    """The instant (epoch seconds) from which a job that is not to be seen is not there."""
    return min(submitted_at.timestamp(), client.session.clock.now()) + client.visibility_s


async def note_cancelled(home: RunMemory, key: str, treated: Record, of: str, sentence: str, *, confirmed: bool) -> str:
    """Write down what came of the cancel `of` a job, once; if another was quicker, its words are the ones that count.

    A job whose cancel was confirmed is not gone on with, also if the provider does not know it any more.
    """
    entry = {"kind": "cancelled", "of": of, "message": sentence} | ({"confirmed": True} if confirmed else {})
    for _ in range(_WRITES):
        record = read_record(await home.read(key))
        if said := record.cancelled.get(of):
            return said
        if record.by != treated.by or await home.append(key, record.count, entry):
            break
    return sentence


class _StartedAgain(Exception):
    """The run is cancelled no more, or once more since."""


@dataclass(frozen=True, slots=True)
class _Done:
    """What became of a job; whether that will not change any more; whether our cancel was seen to have its effect."""

    sentence: str
    is_final: bool
    confirmed: bool = False


class CleanUp:
    """What one layer does for one run, which was read as it is in `run`."""

    def __init__(self, run: FlowRun, is_last: bool) -> None:
        self.run = run
        self.is_last = is_last
        #: This cancel, so that a later one of the same run is not taken for done.
        self.cancel_id = f"{run.id}/{run.run_count}"
        self.logger = flow_run_logger(run)
        self.slots = asyncio.Semaphore(_AT_ONCE)

    async def all(self) -> list[str]:
        """A sentence for each submission, but for those of which there is surely no job."""
        homes = await submissions_of(self.run.id)
        said = await asyncio.gather(*(self.one(key, home) for key, home in sorted(homes.items())))
        return [sentence for sentence in said if sentence]

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
        if record.count == 0 or record.surely_nothing:
            return ""
        if said := record.cancelled.get(self.cancel_id):
            return said
        if other := await who_waits_too(key, home, self.run.id):
            return f"{_what(record)}: left running, since {other}."
        owner = record.owner or str(home.flow_run_id)
        if owner != str(self.run.id) and home.flow_run_id == self.run.id:
            return ""  # this run's own job ended badly before another run submitted anew
        done = await self._cancel(Label(key, owner), record)
        self.logger.info("%s", done.sentence)
        if not done.is_final:
            return done.sentence
        return await note_cancelled(home, key, record, self.cancel_id, done.sentence, confirmed=done.confirmed)

    async def _cancel(self, label: Label, record: Record) -> _Done:
        what = _what(record)
        try:
            credentials = await load_credentials(record.provider, record.credentials)  # type: ignore[arg-type] # checked there
        except InvalidInput as error:
            return _Done(f"{what}: left as it is, since its credentials cannot be had: {error.problem}", False)
        async with credentials.get_client() as client:
            try:
                if not record.handle:
                    return await self._cancel_unseen(client, label, record)
                handle = client.handle(record.handle, "handle")
                return await self._cancel_job(client, handle.job_id, handle.submitted_at or instant(record.at))
            except _StartedAgain:
                return _Done(f"{what}: left as it is, since its run was started again meanwhile.", False)
            except GraphqlJobsError as failure:
                return _Done(f"{what}: it is not known whether it was cancelled: {failure}", False)

    async def _cancel_job(self, client: JobClient, job_id: str, submitted_at: datetime) -> _Done:
        what, clock, sure_at = f"{client.provider} job {job_id}", client.session.clock, shows_at(client, submitted_at)

        async def ask() -> CancelOutcome:
            await self._require_cancelled()
            return await client.cancel(job_id)

        try:
            outcome = await until_seen(ask, clock, min(sure_at, clock.now() + self._patience_s()))
        except CancelRefused as refusal:
            return await self._refused(client, job_id, refusal)
        except JobNotFound:
            if clock.now() < sure_at:
                return _Done(f"{what}: not to be seen yet, so it was not cancelled so far.", False)
            return _Done(f"{what}: it is not there any more.", self.is_last)
        return _Done(f"{what}: {outcome.message}", outcome.confirmed, outcome.confirmed)

    async def _refused(self, client: JobClient, job_id: str, refusal: CancelRefused) -> _Done:
        if not client.can_cancel:
            seen = (await client.check([job_id]))[job_id]
            if isinstance(seen, Job) and seen.state.is_terminal:
                return _Done(f"{client.provider} job {job_id}: it had already ended: {seen.describe()}.", True)
        return _Done(str(refusal), self.is_last or not client.can_cancel)

    async def _cancel_unseen(self, client: JobClient, label: Label, record: Record) -> _Done:
        """A job whose id nobody got: found by its key where the provider lets us look."""
        what, clock = _what(record), client.session.clock
        if not client.can_cancel or client.recoveries.get(record.operation) is not Recovery.FIND:
            return _Done(f"{what}: nobody can tell whether it was started; if it was, it was left running.", True)
        patience_s = min(client.visibility_s, self._patience_s())
        pause_s, longest_s = _PAUSES_S
        give_up_at = clock.now() + patience_s
        while True:
            try:
                found = await find_again(client, label, record)
            except Undecided as why:
                return _Done(f"{what}: left running. {why} Look after it.", self.is_last)
            if found:
                break
            if clock.now() >= give_up_at:
                seen = f"not to be seen within {patience_s:.0f} s"
                return _Done(f"{what}: {seen}; if it was started and shows later, it was left running.", self.is_last)
            await clock.sleep(pause_s)
            pause_s = min(2 * pause_s, longest_s)
        ids = [handle.job_id for handle in found]
        if not client.finds_surely(record.operation, record.place or {}):
            doubt = f"{', '.join(ids)} may be it, and nothing tells; left running. Look after it."
            return _Done(f"{what}: {doubt}", self.is_last)
        done = [await self._cancel_job(client, job_id, instant(record.at)) for job_id in ids]
        return _Done(
            " ".join(one.sentence for one in done),
            all(one.is_final for one in done),
            all(one.confirmed for one in done),
        )

    def _patience_s(self) -> float:
        return inf if self.is_last else _LOOK_S

    async def _require_cancelled(self) -> None:
        """A clean-up may take minutes, in which a person may start the run again: then its jobs are its own."""
        async with get_client() as client:
            if not is_cancelled_still(self.run, await client.read_flow_run(self.run.id)):
                raise _StartedAgain


def _what(record: Record) -> str:
    what = f"job {record.handle.job_id}" if record.handle else f"{record.operation} ({record.subject})"
    return f"{record.provider} {what}"
