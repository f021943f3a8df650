"""The watcher: one process waits for the jobs of all suspended runs, and resumes each run when its jobs have ended.

Any number of watchers may run at the same time. A claim in the run's entries decides which of them resumes a run.
If a watcher is killed, nothing is lost: all its data is in Prefect's database and at the providers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.logging.loggers import flow_run_logger

from blocks.api import one_client
from blocks.reporting.reporter import report_ends
from blocks.runs.cancelled_by_person import by_a_person
from blocks.runs.resumed import RESUMING
from blocks.runs.root_run import TAG
from blocks.runs.store import RunStore
from blocks.runs.suspended_wait import SuspendedWait, Suspension, read_suspension
from graphql_jobs import Job, JobClient, wait_many
from graphql_jobs.clock import Clock, SystemClock
from graphql_jobs.errors import CheckRefused, InvalidInput, JobNotFound, ProviderLost
from graphql_jobs.waiting.checkpoints import Checkpoints
from tasks.cancelling.layers import cancel_in_the_watcher
from tasks.flow_runs import read_runs, runs_in_state
from tasks.run_state import overall_state
from tasks.suspending.accounts import REREAD_S, Accounts
from tasks.suspending.changes import Changes
from tasks.suspending.resume import SUSPENDED, SuspendedRun, end, is_suspended, resume, settle, still_suspended
from tasks.suspending.shard import Shard
from tasks.suspending.tally import Tally
from tasks.until import Outcomes, outcomes_until, succeeded, with_advice

logger = logging.getLogger(__name__)

#: Our choices: how often the watcher reads changes, and how often it reads the list of all suspended runs, since an
#: event may be lost.
TICK_S = 2.0
LIST_EVERY_S = 300.0
#: Our choice: how long a watcher may take to resume the run that it claimed. Then another watcher claims the run.
CLAIM_S = 30.0
#: Our choice: the maximum number of runs that are read or resumed concurrently, and of those whose jobs are cancelled.
_AT_ONCE = 10


@dataclass(slots=True)
class _Watched:
    """A suspended run, and the task that waits for its jobs."""

    run: SuspendedRun
    task: asyncio.Task[None]
    #: The provider and the name of the credentials block.
    account: tuple[str, str] = ("", "")
    #: Whether it is being resumed or ended. This is not interrupted, whatever happens to the run meanwhile.
    is_waking: bool = False


class Watcher:
    """Wait for the jobs of all suspended runs of one shard."""

    def __init__(self, shard: Shard = Shard(), clock: Clock | None = None) -> None:
        self.name = uuid4().hex[:12]
        self._shard, self._clock = shard, clock or SystemClock()
        self.tally = Tally(self.name, f"{shard.number}-of-{shard.total}", self._clock)
        self._watched: dict[UUID, _Watched] = {}
        self._settled: set[UUID] = set()  # the runs whose resumption is complete
        self._tasks: set[asyncio.Task[None]] = set()
        self._accounts = Accounts(self._clock)
        self._changes = Changes()
        self._list_at = self._clock.monotonic()
        self._calls, self._cancels = asyncio.Semaphore(_AT_ONCE), asyncio.Semaphore(_AT_ONCE)

    async def run(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Watch until `is_over`, or until this task is cancelled. Suspended runs then stay suspended."""
        async with self.opened():
            while not is_over():
                await self.tick()
                await self._clock.sleep(TICK_S)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open the connections of the watcher. On exit, its waits end."""
        async with one_client(), self._accounts:
            try:
                yield
            finally:
                for run_id in list(self._watched):
                    self._forget(run_id)
                await self.settled()

    async def settled(self) -> None:
        """Return when each currently watched run was woken or is no longer watched."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def tick(self) -> None:
        """Find the currently suspended runs, and publish their number. An error is logged."""
        try:
            if self._clock.monotonic() >= self._list_at:
                await self._list()
            elif changed := await self._changes.read():
                await self._read(changed)
            for account in await self._accounts.renewed():
                for watched in [one for one in self._watched.values() if one.account == account]:
                    self._begin(watched.run)
            self.tally.tell(self._accounts.snapshots())
        except Exception:  # Prefect's API may be unreachable: the waits continue
            self._list_at = self._clock.monotonic()  # changes that were read may be lost
            logger.exception("The suspended runs could not be read. Retrying in %.0f s.", TICK_S)

    async def _list(self) -> None:
        """Read all suspended runs, and those that a watcher may have left half resumed."""
        self._list_at = self._clock.monotonic() + LIST_EVERY_S
        await self._changes.read()  # the list shows them
        gone = set(self._watched)
        async for page in runs_in_state(SUSPENDED, TAG):
            for run in page:
                gone.discard(run.id)
                self._take(run.id, run)
        await self._read(gone)
        resuming: set[UUID] = set()
        async for page in runs_in_state(RESUMING, TAG):
            for run in page:
                resuming.add(run.id)
                with suppress(ObjectNotFound):  # deleted meanwhile
                    if self._shard.holds(run.id) and run.id not in self._settled:
                        await settle(SuspendedRun.of(run))
        self._settled = resuming

    async def _read(self, run_ids: set[UUID]) -> None:
        runs = await read_runs(run_ids)
        for run_id in run_ids:
            self._take(run_id, runs.get(run_id))

    def _take(self, run_id: UUID, run: FlowRun | None) -> None:
        """Wait for the run's jobs if it is suspended and belongs to this watcher; otherwise, forget it.

        If a person cancelled it, cancel its jobs: the clean-up deployment needs some seconds for its process.
        """
        watched = self._watched.get(run_id)
        if run is None or not (is_suspended(run) and TAG in run.tags and self._shard.holds(run_id)):
            if self._forget(run_id) and watched and run and by_a_person(run.state):
                self._start(self._cancel_jobs(run_id))
        elif not watched or watched.run.state_id != SuspendedRun.of(run).state_id:
            self._begin(SuspendedRun.of(run))

    def _begin(self, run: SuspendedRun) -> None:
        if not self._forget(run.id):
            self._list_at = self._clock.monotonic()  # to find it then, if it was suspended again meanwhile
            return
        task = self._start(self._watch(run))
        task.add_done_callback(partial(self._ended, run.id))
        self._watched[run.id] = _Watched(run, task)
        self._settled.discard(run.id)
        self.tally.began(run)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self._tasks.add(task := asyncio.create_task(work))
        task.add_done_callback(self._tasks.discard)
        return task

    def _forget(self, run_id: UUID) -> bool:
        """End the wait for the run. False if the run is just being woken."""
        watched = self._watched.get(run_id)
        if watched and watched.is_waking:
            return False
        if watched:
            watched.task.cancel()
            self._ended(run_id, watched.task)
        return True

    def _ended(self, run_id: UUID, task: asyncio.Task[None]) -> None:
        if (watched := self._watched.get(run_id)) and watched.task is task:
            del self._watched[run_id]
            self.tally.left(run_id)

    async def _cancel_jobs(self, run_id: UUID) -> None:
        async with self._cancels:
            await cancel_in_the_watcher(run_id)

    async def _watch(self, run: SuspendedRun) -> None:
        """Wait and wake the run. Errors that a person can correct are retried, and logged once in the run."""
        for attempt in count():
            try:
                if attempt and not await still_suspended(run):
                    await settle(run)
                else:
                    await self._wait_and_wake(run)
                return
            except ObjectNotFound:  # the run was deleted
                return
            except InvalidInput as error:  # the entry of a run that was just created suspended may follow
                if attempt == 1:
                    _log_of(run).error("No watcher can resume this run: %s Resume it, or cancel it.", error)
            except Exception:  # any error of Prefect's client
                logger.exception("The wait of suspended run %s (%s) is retried in %.0f s.", run.name, run.id, CLAIM_S)
            await self._clock.sleep(CLAIM_S)

    async def _wait_and_wake(self, run: SuspendedRun) -> None:
        async with self._calls:
            wait = (await _suspension(run)).wait
        self._watched[run.id].account = (wait.provider, wait.credentials)
        outcomes = await self._outcomes(run, wait)
        claims_seen = 0
        while True:
            async with self._calls:
                suspension = await _suspension(run)
                mine = len(suspension.claims) == claims_seen and await self._claim(run, suspension, outcomes)
                if mine and await self._wake(run, wait, outcomes):
                    return
            # Another watcher, or this one through an outage, has the time of a claim.
            claims_seen = len(suspension.claims) + mine
            await self._clock.sleep(CLAIM_S)
            if not await still_suspended(run):
                await settle(run)
                return

    async def _outcomes(self, run: SuspendedRun, wait: SuspendedWait) -> Outcomes:
        """The ends of the run's jobs.

        While the credentials block cannot be loaded, the run stays suspended. While the provider refuses it, for the
        outage budget: a person may mend it.
        """
        log, refused_at = _log_of(run), None
        while True:
            account = await self._accounts.get(wait.provider, wait.credentials, log)
            outcomes = await _outcomes_of(account.client, wait, Checkpoints(RunStore(run.id)))
            if not await self._accounts.is_current(account):
                continue
            refusal = next((ended for ended in outcomes.values() if isinstance(ended, CheckRefused)), None)
            now = self._clock.monotonic()
            if refusal is None or (refused_at is not None and now - refused_at >= wait.policy.outage_budget_s):
                return outcomes
            if refused_at is None:
                refused_at = now
                log.warning("The run stays suspended, since the provider refuses its credentials: %s", refusal)
            await self._clock.sleep(REREAD_S)

    async def _claim(self, run: SuspendedRun, suspension: Suspension, outcomes: Outcomes) -> bool:
        lost = next((ended.detail for ended in outcomes.values() if isinstance(ended, ProviderLost)), "")
        return await suspension.claim(self.name, run.run_count, lost)

    async def _wake(self, run: SuspendedRun, wait: SuspendedWait, outcomes: Outcomes) -> bool:
        """Resume the run, or end it without a process, and say so in its log. False if the time of the claim ends."""
        watched, log, began_at = self._watched[run.id], _log_of(run), self._clock.monotonic()
        state = overall_state(outcomes) if wait.on_failure == "fail" else None
        watched.is_waking = True
        try:
            async with asyncio.timeout(CLAIM_S / 2):
                if await (end(run, state) if state else resume(run)):
                    how = f"The run ends as {state.name} without a process" if state else "Resumed by a watcher"
                    log.info("%s: %s", how, _summary(outcomes))
                    self._settled.add(run.id)
                    self.tally.woken(self._clock.monotonic() - began_at)
                    if state:
                        await report_ends(wait.jobs, run.id, outcomes)
        except TimeoutError:
            return False
        finally:
            watched.is_waking = False
        return True


def _log_of(run: SuspendedRun) -> logging.LoggerAdapter[Any]:
    return flow_run_logger(flow_run_id=run.id, flow_run_name=run.name)


async def _suspension(run: SuspendedRun) -> Suspension:
    return await read_suspension(run.id, run.pause_key)


async def _outcomes_of(client: JobClient, wait: SuspendedWait, checkpoints: Checkpoints) -> Outcomes:
    async with aclosing(wait_many(client, wait.jobs, wait.policy, checkpoints=checkpoints)) as ends:
        outcomes = await outcomes_until(((handle.job_id, ended) async for handle, ended in ends), wait.until)
    return {
        job_id: with_advice(ended, wait.if_lost) if isinstance(ended, JobNotFound) else ended
        for job_id, ended in outcomes.items()
    }


def _summary(outcomes: Outcomes) -> str:
    """Return the end of one job, or the number of ends."""
    if len(outcomes) > 1:
        return f"{sum(map(succeeded, outcomes.values()))} of {len(outcomes)} jobs that ended have succeeded."
    return "".join(
        f"{ended.name}: {ended.describe()}" if isinstance(ended, Job) else str(ended) for ended in outcomes.values()
    )
