"""Suspend a flow run while it waits: it holds no process and no slot, and a watcher resumes it.

Prefect runs a resumed flow again from its top. `submit_job` adopts the job that the run submitted,
and the wait ends at once, since the job has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar, cast
from uuid import UUID

from prefect import get_run_logger
from prefect._flow_run_suspension import mark_flow_run_suspension_requested
from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.flow_runs import asuspend_flow_run
from prefect.runtime import flow_run
from prefect.states import Completed

from blocks.api import persistent
from blocks.runs.job_run import JobCredentials
from blocks.runs.root_run import root_run_id, tag_run
from blocks.runs.submission_numbers import forget_numbers
from blocks.runs.suspended_wait import OnFailure, SuspendedWait, Suspension, Until, read_suspension
from graphql_jobs import JobHandle, WaitPolicy
from graphql_jobs.errors import ProviderLost
from graphql_jobs.titles import title_of
from tasks.suspending.resume import keep_cancelled

T = TypeVar("T")

#: Our choice: a job that ends within this time needs no second process.
SUSPEND_AFTER_S = 10.0
#: Our choices: a resumed run has at least this time for the polls that show the ends of its jobs, and this much more
#: for each job.
_AFTER_RESUME_S = 60.0
_PER_JOB_S = 0.1
#: Our choice: if no watcher runs, Prefect fails the run this long after the deadline, so that every wait ends.
_WITHOUT_WATCHER_S = 24 * 3600.0
#: Our choice: a worker learns of a cancel within seconds. If there is none, the wait goes on.
_KILLED_WITHIN_S = 60.0

#: The runs whose log already says why they are not suspended.
_told: set[UUID] = set()


class Suspending:
    """How a wait suspends its run: `after_s` seconds after its start, unless it has ended by then."""

    def __init__(
        self,
        credentials: JobCredentials,
        jobs: Sequence[JobHandle],
        policy: WaitPolicy,
        until: Until = "all ended",
        if_lost: str = "",
    ) -> None:
        self._credentials, self._jobs, self._policy = credentials, list(jobs), policy
        self._until: Until = until
        self._if_lost = if_lost

    async def wait(
        self, waiting: Callable[[WaitPolicy], Awaitable[T]], after_s: float, on_failure: OnFailure = "resume"
    ) -> T:
        """Return the result of `waiting` in this process if it comes in time. Otherwise, suspend the run.

        A run that cannot be suspended waits in its process, and its log says why, once.
        """
        run_id = await root_run_id()
        if run_id is None:
            return await waiting(self._policy)
        if why_not := self._why_not(run_id):
            if run_id not in _told:
                _told.add(run_id)
                get_run_logger().info("This run waits in its process and is not suspended: %s.", why_not)
            return await waiting(self._policy)
        suspension = await read_suspension(run_id)
        lost = ""
        if earlier := suspension.earlier(self._jobs):  # this run was resumed, or stopped before it was suspended
            if await keep_cancelled(run_id):
                await _until_killed()
            after_s = max(after_s, _AFTER_RESUME_S + _PER_JOB_S * len(self._jobs))
            lost = earlier.lost(flow_run.run_count)
        in_process = asyncio.timeout(after_s)
        try:
            async with in_process:
                return await (self._wait_for_lost(waiting, lost) if lost else waiting(self._policy))
        except TimeoutError:
            if not in_process.expired():
                raise
        if await self._suspend(run_id, suspension, on_failure):
            # Prefect ends the process after this task.
            return cast("T", Completed(name="Suspended", message="The run is suspended until its jobs have ended."))
        return await waiting(self._policy)

    def _why_not(self, run_id: UUID) -> str:
        context = FlowRunContext.get()
        if not context or not context.flow_run or context.flow_run.id != run_id:
            return "the wait is in an inner flow"
        if context.detached:
            return "the wait is in another process than its flow"
        if context.flow_run.deployment_id is None:
            return "it has no deployment, so no worker would run it again"
        if not _name_of(self._credentials):
            return "its credentials block is not saved, so a watcher could not load it"
        if any(job.has_addresses for job in self._jobs):
            return "the address of the job's file gives anyone access, so only this process has it"
        return ""

    async def _wait_for_lost(self, waiting: Callable[[WaitPolicy], Awaitable[T]], lost: str) -> T:
        """Poll again. A watcher has lost the provider, and one more whole outage budget would be one too many."""
        get_run_logger().warning("The watcher resumed this run, since it could not poll its jobs: %s", lost)
        budget_s = min(self._policy.outage_budget_s, _AFTER_RESUME_S / 2)
        try:
            ended = await waiting(replace(self._policy, outage_budget_s=budget_s))
        except ProviderLost as again:
            raise cast("ProviderLost", _lost(again, lost)) from None
        if isinstance(ended, dict):  # of several jobs
            return cast("T", {job_id: _lost(how, lost) for job_id, how in ended.items()})
        return ended

    async def _suspend(self, run_id: UUID, suspension: Suspension, on_failure: OnFailure) -> bool:
        """Suspend the run. Return False if Prefect refuses."""
        await tag_run(run_id)
        pause_key = await suspension.suspend(
            SuspendedWait(
                provider=self._jobs[0].provider,
                credentials=_name_of(self._credentials),
                jobs=self._jobs,
                policy=self._policy,
                until=self._until,
                on_failure=on_failure,
                if_lost=self._if_lost,
            )
        )
        logger = get_run_logger()
        try:
            await persistent(
                lambda: asuspend_flow_run(flow_run_id=run_id, timeout=expires_after_s(self._policy), key=pause_key)
            )
        except Pause as suspended:  # by another wait of this run, or by a request whose response was lost
            if suspended.state:  # else the code after the wait would go on
                mark_flow_run_suspension_requested(run_id, suspended.state)
        except RuntimeError as refused:
            logger.info("This run waits in its process: %s", refused)
            return False
        forget_numbers(run_id)
        first, total = self._jobs[0], len(self._jobs)
        jobs = f"{first.name} has" if total == 1 else f"{total} {title_of(first.provider)} jobs have"
        logger.info("Suspended until %s ended. A watcher resumes the run.", jobs)
        return True


async def _until_killed() -> None:
    """Wait for the worker, which ends the process of a cancelled run: the flow must not go on."""
    await asyncio.sleep(_KILLED_WITHIN_S)


def expires_after_s(policy: WaitPolicy) -> int:
    """Return the seconds after which Prefect fails the suspended run if no watcher has resumed it."""
    return int(policy.deadlines.total_s + _WITHOUT_WATCHER_S)


def _lost(ended: object, detail: str) -> object:
    """The end of a wait, with the watcher's detail if the provider is lost: it names the whole outage budget."""
    if not isinstance(ended, ProviderLost):
        return ended
    return ProviderLost(ended.provider, ended.job_ids, ended.waited_s, detail, ended.after)


def _name_of(credentials: JobCredentials) -> str:
    return getattr(credentials, "_block_document_name", None) or ""
