"""Cancelling on the whole installation: a person's cancel reaches the provider, a stop does not.

Waits for real processes, so it really sleeps between two looks at the server.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import AwaitingRetry, Cancelled, Cancelling, Scheduled

from blocks.memory import RunMemory
from graphql_jobs.record import Record, read_record
from scripts.demo_runs import save_blocks
from scripts.stack import ROOT, Stack
from tasks.cancellation import TOLD, clean_up_after

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun

pytestmark = pytest.mark.prefect

logger = logging.getLogger(__name__)

ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
SOON = {"longest_pause_s": 1}
#: A launch stays in the queue for ever, a job of one's own tasks soon runs for ever (see `installation`).
QUEUED = {"engine_id": ENGINE_ID, "upload_url": "https://media.example.com/a", **SOON}
RUNNING = {"tasks": [{"engine_id": ENGINE_ID}], **SOON}
LABEL = {"project_id": "HvdyIL2iwZn", "labeler_email": "a@example.com", **SOON}
#: Far above what the runs take on two busy cores.
GIVE_UP_AFTER_S = 240

SERVE = """
from flows.run_aiware_job import run_aiware_job

if __name__ == "__main__":
    run_aiware_job.serve(name="served", tags=["graphql-jobs"])
"""


class Installation:
    """A stack whose jobs do not end, and its only worker."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.worker = stack.start_worker()

    async def exchange_worker(self) -> None:
        """Stop the worker as a deploy does, and start another."""
        self.worker.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self.worker.wait, GIVE_UP_AFTER_S)
        self.worker = await asyncio.to_thread(self.stack.start_worker)

    def cancels(self, job_id: str) -> list[dict[str, Any]]:
        """What the emulator saw of cancels of a job."""
        return [cancel for cancel in self.stack.ledger()["cancels"] if cancel["job_id"] == job_id]

    def looks(self, job_id: str) -> int:
        """How often the emulator told the job's status."""
        return sum(job_id in request["job_ids"] for request in self.stack.ledger()["requests"])


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with Stack(emulator_options=("--queued-s", "0.5", "--running-s", "36000")) as stack:
        stuck = {"kind": "stuck", "operation": "launchSingleEngineJob", "times": None}
        request = urllib.request.Request(f"{stack.emulator['url']}/_emulator/faults", json.dumps(stuck).encode())
        with urllib.request.urlopen(request, timeout=30):
            stack.deploy()
        yield Installation(stack)


@pytest.fixture
async def client(installation: Installation) -> AsyncIterator[PrefectClient]:
    with temporary_settings({PREFECT_API_URL: installation.stack.environment["PREFECT_API_URL"]}):
        async with get_client() as client:
            if "aiware" not in [block.name for block in await client.read_block_documents()]:
                await save_blocks(installation.stack)
            yield client


async def test_a_cancel_in_each_state_reaches_the_provider(installation: Installation, client: PrefectClient) -> None:
    """In line for a queued, a running and a Datasaur job; right after the start; before it; and with the process dead.

    The state says what became of the job, and one clean-up for each run was enough.
    """
    queued, running, label, early, killed = [
        await start(client, name, parameters)
        for name, parameters in [
            ("run-aiware-job/default", QUEUED),
            ("run-aiware-job/default", RUNNING),
            ("run-datasaur-auto-label/default", LABEL),
            ("run-aiware-job/default", QUEUED),
            ("run-aiware-job/default", QUEUED),
        ]
    ]
    later = await start(client, "run-aiware-job/default", QUEUED, datetime.now(UTC) + timedelta(hours=1))
    await client.set_flow_run_state(later.id, Cancelling())
    await cancel_while(client, early, is_running)
    await kill_dead(client, killed)
    asked_at: dict[UUID, float] = {}
    for run in (queued, running, label):
        await waiting(installation, run)
        asked_at[run.id] = time.time()
        await client.set_flow_run_state(run.id, Cancelling())
    messages = [await told(client, run) for run in (queued, running, label, killed)]

    jobs = [await job_of(run) for run in (queued, running, label, killed)]
    assert [[cancel["accepted"] for cancel in installation.cancels(job)][:1] for job in jobs] == [
        [True],
        [False],
        [],
        [True],
    ]
    for run, job in zip((queued, running), jobs[:2], strict=True):
        logger.info("The first cancel came after %.1f s.", installation.cancels(job)[0]["at"] - asked_at[run.id])
    assert messages[0] == f"{TOLD}aiware job {jobs[0]}: cancelled (status 'aborted')."
    assert "left running at aiWARE: RUNNING" in messages[1]
    assert messages[2].endswith("left running at Datasaur.")
    assert messages[3] == f"{TOLD}aiware job {jobs[3]}: cancelled (status 'aborted')."
    assert (await state_name(client, early), await state_name(client, later)) == ("Cancelled", "Cancelled")
    if early_job := (await record_of(early)).handle:  # it may have been stopped before it submitted
        assert (await told(client, early)).endswith(f"{early_job.job_id}: cancelled (status 'aborted').")
    cleaned = [run.parameters["cancelled_run"] for run in await clean_ups(client)]
    assert sorted(cleaned) == sorted(
        f"prefect.flow-run.{run.id}" for run in (queued, running, label, early, killed, later)
    )


