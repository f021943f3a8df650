"""One whole installation for the tests of cancelling: jobs that do not end, and one worker at a time.

It waits for real processes, so it sleeps in real time between two polls of the server.
"""

from __future__ import annotations

import asyncio
import json
import signal
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.states import Cancelled, Scheduled

from blocks.runs.store import RunStore
from graphql_jobs.submission.record import Record, read_record
from scripts.demo_runs import save_blocks
from scripts.stack import Stack
from tasks.cancelling.layers import MESSAGE_PREFIX
from tests.expected_errors import OF_CANCELLING, check_logs
from tests.migrated import migrated_database
from tests.prefect_api import api_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from datetime import datetime

    from prefect.client.schemas.objects import FlowRun

ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
SOON = {"max_poll_interval_s": 1}
#: A launch stays queued, and a job of tasks soon runs; neither ends (see `installation`).
QUEUED: dict[str, Any] = {"engine_id": ENGINE_ID, "upload_url": "https://media.example.com/a", **SOON}
RUNNING: dict[str, Any] = {"tasks": [{"engine_id": ENGINE_ID}], **SOON}
LABEL: dict[str, Any] = {"project_id": "HvdyIL2iwZn", "labeler_email": "a@example.com", **SOON}
#: Far above the duration of the runs on two busy cores.
GIVE_UP_AFTER_S = 240


class Installation:
    """A stack whose jobs do not end, and its only worker."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.worker = stack.start_worker()

    async def exchange_worker(self) -> None:
        """Stop the worker as a deploy does, and start another."""
        self.worker.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self.worker.process.wait, GIVE_UP_AFTER_S)
        self.worker = await asyncio.to_thread(self.stack.start_worker)

    async def kill_worker(self) -> None:
        """Kill the worker and all its processes, like a machine that fails, and start another worker."""
        await asyncio.to_thread(self.worker.kill)
        self.worker = await asyncio.to_thread(self.stack.start_worker)

    def cancels(self, job_id: str) -> list[dict[str, Any]]:
        """The cancels of a job that the emulator received."""
        return [cancel for cancel in self.stack.ledger()["cancels"] if cancel["job_id"] == job_id]

    def looks(self, job_id: str) -> int:
        """How often the emulator answered with the job's status."""
        return sum(job_id in request["job_ids"] for request in self.stack.ledger()["requests"])


@pytest.fixture(scope="package")
def installation() -> Iterator[Installation]:
    options = ("--queued-s", "0.5", "--running-s", "36000")
    with Stack(emulator_options=options, database=migrated_database()) as stack:
        stuck = {"kind": "stuck", "operation": "launchSingleEngineJob", "times": None}
        request = urllib.request.Request(f"{stack.emulator['url']}/_emulator/faults", json.dumps(stuck).encode())
        with urllib.request.urlopen(request, timeout=30):
            stack.deploy()
        yield Installation(stack)
        check_logs(stack.errors(OF_CANCELLING))


@pytest.fixture
async def client(installation: Installation) -> AsyncIterator[PrefectClient]:
    with api_at(installation.stack.environment["PREFECT_API_URL"]):
        async with get_client() as client:
            if "aiware" not in [block.name for block in await client.read_block_documents()]:
                await save_blocks(installation.stack)
            yield client


async def start(
    client: PrefectClient, deployment_name: str, parameters: dict[str, Any], at: datetime | None = None
) -> FlowRun:
    deployment = await client.read_deployment_by_name(deployment_name)
    return await client.create_flow_run_from_deployment(
        deployment.id, parameters=deployment.parameters | parameters, state=Scheduled(scheduled_time=at) if at else None
    )


async def record_of(run: FlowRun) -> Record:
    entries = await RunStore(run.id).read_all()
    return read_record(next(iter(entries.values()), []))


async def job_of(run: FlowRun) -> str:
    handle = (await record_of(run)).handle
    assert handle is not None
    return handle.job_id


async def waiting(installation: Installation, run: FlowRun) -> None:
    """Return when the run waits for its job and, if the job can run, the job is running."""

    async def seen() -> bool:
        handle = (await record_of(run)).handle
        return handle is not None and installation.looks(handle.job_id) >= 3

    await until(seen, f"run {run.name} to wait for its job")


async def process_of(client: PrefectClient, run: FlowRun) -> psutil.Process:
    pid = (await client.read_flow_run(run.id)).infrastructure_pid
    assert pid is not None
    return psutil.Process(int(pid.rpartition(":")[2]))


def runs_with_a_process(pid: int) -> set[str]:
    """The ids of the flow runs that have a process below the given one."""
    found = set()
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):
            found.add(process.environ().get("PREFECT__FLOW_RUN_ID", ""))
    return found - {""}


async def state_name(client: PrefectClient, run: FlowRun) -> str | None:
    state = (await client.read_flow_run(run.id)).state
    return state.name if state else None


def ended(client: PrefectClient, run: FlowRun) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        state = (await client.read_flow_run(run.id)).state
        return state is not None and state.is_final()

    return look


async def told(client: PrefectClient, run: FlowRun) -> str:
    """The message of the run's state, once it says whether the job was cancelled."""

    async def look() -> bool:
        state = (await client.read_flow_run(run.id)).state
        return state is not None and state.is_cancelled() and (state.message or "").startswith(MESSAGE_PREFIX)

    await until(look, f"the state of run {run.name} to tell what became of its job")
    state = (await client.read_flow_run(run.id)).state
    return (state.message if state else None) or ""


async def until(ready: Callable[[], Awaitable[bool]], what: str) -> None:
    for _ in range(4 * GIVE_UP_AFTER_S):
        if await ready():
            return
        await asyncio.sleep(0.25)
    pytest.fail(f"waited {GIVE_UP_AFTER_S} s in vain for {what}")


async def kill_dead(client: PrefectClient, run: FlowRun) -> None:
    """Kill the run's process while it waits, so that it cannot unwind, and then cancel without Prefect's runner."""

    async def submitted() -> bool:
        return (await record_of(run)).handle is not None

    await until(submitted, f"run {run.name} to submit")
    (await process_of(client, run)).kill()
    await until(ended(client, run), f"run {run.name} to be reported as crashed")
    await client.set_flow_run_state(run.id, Cancelled(), force=True)
