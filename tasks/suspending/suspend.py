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
from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.flow_runs import asuspend_flow_run
from prefect.states import Completed

from blocks.runs.job_run import JobCredentials
from blocks.runs.root_run import root_run_id, tag_run
from blocks.runs.submission_numbers import forget_numbers
from blocks.runs.suspended_wait import OnFailure, SuspendedWait, Suspension, Until, read_suspension
from graphql_jobs import JobHandle, WaitPolicy
from graphql_jobs.errors import ProviderLost
from tasks.suspending.resume import keep_cancelled

T = TypeVar("T")

#: Our choice: a job that ends within this time needs no second process.
SUSPEND_AFTER_S = 10.0
#: Our choice: the minimum time of a resumed run for the poll that shows the end of its job.
_AFTER_RESUME_S = 60.0
#: Our choice: the time after the deadline when Prefect fails the run if no watcher runs, so that every wait ends.
_WITHOUT_WATCHER_S = 24 * 3600.0

#: The runs whose log already says why they are not suspended.
_told: set[UUID] = set()


class Suspending:
    """How a wait suspends its run: `after_s` seconds after its start, unless it has ended by then."""

    def __init__(
        self, credentials: JobCredentials, jobs: Sequence[JobHandle], policy: WaitPolicy, until: Until = "all ended"
    ) -> None:
        self._credentials, self._jobs, self._policy, self._until = credentials, list(jobs), policy, until

    async def wait(
        self, waiting: Callable[[WaitPolicy], Awaitable[T]], after_s: float, on_failure: OnFailure = "resume"
    ) -> T:
        """Return the result of `waiting` in this process if it comes in time. Otherwise, suspend the run.

        A run that cannot be suspended waits in its process, and its log says why, once.
        """
        run_id = await root_run_id()
        if run_id is None or (why_not := self._why_not(run_id)):
            if run_id and run_id not in _told:
                _told.add(run_id)
                get_run_logger().info("This run waits in its process and is not suspended: %s.", why_not)
            return await waiting(self._policy)
        suspension = await read_suspension(run_id)
        try:
            async with asyncio.timeout(await _time_in_process_s(run_id, suspension, after_s)) as in_process:
                return await self._wait_here(waiting, suspension)
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

    async def _wait_here(self, waiting: Callable[[WaitPolicy], Awaitable[T]], suspension: Suspension) -> T:
        """Wait in this process. If a watcher lost the provider, there is no second outage budget."""
        lost = suspension.claims[-1].get("lost") if suspension.claims else None
        if not lost:
            return await waiting(self._policy)
        get_run_logger().warning("The watcher resumed this run, since it could not poll its jobs: %s", lost)
        budget_s = min(self._policy.outage_budget_s, _AFTER_RESUME_S / 2)
        try:
            return await waiting(replace(self._policy, outage_budget_s=budget_s))
        except ProviderLost as again:
            raise ProviderLost(again.provider, again.job_ids, again.waited_s, str(lost)) from None

    async def _suspend(self, run_id: UUID, suspension: Suspension, on_failure: OnFailure) -> bool:
        """Suspend the run. Return False if Prefect refuses."""
        await tag_run(run_id)
        await suspension.suspend(
            SuspendedWait(
                provider=self._jobs[0].provider,
                credentials=_name_of(self._credentials),
                jobs=self._jobs,
                policy=self._policy,
                until=self._until,
                on_failure=on_failure,
            )
        )
        logger = get_run_logger()
        try:
            await asuspend_flow_run(flow_run_id=run_id, timeout=expires_after_s(self._policy))
        except Pause:  # another wait of this run has suspended it
            pass
        except RuntimeError as refused:
            logger.info("This run waits in its process: %s", refused)
            return False
        forget_numbers(run_id)
        jobs = f"job {self._jobs[0].job_id}" if len(self._jobs) == 1 else f"{len(self._jobs)} jobs"
        logger.info("Suspended until %s %s ended. A watcher resumes the run.", self._jobs[0].provider, jobs)
        return True


def expires_after_s(policy: WaitPolicy) -> int:
    """Return the seconds after which Prefect fails the suspended run if no watcher has resumed it."""
    return int(policy.deadlines.total_s + _WITHOUT_WATCHER_S)


async def _time_in_process_s(run_id: UUID, suspension: Suspension, after_s: float) -> float:
    """Return how long the run waits in its process. A run that a watcher resumed needs time for a poll."""
    if not suspension.claims:
        return after_s
    await keep_cancelled(run_id, suspension.claims[-1]["state_id"])
    return max(after_s, _AFTER_RESUME_S)


def _name_of(credentials: JobCredentials) -> str:
    return getattr(credentials, "_block_document_name", None) or ""
