"""A user's own flow, as in the guide, is cancelled under `serve`, on a worker and in a separate process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest
from prefect.states import Cancelled, Cancelling

from scripts.stack import POOL, ROOT
from tasks.cancelling.layers import MESSAGE_PREFIX
from tests.cancelling.conftest import (
    QUEUED,
    ended,
    job_of,
    kill_dead,
    process_of,
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
    from prefect.client.schemas.objects import FlowRun

    from tests.cancelling.conftest import Installation

pytestmark = pytest.mark.prefect

#: The README's flow, in a user's own file; it waits with a short poll interval.
OWN = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})

from prefect import flow
from blocks import AiwareCredentials
from graphql_jobs import require_success
from graphql_jobs.providers.aiware import EngineJobSpec
from tasks import fetch_result, submit_job, wait_for_job


@flow(name="%s")
async def transcribe(media_url: str = "https://media.example.com/a") -> dict:
    credentials = await AiwareCredentials.aload("aiware")
    spec = EngineJobSpec(engine_id="c0e55cde-340b-44d7-bb42-2e0d65e98255", upload_url=media_url)
    handle = await submit_job(credentials, spec)
    job = require_success(await wait_for_job(credentials, handle))
    return await fetch_result(credentials, handle, job)
"""
SERVED = """
if __name__ == "__main__":
    transcribe.serve(name="own")
"""
PLAIN = """
if __name__ == "__main__":
    import asyncio
    asyncio.run(transcribe())
"""


async def test_own_flow_under_serve(installation: Installation, client: PrefectClient, tmp_path: Path) -> None:
    """No tag, no hook: the cancel reaches aiWARE, and the state says so."""
    with running(installation, tmp_path, OWN % "own-served" + SERVED):
        await until(deployed(client, "own-served/own"), "the deployment to be served")
        run = await start(client, "own-served/own", {})
        await waiting(installation, run)
        job = await job_of(run)
        await client.set_flow_run_state(run.id, Cancelling())
        assert await told(client, run) == f"{MESSAGE_PREFIX}aiWARE job {job}: cancelled (status 'aborted')."
    assert [cancel["accepted"] for cancel in installation.cancels(job)] == [True]


async def test_own_flow_on_a_worker(installation: Installation, client: PrefectClient, tmp_path: Path) -> None:
    """Cancelled while it waits, and cancelled after its process was killed: no process remains."""
    (tmp_path / "own.py").write_text(OWN % "own-deployed")
    arguments = ("deploy", "own.py:transcribe", "--name", "own", "--pool", POOL)
    installation.stack.run("prefect", "--no-prompt", *arguments, cwd=tmp_path)
    unwinding, killed = [await start(client, "own-deployed/own", {}) for _ in range(2)]
    await waiting(installation, unwinding)
    await client.set_flow_run_state(unwinding.id, Cancelling())
    await kill_dead(client, killed)
    for run in (unwinding, killed):
        job = await job_of(run)
        assert await told(client, run) == f"{MESSAGE_PREFIX}aiWARE job {job}: cancelled (status 'aborted')."
        assert [cancel["accepted"] for cancel in installation.cancels(job)] == [True]


async def test_own_flow_in_a_process_of_its_own(
    installation: Installation, client: PrefectClient, tmp_path: Path
) -> None:
    """`python flow.py`: the server makes a run Cancelled that stays Cancelling, here immediately."""
    with running(installation, tmp_path, OWN % "own-plain" + PLAIN) as process:
        run = await the_run_of(client, "own-plain")
        await waiting(installation, run)
        job = await job_of(run)
        await client.set_flow_run_state(run.id, Cancelled(), force=True)
        await until(cancelled_at_the_provider(installation, job), "the clean-up to cancel the job")
        await until(over(process), "the process to see that")
    assert [cancel["accepted"] for cancel in installation.cancels(job)] == [True]


async def test_clean_up_does_not_wait_for_a_long_run(installation: Installation, client: PrefectClient) -> None:
    """One slot for runs, by a limit of the queue `default`, and a long run in it: the clean-up still runs."""
    queue = await client.read_work_queue_by_name("default", POOL)
    await client.update_work_queue(queue.id, concurrency_limit=1)
    try:
        killed = await start(client, "run-aiware-job/aiware-tasks", QUEUED)
        await waiting(installation, killed)
        (await process_of(client, killed)).kill()
        await until(ended(client, killed), "the killed run to be reported as crashed")
        long = await start(client, "run-aiware-job/aiware-tasks", QUEUED)
        await waiting(installation, long)
        await client.set_flow_run_state(killed.id, Cancelled(), force=True)
        assert "cancelled (status 'aborted')" in await told(client, killed)
        assert await state_name(client, long) == "Running"
    finally:
        await client.update_work_queue(queue.id, concurrency_limit=None)
    await client.set_flow_run_state(long.id, Cancelling())
    await told(client, long)


def deployed(client: PrefectClient, name: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        flow_name, _, own_name = name.partition("/")
        flows = {flow.id for flow in await client.read_flows() if flow.name == flow_name}
        return any(one.name == own_name and one.flow_id in flows for one in await client.read_deployments())

    return look


async def the_run_of(client: PrefectClient, flow_name: str) -> FlowRun:
    found: list[FlowRun] = []

    async def look() -> bool:
        flows = {flow.id for flow in await client.read_flows() if flow.name == flow_name}
        found[:] = [run for run in await client.read_flow_runs() if run.flow_id in flows]
        return bool(found)

    await until(look, f"a run of {flow_name}")
    return found[0]


def cancelled_at_the_provider(installation: Installation, job_id: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return bool(installation.cancels(job_id))

    return look


def over(process: subprocess.Popen[bytes]) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return process.poll() is not None

    return look


@contextmanager
def running(installation: Installation, folder: Path, script: str) -> Iterator[subprocess.Popen[bytes]]:
    """The script, in a separate process, which is ended with all processes that it started."""
    path = folder / "own.py"
    path.write_text(script)
    environment = os.environ | installation.stack.environment | {"PREFECT_RUNNER_POLL_FREQUENCY": "2"}
    with (folder / "own.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, str(path)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                family = psutil.Process(process.pid).children(recursive=True)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                for child in family:
                    if child.is_running():
                        child.kill()
