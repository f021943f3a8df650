"""The whole installation: a real server, a real process worker, every deployment of prefect.yaml.

It waits for real processes, so it sleeps in real time between two polls of the server.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.server.schemas import schedules

from scripts.demo_runs import save_blocks
from scripts.stack import ROOT, Stack
from tests.deployed_runs import GIVE_UP_AFTER_S, all_ended, start
from tests.prefect_api import api_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun

pytestmark = pytest.mark.prefect

PREFECT_YAML: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text())
ENTRYPOINTS = sorted({deployment["entrypoint"] for deployment in PREFECT_YAML["deployments"]})
ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
#: The job of Datasaur's own page on checking a job, which the emulator has from the start.
FINISHED_JOB = "AutoLabelQueue:dcbf6ed3-3841-46c1-8f6a-2affb53ac637"
#: The sixth field is that of seconds.
EVERY_TEN_SECONDS = "* * * * * */10"
SOON = {"max_poll_interval_s": 1}
STORE = {"downstream": ["store-results/store-results"]}

#: Prints the name of each flow. Each is loaded in a process of its own that has imported libraries and nothing of ours.
LOAD_EACH = """
import importlib, os, sys
import aiohttp, gql.transport.aiohttp, pydantic.v1, prefect.client.orchestration, prefect.deployments, prefect.flow_runs
import prefect.main, prefect.runtime, prefect.utilities.schema_tools.hydration, prefect.variables
sys.path.insert(0, sys.argv[1])
failed = []
for entrypoint in sys.argv[2:]:
    if not (child := os.fork()):
        module, _, flow = entrypoint.rpartition(".")
        print(getattr(importlib.import_module(module), flow).name, flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        failed.append(entrypoint)
sys.exit(f"could not be loaded: {failed}" if failed else 0)
"""

# Deployment, parameters beside the deployment's own, name of the state in which the run must end.
RUNS: list[tuple[str, dict[str, Any], str]] = [
    (
        "run-aiware-engine/aiware-engine",
        {"engine_id": ENGINE_ID, "upload_url": "https://media.example.com/a", **SOON},
        "Completed",
    ),
    (
        "run-aiware-jobs/aiware-recordings",
        {"engine_id": ENGINE_ID, "recordings": [f"https://media.example.com/{one}" for one in "bc"], **SOON},
        "Completed",
    ),
    (
        "run-aiware-job/aiware-tasks",
        {"engine_id": "no-such-engine", "upload_url": "https://a.example.com/b"},
        "RequestFailed",
    ),
    (
        "run-datasaur-auto-label/datasaur-auto-label",
        {"project_id": "HvdyIL2iwZn", "labeler_email": "a@example.com", **SOON},
        "Completed",
    ),
    (
        "run-datasaur-export/datasaur-export",
        {"project_ids": ["HvdyIL2iwZn"], "file_name": "out", **SOON, **STORE},
        "Completed",
    ),
    ("run-datasaur-export/datasaur-export-nightly", SOON, "Completed"),
    (
        "create-datasaur-project/datasaur-project",
        {"name": "made here", "documents": [{"name": "a.txt", "external_url": "https://a.example.com/a.txt"}], **SOON},
        "Completed",
    ),
    ("run-graphql-job/graphql-job", {"credentials": "not-saved"}, "InvalidInput"),
    (
        "wait-for-jobs/wait-for-jobs",
        {"provider": "datasaur", "job_ids": [FINISHED_JOB], **STORE},
        "Completed",
    ),
    (
        "wait-for-jobs/wait-for-jobs",
        {"provider": "aiware", "job_ids": ["2791851b-0d02-4aaf-97e0-cd77a2e771ad"], "give_up_after_s": 1},
        "TimedOut",
    ),
    ("reap-orphans/reap-orphans", {"from_hours_ago": 1}, "Completed"),
]


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[PrefectClient]:
    with api_at(stack.environment["PREFECT_API_URL"]):
        async with get_client() as client:
            await save_blocks(stack)
            yield client


async def test_every_deployment_runs_on_a_worker_and_ends_as_it_must(stack: Stack, client: PrefectClient) -> None:
    """Run through the API, with a refused job and one that does not end in time; no secret is stored in clear."""
    before = len(stack.ledger()["submissions"])
    runs = [await start(client, name, parameters) for name, parameters, _ in RUNS]
    ended = await all_ended(client, runs)
    assert [(run.state.name if run.state else None) for run in ended] == [state for *_, state in RUNS], stack.log(
        "worker-1"
    )[-5000:]
    await the_hand_over_happened_once(client)
    submitted = [entry["operation"] for entry in stack.ledger()["submissions"][before:]]
    assert submitted.count("launchSingleEngineJob") == 3
    assert submitted.count("autoLabelTokenBasedProject") == 1
    assert submitted.count("exportTextProject") == 2
    assert stack.leaks() == []


async def test_schedule_starts_runs_again_and_again(stack: Stack, client: PrefectClient) -> None:
    """A deployment with a cron schedule: its first two scheduled runs complete, without a manual start."""
    deployment = await client.read_deployment_by_name("wait-for-jobs/wait-for-jobs")
    schedule = DeploymentScheduleCreate(
        schedule=CronSchedule(cron=EVERY_TEN_SECONDS, timezone="UTC"),
        parameters={"provider": "datasaur", "job_ids": [FINISHED_JOB]},
    )
    # A separate deployment: the server schedules new deployments immediately, and all others once a minute.
    scheduled_id = await client.create_deployment(
        deployment.flow_id,
        "scheduled",
        schedules=[schedule],
        entrypoint=deployment.entrypoint,
        pull_steps=deployment.pull_steps,
        work_pool_name=deployment.work_pool_name,
        parameters=deployment.parameters,
        parameter_openapi_schema=deployment.parameter_openapi_schema,
    )
    try:
        completed = await scheduled_runs_completed(client, scheduled_id, 2)
    finally:
        await client.pause_deployment(scheduled_id)
        await no_run_is_under_way(client, scheduled_id)  # a run whose deployment is deleted crashes
        await client.delete_deployment(scheduled_id)
    assert len(completed) == 2, stack.log("server")[-5000:]
    assert all(run.auto_scheduled for run in completed)


async def scheduled_runs_completed(client: PrefectClient, deployment_id: UUID, count: int) -> list[FlowRun]:
    only = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
    completed: list[FlowRun] = []
    for _ in range(GIVE_UP_AFTER_S):
        runs = await client.read_flow_runs(deployment_filter=only, sort=FlowRunSort.EXPECTED_START_TIME_ASC)
        completed = [run for run in runs[:count] if run.state and run.state.is_completed()]
        if len(completed) == count:
            break
        await asyncio.sleep(1)
    return completed


async def no_run_is_under_way(client: PrefectClient, deployment_id: UUID) -> None:
    only = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
    for _ in range(GIVE_UP_AFTER_S):
        runs = await client.read_flow_runs(deployment_filter=only)
        if all(run.state and (run.state.is_final() or run.state.is_scheduled()) for run in runs):
            return
        await asyncio.sleep(1)


async def the_hand_over_happened_once(client: PrefectClient) -> None:
    """Three of the runs name the example flow as what comes next: three runs of it, each with the finished jobs."""
    deployment = await client.read_deployment_by_name("store-results/store-results")
    followers = [run for run in await client.read_flow_runs() if run.deployment_id == deployment.id]
    ended = await all_ended(client, followers)
    assert [run.state.name for run in ended if run.state] == ["Completed"] * 3
    assert {run.parameters["jobs"][0]["state"] for run in ended} == {"SUCCEEDED"}


def test_every_entrypoint_loads_in_a_clean_interpreter(tmp_path: Path) -> None:
    """`python -I` sees neither the caller's path nor an installed project; the clone's root is all it gets."""
    environment = os.environ | {"PREFECT_HOME": str(tmp_path)}
    command = [sys.executable, "-I", "-c", LOAD_EACH, str(ROOT), *ENTRYPOINTS]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [entrypoint.rpartition(".")[2].replace("_", "-") for entrypoint in ENTRYPOINTS]


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.CronSchedule(cron="0 3 * * *", timezone="Europe/Berlin"),
        schedules.CronSchedule(cron="* * * * *"),
        schedules.IntervalSchedule(interval=timedelta(minutes=1)),
        schedules.RRuleSchedule(rrule="FREQ=DAILY"),
    ],
)
async def test_server_computes_the_dates_of_each_kind_of_schedule(schedule: Any) -> None:
    """The versions of the lock work together: with whenever 0.10.5, a cron schedule gave an error instead of dates."""
    start = datetime(2026, 3, 28, 12, tzinfo=UTC)
    dates = await schedule.get_dates(3, start=start)
    assert len(dates) == 3
    assert all(date >= start for date in dates)


def test_every_flow_is_deployed() -> None:
    """A flow that is missing in prefect.yaml cannot be started from the UI."""
    files = [*(ROOT / "flows").glob("*.py"), *(ROOT / "flows" / "examples").glob("nightly_*.py")]
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path.stem for path in files}
    assert {f"{module}.{name}" for module, name in modules.items() if name != "__init__"} == set(ENTRYPOINTS)


def test_overlapping_runs_of_a_schedule_wait_or_are_cancelled() -> None:
    """A pipeline or a watcher waits for the one before it, which may be dead; a repeated export is cancelled."""
    limits = {one["name"]: one.get("concurrency_limit") for one in PREFECT_YAML["deployments"]}
    limited = {name: limit["collision_strategy"] for name, limit in limits.items() if limit and limit["limit"] == 1}
    waiting = dict.fromkeys(["nightly-transcripts", "nightly-labels", "watch-suspended-runs"], "ENQUEUE")
    assert limited == waiting | dict.fromkeys(["datasaur-export-nightly", "reap-orphans"], "CANCEL_NEW")
    assert limited.keys() >= {one["name"] for one in PREFECT_YAML["deployments"] if one.get("schedules")}