async def test_a_worker_that_stops_cancels_nothing_and_the_next_one_goes_on(
    installation: Installation, client: PrefectClient
) -> None:
    """SIGTERM to the worker, another worker, the run again: the same job, submitted once; then a cancel works."""
    run = await start(client, "run-aiware-job/default", QUEUED)
    await waiting(installation, run)
    job = await job_of(run)
    process = await process_of(client, run)
    await installation.exchange_worker()
    assert not process.is_running()
    state = (await client.read_flow_run(run.id)).state
    assert state is not None
    assert not state.is_cancelled()  # Prefect leaves it Running
    assert await clean_up_after(run.id) == []
    assert installation.cancels(job) == []

    looks = installation.looks(job)
    await client.set_flow_run_state(run.id, AwaitingRetry(), force=True)

    async def looked_again() -> bool:
        return installation.looks(job) > looks + 1  # the first look is that of the submission, which adopts it

    await until(looked_again, "the next worker to wait for the job")
    assert await job_of(run) == job
    await client.set_flow_run_state(run.id, Cancelling())
    assert await told(client, run) == f"{TOLD}aiware job {job}: cancelled (status 'aborted')."
    assert [cancel["accepted"] for cancel in installation.cancels(job)] == [True]


async def test_under_serve_a_cancel_is_one_and_a_stop_is_none(
    installation: Installation, client: PrefectClient, tmp_path: Path
) -> None:
    """Two served runs: one is cancelled, and its job too; then the process is stopped, and the other's job goes on."""
    with serving(installation.stack, tmp_path) as server:
        await until(deployed(client, "run-aiware-job/served"), "the deployment to be served")
        cancelled, left = [await start(client, "run-aiware-job/served", QUEUED) for _ in range(2)]
        await waiting(installation, cancelled)
        await waiting(installation, left)
        asked_at = time.time()
        await client.set_flow_run_state(cancelled.id, Cancelling())
        job, other = await job_of(cancelled), await job_of(left)
        assert await told(client, cancelled) == f"{TOLD}aiware job {job}: cancelled (status 'aborted')."
        logger.info("Under serve, the cancel came after %.1f s.", installation.cancels(job)[0]["at"] - asked_at)
        await stop_as_a_container_is(server, tmp_path / "serve.log")
    state = (await client.read_flow_run(left.id)).state
    assert state is not None
    assert not state.is_cancelled()
    assert await clean_up_after(left.id) == []
    assert installation.cancels(other) == []


async def start(
    client: PrefectClient, deployment_name: str, parameters: dict[str, Any], at: datetime | None = None
) -> FlowRun:
    deployment = await client.read_deployment_by_name(deployment_name)
    return await client.create_flow_run_from_deployment(
        deployment.id, parameters=deployment.parameters | parameters, state=Scheduled(scheduled_time=at) if at else None
    )


async def record_of(run: FlowRun) -> Record:
    entries = await RunMemory(run.id).read_all()
    return read_record(next(iter(entries.values()), []))


async def job_of(run: FlowRun) -> str:
    handle = (await record_of(run)).handle
    assert handle is not None
    return handle.job_id


async def waiting(installation: Installation, run: FlowRun) -> None:
    """Return when the run waits for its job, which runs by then if it can."""

    async def seen() -> bool:
        handle = (await record_of(run)).handle
        return handle is not None and installation.looks(handle.job_id) >= 3

    await until(seen, f"run {run.name} to wait for its job")


