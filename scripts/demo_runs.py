"""The runs of the demo: start them, watch them, and check their results."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from pydantic import SecretStr
from rich.live import Live
from rich.table import Table

from blocks import AiwareCredentials, DatasaurCredentials, DatasaurTargetApi

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun
    from rich.console import Console

    from scripts.stack import Stack

#: Our choice: ten times the duration of the demo on two busy cores.
_GIVE_UP_AFTER_S = 400.0
_DOWNSTREAM = "store-results/store-results"

# A transcription engine and a recording from the example in the provider's job quickstart (docs.veritone.com).
ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
MEDIA_URL = "https://media.example.com/HitchhikersGuide.mp4"
# The project of Datasaur's own page on checking a job.
PROJECT_ID = "HvdyIL2iwZn"
LABELER_EMAIL = "labeler@example.com"


@dataclass
class _Shown:
    """One run of the demo."""

    title: str
    deployment: str
    operation: str
    parameters: dict[str, Any]
    run: FlowRun | None = None
    downstream: list[FlowRun] | None = None

    @property
    def finished(self) -> bool:
        """Whether the run and all runs that it started have ended."""
        runs = [self.run, *(self.downstream or [])]
        return all(run is not None and run.state is not None and run.state.is_final() for run in runs)

    @property
    def status(self) -> str:
        """The states of the run and of its downstream runs, in words."""
        followers = ", ".join(_state(run) for run in self.downstream or [])
        return _state(self.run) + (f", then downstream {followers}" if followers else "")

    @property
    def job(self) -> dict[str, Any]:
        """The job in the parameters of its downstream run; empty before there is one."""
        jobs = self.downstream[0].parameters.get("jobs") if self.downstream else None
        return dict(jobs[0]) if jobs else {}


def _plan() -> list[_Shown]:
    common = {"max_poll_interval_s": 2, "give_up_after_s": _GIVE_UP_AFTER_S, "downstream": [_DOWNSTREAM]}
    aiware = {"engine_id": ENGINE_ID, "upload_url": MEDIA_URL} | common
    label = {"project_id": PROJECT_ID, "labeler_email": LABELER_EMAIL} | common
    export = {"project_ids": [PROJECT_ID], "file_name": "demo"} | common
    return [
        _Shown("aiWARE transcription", "run-aiware-engine/aiware-engine", "launchSingleEngineJob", aiware),
        _Shown(
            "Datasaur auto-label", "run-datasaur-auto-label/datasaur-auto-label", "autoLabelTokenBasedProject", label
        ),
        _Shown("Datasaur export", "run-datasaur-export/datasaur-export", "exportTextProject", export),
    ]


async def show(stack: Stack, console: Console) -> list[str]:
    """Run the demo's jobs, print the table, and return the failed checks."""
    await save_blocks(stack)
    plan = _plan()
    async with get_client() as client:
        for shown in plan:
            deployment = await client.read_deployment_by_name(shown.deployment)
            shown.run = await client.create_flow_run_from_deployment(deployment.id, parameters=shown.parameters)
        downstream_id = (await client.read_deployment_by_name(_DOWNSTREAM)).id
        console.print(f"Three flow runs were created; a worker runs them. The server: {stack.url}")
        await _watch(client, plan, downstream_id, console)
    ledger = stack.ledger()
    console.print(_table(plan, ledger))
    return _problems(stack, plan, ledger)


async def save_blocks(stack: Stack) -> None:
    """Save the credentials of the stack's emulator under the names in prefect.yaml."""
    emulator = stack.emulator
    await AiwareCredentials(base_url=emulator["url"], token=SecretStr(emulator["aiware_token"])).asave(
        "aiware", overwrite=True
    )
    await DatasaurCredentials(
        base_url=emulator["url"],
        client_id=emulator["datasaur_client_id"],
        client_secret=SecretStr(emulator["datasaur_client_secret"]),
    ).asave("datasaur", overwrite=True)
    model = DatasaurTargetApi(endpoint="https://model.example.com/predict", secret_key=SecretStr(stack.target_secret))
    await model.asave("datasaur-target-api", overwrite=True)


