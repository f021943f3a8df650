"""Two processes submit the same job at the same moment: one job, and both get it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

    from graphql_jobs.emulator import Emulator

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

ROOT = Path(__file__).parents[2]
ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
ROUNDS = 100
#: A process without output for this long hangs: the longest wait, for another's lease, is shorter.
SILENCE_S = 180.0


@flow
async def owner() -> None:
    """The flow of the runs that submit."""


async def test_same_key_submitted_by_two_processes_at_once(live_emulator: Emulator) -> None:
    """A hundred rounds, four operations in turn: a hundred jobs, and both processes have the same one each time.

    Half of the rounds use a caller's key in two flow runs, the others one flow run on two workers.
    """
    runs = await _flow_runs(2)
    ledger = live_emulator.ledger
    async with _process(live_emulator) as one, _process(live_emulator) as other:
        for number in range(ROUNDS):
            operation, spec = _job(live_emulator, number)
            order = {"operation": operation, "spec": spec, "key": f"round-{number}" if number % 2 else None}
            owners = runs if number % 2 else [runs[0]] * 2
            before = len(ledger.submissions)
            handles = await _at_once([one, other], [order | {"run_id": run_id} for run_id in owners])
            made = [job for job in ledger.submissions[before:] if job.job_id]
            assert [job.operation for job in made] == [operation], f"round {number}: {made}; {handles}"
            ids = [handle.get("job_id") for handle in handles]
            assert ids[0] == ids[1], f"round {number}: {handles}"
            assert ids[0] in _names_of(live_emulator, made[0].job_id), f"round {number}: {made}; {handles}"
    keys = [job.key or job.target_id for job in ledger.submissions if job.job_id]
    assert len(set(keys)) == len(keys) == ROUNDS


def _job(emulator: Emulator, number: int) -> tuple[str, dict[str, Any]]:
    """A different job for each round."""
    jobs: list[tuple[str, dict[str, Any]]] = [
        ("createJob", {"tasks": [{"engine_id": ENGINE_ID, "payload": {"round": number}}]}),
        ("launchSingleEngineJob", {"engine_id": ENGINE_ID, "upload_url": f"https://m.example.invalid/{number}.mp4"}),
        (
            "createProject",
            {
                "name": f"project-{number}",
                "documents": [{"name": "a.txt", "external_url": "https://files.example.invalid/a.txt"}],
            },
        ),
        (
            "autoLabelTokenBasedProject",
            {
                "project_id": emulator.datasaur.plant_project().id,
                "labeler_email": "labeler@example.invalid",
                "target_endpoint": "https://model.example.invalid/predict",
                "target_secret": "s3cret",
            },
        ),
    ]
    return jobs[number // 2 % len(jobs)]


def _names_of(emulator: Emulator, job_id: str | None) -> set[str | None]:
    """A job's id and, for a project, the project's id, under which it may have been found."""
    job = emulator.datasaur.jobs.get(job_id or "")
    return {job_id, f"project:{job.result_id}" if job and job.result_id else None}


async def _flow_runs(count: int) -> list[str]:
    async with get_client() as client:
        return [str((await client.create_flow_run(owner)).id) for _ in range(count)]


@asynccontextmanager
async def _process(emulator: Emulator) -> AsyncIterator[Process]:
    """A process that submits; it ends with its input, or is killed."""
    address = PREFECT_API_URL.value()
    assert address
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.blocks.submitting_process"),
        cwd=ROOT,
        env=os.environ | {"PREFECT_API_URL": address},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        accounts = emulator.accounts
        await _tell(
            process,
            {
                "url": emulator.url,
                "token": accounts.aiware_token,
                "client_id": accounts.datasaur_client_id,
                "client_secret": accounts.datasaur_client_secret,
            },
        )
        yield process
        assert process.stdin
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), SILENCE_S) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _at_once(processes: list[Process], orders: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each process its input, release both when they are ready, and read their handles."""
    for process, order in zip(processes, orders, strict=True):
        await _tell(process, order)
    assert [await _hear(process) for process in processes] == ["ready"] * len(processes)
    for process in processes:
        assert process.stdin
        process.stdin.write(b"go\n")
    return [json.loads(await _hear(process)) for process in processes]


async def _tell(process: Process, what: dict[str, Any]) -> None:
    assert process.stdin
    process.stdin.write(json.dumps(what).encode() + b"\n")
    await process.stdin.drain()


async def _hear(process: Process) -> str:
    assert process.stdout
    line = await asyncio.wait_for(process.stdout.readline(), SILENCE_S)
    assert line, "the process ended"
    return line.decode().strip()