async def is_running(client: PrefectClient, run: FlowRun) -> bool:
    return await state_name(client, run) == "Running"


async def cancel_while(
    client: PrefectClient, run: FlowRun, ready: Callable[[PrefectClient, FlowRun], Awaitable[bool]]
) -> None:
    async def now() -> bool:
        return await ready(client, run)

    await until(now, f"the moment to cancel run {run.name}")
    await client.set_flow_run_state(run.id, Cancelling())


async def kill_dead(client: PrefectClient, run: FlowRun) -> None:
    """Kill the run's process while it waits, so that it unwinds nothing, and then cancel without Prefect's runner."""

    async def submitted() -> bool:
        return (await record_of(run)).handle is not None

    await until(submitted, f"run {run.name} to submit")
    (await process_of(client, run)).kill()
    await until(ended(client, run), f"run {run.name} to be reported as crashed")
    await client.set_flow_run_state(run.id, Cancelled(), force=True)


async def process_of(client: PrefectClient, run: FlowRun) -> psutil.Process:
    pid = (await client.read_flow_run(run.id)).infrastructure_pid
    assert pid is not None
    return psutil.Process(int(pid.rpartition(":")[2]))


async def state_name(client: PrefectClient, run: FlowRun) -> str | None:
    state = (await client.read_flow_run(run.id)).state
    return state.name if state else None


def ended(client: PrefectClient, run: FlowRun) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        state = (await client.read_flow_run(run.id)).state
        return state is not None and state.is_final()

    return look


async def told(client: PrefectClient, run: FlowRun) -> str:
    """The message of the run's state, once it says what became of the job."""

    async def look() -> bool:
        state = (await client.read_flow_run(run.id)).state
        return state is not None and state.is_cancelled() and (state.message or "").startswith(TOLD)

    await until(look, f"the state of run {run.name} to tell what became of its job")
    state = (await client.read_flow_run(run.id)).state
    return (state.message if state else None) or ""


async def clean_ups(client: PrefectClient) -> list[FlowRun]:
    """All runs of the clean-up, once they have ended."""
    deployment = await client.read_deployment_by_name("cancel-remote-jobs/default")
    runs: list[FlowRun] = []

    async def all_ended() -> bool:
        runs[:] = [run for run in await client.read_flow_runs() if run.deployment_id == deployment.id]
        return all(run.state is not None and run.state.is_final() for run in runs)

    await until(all_ended, "the clean-ups to end")
    assert {run.state.name for run in runs if run.state} == {"Completed"}
    return runs


def deployed(client: PrefectClient, name: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        flow_name, _, own_name = name.partition("/")
        found = await client.read_deployments()
        flows = {flow.id for flow in await client.read_flows() if flow.name == flow_name}
        return any(one.name == own_name and one.flow_id in flows for one in found)

    return look


async def until(ready: Callable[[], Awaitable[bool]], what: str) -> None:
    for _ in range(4 * GIVE_UP_AFTER_S):
        if await ready():
            return
        await asyncio.sleep(0.25)
    pytest.fail(f"waited {GIVE_UP_AFTER_S} s in vain for {what}")


async def stop_as_a_container_is(server: subprocess.Popen[bytes], log: Path) -> None:
    """SIGTERM, and then SIGKILL: Prefect's `serve` does not end by itself while it has a run."""
    server.send_signal(signal.SIGTERM)

    async def heard() -> bool:
        return "SIGTERM received" in await asyncio.to_thread(log.read_text)

    await until(heard, "the server of flows to hear the signal")
    os.killpg(server.pid, signal.SIGKILL)
    await asyncio.to_thread(server.wait, GIVE_UP_AFTER_S)


@contextmanager
def serving(stack: Stack, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A script of somebody's own that serves a flow of this project."""
    script = folder / "serve.py"
    script.write_text(SERVE)
    environment = os.environ | stack.environment | {"PYTHONPATH": str(ROOT), "PREFECT_RUNNER_POLL_FREQUENCY": "2"}
    with (folder / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, str(script)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        family: list[psutil.Process] = []
        try:
            yield process
        finally:
            if process.poll() is None:
                family = psutil.Process(process.pid).children(recursive=True)
                process.kill()
                process.wait()
            for child in family:
                if child.is_running():
                    child.kill()