async def _watch(client: PrefectClient, plan: list[_Shown], downstream_id: UUID, console: Console) -> None:
    told: dict[str, str] = {}
    with Live(_progress(plan), console=console, transient=True, refresh_per_second=4) as live:
        for _ in range(int(_GIVE_UP_AFTER_S)):
            await _refresh(client, plan, downstream_id)
            live.update(_progress(plan))
            for shown in plan:
                if told.get(shown.title) != shown.status:
                    told[shown.title] = shown.status
                    console.print(f"  {shown.title}: {shown.status}")
            if all(shown.finished for shown in plan):
                return
            await asyncio.sleep(1)


async def _refresh(client: PrefectClient, plan: list[_Shown], downstream_id: UUID) -> None:
    only = DeploymentFilter(id=DeploymentFilterId(any_=[downstream_id]))
    started = await client.read_flow_runs(deployment_filter=only)
    for shown in plan:
        if shown.run:
            shown.run = await client.read_flow_run(shown.run.id)
            shown.downstream = [run for run in started if await _is_child(client, run, shown.run.id)]


async def _is_child(client: PrefectClient, run: FlowRun, parent_id: UUID) -> bool:
    """Prefect links a started run to its starter through a task run of the starter."""
    if run.parent_task_run_id is None:
        return False
    return (await client.read_task_run(run.parent_task_run_id)).flow_run_id == parent_id


def _progress(plan: list[_Shown]) -> Table:
    table = Table("run", "state", "seconds", title="Waiting", title_justify="left")
    for shown in plan:
        table.add_row(shown.title, shown.status, _seconds(shown.run))
    return table


def _table(plan: list[_Shown], ledger: dict[str, Any]) -> Table:
    table = Table("what", "job", "job state", "run state", "seconds", "status requests", "downstream runs")
    for shown in plan:
        job_id = shown.job.get("job_id", "?")
        asked = str(sum(job_id in request["job_ids"] for request in ledger["requests"]))
        downstream = ", ".join(f"{run.name} {_state(run)}" for run in shown.downstream or [])
        row = (shown.title, job_id, shown.job.get("state", "?"), _state(shown.run), _seconds(shown.run), asked)
        table.add_row(*row, downstream)
    return table


def _state(run: FlowRun | None) -> str:
    return run.state.name or str(run.state.type) if run and run.state else "?"


def _seconds(run: FlowRun | None) -> str:
    return f"{run.estimated_run_time.total_seconds():.1f}" if run else "?"


def _problems(stack: Stack, plan: list[_Shown], ledger: dict[str, Any]) -> list[str]:
    problems = []
    for shown in plan:
        if _state(shown.run) != "Completed":
            message = shown.run.state.message if shown.run and shown.run.state else ""
            problems.append(f"{shown.title}: the run ended as {_state(shown.run)}: {message}")
        if [_state(run) for run in shown.downstream or []] != ["Completed"]:
            problems.append(f"{shown.title}: {len(shown.downstream or [])} downstream runs, not one that completed.")
        submitted = [entry["job_id"] for entry in ledger["submissions"] if entry["operation"] == shown.operation]
        if submitted != [shown.job.get("job_id")]:
            problems.append(f"{shown.title}: the provider saw the submissions {submitted}, and not just this job.")
    stored = _stored(stack.folder / "prefect" / "graphql-jobs" / "results" / "results.sqlite")
    if stored != {shown.job.get("job_id"): "SUCCEEDED" for shown in plan}:
        problems.append(f"the downstream file holds {stored}.")
    exported = json.loads(plan[2].job.get("result") or "{}").get("file")
    if not exported or not zipfile.is_zipfile(exported):
        problems.append("the exported file is not there, or no zip.")
    return problems + [f"{leak} in clear." for leak in stack.leaks()] + stack.errors()


def _stored(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT job_id, state FROM jobs").fetchall())
