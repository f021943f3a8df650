"""The run of a job block (`trigger()` returns it): wait for the remote job, fetch its result, or cancel it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Protocol

from prefect.blocks.abstract import JobRun
from prefect.exceptions import TerminationSignal

from blocks.reporting.reporter import Reporter, report_result
from blocks.runs.cancelled_by_person import is_cancelled_by_a_person
from blocks.runs.root_run import checkpoints_of_this_run, root_run_id
from graphql_jobs import CancelOutcome, GraphqlJobsError, Job, JobClient, JobHandle, WaitPolicy, require_success, wait

#: Our choice: a worker gives a run 30 s to end.
_WHILE_UNWINDING_S = 20.0


class JobCredentials(Protocol):
    """The credentials block of any provider."""

    def get_client(self) -> JobClient:
        """Return a client on the event loop's shared session."""
        ...


class RemoteJobRun(JobRun[dict[str, Any]]):
    """One remote job. It has no connection: each call opens the shared session while it needs it."""

    def __init__(self, credentials: JobCredentials, handle: JobHandle, policy: WaitPolicy, folder: Path) -> None:
        self.handle = handle
        self.job: Job | None = None
        self._credentials = credentials
        self._policy = policy
        self._folder = folder

    async def wait_for_completion(self) -> None:  # type: ignore[override] # the base class says Logger, and means None
        """Wait until the job succeeded. Raises `JobFailed`, `JobCancelled`, `JobNotFound` or a `WaitStopped`.

        In a flow run, the job leaves the report and the events of `tasks.wait_for_job`. If a person cancels the run
        meanwhile, the job is cancelled too.
        """
        async with (
            self._credentials.get_client() as client,
            Reporter([self.handle], await root_run_id()) as reporter,
        ):
            try:
                self.job = await self._wait(client, reporter)
            except (asyncio.CancelledError, TerminationSignal):
                await self._cancel_with_the_run()
                raise
        require_success(self.job)

    async def _wait(self, client: JobClient, reporter: Reporter) -> Job:
        def changed(seen: Job) -> None:
            self.logger.info("%s: %s", seen.name, seen.describe())
            reporter.changed(seen)

        checkpoints = await checkpoints_of_this_run()
        try:
            job = await wait(client, self.handle, self._policy, on_change=changed, checkpoints=checkpoints)
        except GraphqlJobsError as stopped:
            reporter.ended(self.handle.job_id, stopped)
            raise
        reporter.ended(self.handle.job_id, job)
        return job

    async def _cancel_with_the_run(self) -> None:
        """Cancel the job if a person cancelled the run. A worker that shuts down raises the same exception."""
        run_id = await root_run_id()
        try:
            async with asyncio.timeout(_WHILE_UNWINDING_S):
                if run_id and await is_cancelled_by_a_person(run_id):
                    self.logger.info("%s: %s", self.handle.name, (await self.cancel()).message)
        except Exception:  # the cancel of the run must continue; `cancel-remote-jobs` runs later
            self.logger.exception("%s could not be cancelled while its run ended.", self.handle.name)

    async def fetch_result(self) -> dict[str, Any]:
        """Return the job's result as plain JSON, after a wait if needed. Files are saved in the block's folder.

        Raises what the wait raises, and `ResultUnavailable`.
        """
        if self.job is None:
            await self.wait_for_completion()
        assert self.job is not None  # noqa: S101 (wait_for_completion sets it or raises)
        job = require_success(self.job)
        async with self._credentials.get_client() as client:
            result = await client.result(self.handle, job, self._folder, self._policy.outage_budget_s)
        await report_result(self.handle, job, await root_run_id(), result)
        return result

    async def cancel(self) -> CancelOutcome:
        """Cancel the job at the provider. Raises `CancelRefused` if the provider refuses or has no cancel."""
        async with self._credentials.get_client() as client:
            return await client.cancel(self.handle.job_id)
