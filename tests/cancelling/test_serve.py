"""Cancelling under `serve`: a person's cancel reaches the provider, a stop does not."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from prefect.states import Cancelling

from blocks import AiwareCredentials
from scripts.stack import ROOT
from tasks.cancelling.layers import MESSAGE_PREFIX, clean_up_after
from tests.cancelling.conftest import (
    GIVE_UP_AFTER_S,
    QUEUED,
    ended,
    job_of,
    runs_with_a_process,
    start,
    state_name,
    told,
    until,
    waiting,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from prefect.client.orchestration import PrefectClient

    from scripts.stack import Stack
    from tests.cancelling.conftest import Installation

pytestmark = pytest.mark.prefect

logger = logging.getLogger(__name__)

SERVE = """
from flows.run_aiware_job import run_aiware_job

if __name__ == "__main__":
    run_aiware_job.serve(name="served", tags=["graphql-jobs"])
"""


async def test_under_serve_a_cancel_is_one_and_a_stop_is_none(
    installation: Installation, client: PrefectClient, tmp_path: Path
) -> None:
    """Two served runs: one is cancelled with its job; then the process is stopped, and the other's job continues."""
    with serving(installation.stack, tmp_path) as server:
        await until(deployed(client, "run-aiware-job/served"), "the deployment to be served")
        cancelled, left = [await start(client, "run-aiware-job/served", QUEUED) for _ in range(2)]
        await waiting(installation, cancelled)
        await waiting(installation, left)
        asked_at = time.time()
        await client.set_flow_run_state(cancelled.id, Cancelling())
        job, other = await job_of(cancelled), await job_of(left)
        assert await told(client, cancelled) == f"{MESSAGE_PREFIX}aiWARE job {job}: cancelled (status 'aborted')."
        logger.info("Under serve, the cancel came after %.1f s.", installation.cancels(job)[0]["at"] - asked_at)
        await stop_as_a_container_is(server, tmp_path / "serve.log")
    state = (await client.read_flow_run(left.id)).state
    assert state is not None
    assert not state.is_cancelled()
    assert await clean_up_after(left.id) == []
    assert installation.cancels(other) == []


async def test_suspended_run_under_serve_is_resumed_by_its_server(
    installation: Installation, client: PrefectClient, tmp_path: Path
) -> None:
    """Its process ends when the run is suspended, and the server starts one again when the job has ended."""
    with serving(installation.stack, tmp_path) as server:
        await until(deployed(client, "run-aiware-job/served"), "the deployment to be served")
        run = await start(client, "run-aiware-job/served", {**QUEUED, "suspend": True, "suspend_after_s": 0})

        async def suspended() -> bool:
            is_suspended = await state_name(client, run) == "Suspended"
            return is_suspended and str(run.id) not in runs_with_a_process(server.pid)

        await until(suspended, "the run to be suspended and its process to end")
        watcher = await asyncio.to_thread(installation.stack.start_watcher)
        credentials: Any = await AiwareCredentials.aload("aiware")
        async with credentials.get_client() as provider:
            await provider.cancel(await job_of(run))
        await until(ended(client, run), "the resumed run to end")
        await asyncio.to_thread(watcher.end)
    assert await state_name(client, run) == "JobCancelled"
    states = [state.name for state in await client.read_flow_run_states(run.id)]
    assert [name for name in states if name in ("Running", "Suspended", "Resuming")] == [
        "Running",
        "Suspended",
        "Resuming",
        "Running",
    ]


def deployed(client: PrefectClient, name: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        flow_name, _, own_name = name.partition("/")
        found = await client.read_deployments()
        flows = {flow.id for flow in await client.read_flows() if flow.name == flow_name}
        return any(one.name == own_name and one.flow_id in flows for one in found)

    return look


async def stop_as_a_container_is(server: subprocess.Popen[bytes], log: Path) -> None:
    """SIGTERM, and then SIGKILL: Prefect's `serve` does not end while it has a run."""
    server.send_signal(signal.SIGTERM)

    async def heard() -> bool:
        return "SIGTERM received" in await asyncio.to_thread(log.read_text)

    await until(heard, "the server of flows to hear the signal")
    os.killpg(server.pid, signal.SIGKILL)
    await asyncio.to_thread(server.wait, GIVE_UP_AFTER_S)


@contextmanager
def serving(stack: Stack, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A user's own script that serves a flow of this project."""
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
