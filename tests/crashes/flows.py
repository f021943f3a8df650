"""The flows as they are deployed for the crash test: the real ones, in a process that kills itself at a given point.

The whole kill switch is here and in `proxy`; the code under test does not know it. A trial's plan is a file that is
named like its flow run; the killer removes it first, so that each trial is killed once.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.deployments import arun_deployment as start
from prefect.runtime import flow_run

from blocks.runs.store import RunStore
from flows.create_datasaur_project import create_datasaur_project
from flows.run_aiware_job import run_aiware_job
from flows.run_datasaur_auto_label import run_datasaur_auto_label
from flows.run_datasaur_export import run_datasaur_export
from flows.store_results import store_results
from graphql_jobs.job import Job
from graphql_jobs.providers.base import JobClient
from tasks import downstream, pipeline
from tasks import fetch_result as collect
from tests.crashes.plan import FOLDER_VARIABLE, Point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphql_jobs.handle import Seen

__all__ = [
    "create_datasaur_project",
    "run_aiware_job",
    "run_datasaur_auto_label",
    "run_datasaur_export",
    "store_results",
]

#: Polls are at least 0.2 s apart.
_INTO_THE_PAUSE_S = 0.1

_append = RunStore.append
_poll = JobClient.poll


def _planned(point: Point) -> dict[str, Any] | None:
    path = _path("json")
    plan: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return plan if plan.get("point") == point else None


def _path(kind: str) -> Path:
    return Path(os.environ[FOLDER_VARIABLE]) / f"{flow_run.name}.{kind}"


def _die() -> None:
    _path("json").rename(_path("struck"))
    os.kill(os.getpid(), signal.SIGKILL)


async def append(self: RunStore, key: str, number: int, entry: Mapping[str, Any]) -> bool:
    """The intent, the container and the handle are written here."""
    kind = entry.get("kind")
    if kind == "intent":
        _path("pid").write_text(str(os.getpid()))  # the proxy kills it
        if _planned(Point.BEFORE_INTENT):
            _die()
    if kind == "handle" and _planned(Point.ANSWERED):
        _die()
    written = await _append(self, key, number, entry)
    plan = _planned(Point.AFTER_INTENT)
    if plan and kind == ("container" if plan["after_container"] else "intent"):
        _die()
    return written


async def poll(self: JobClient, job_ids: Sequence[str], *, defer: bool) -> tuple[dict[str, Seen], set[str]]:
    """The first poll of a job that has not ended: the process is killed in the delay after it."""
    seen, deferred = await _poll(self, job_ids, defer=defer)
    if _planned(Point.WAITING) and any(isinstance(job, Job) and not job.state.is_terminal for job in seen.values()):
        asyncio.get_running_loop().call_later(_INTO_THE_PAUSE_S, _die)
    return seen, deferred


async def fetch_result(*args: Any, **kwargs: Any) -> Any:
    """The job has ended."""
    if _planned(Point.ENDED):
        _die()
    return await collect(*args, **kwargs)


async def arun_deployment(*args: Any, **kwargs: Any) -> Any:
    """Downstream was started."""
    run: Any = await start(*args, **kwargs)
    if _planned(Point.HANDED_OVER):
        _die()
    return run


for _owner, _name, _own in (
    (RunStore, "append", append),
    (JobClient, "poll", poll),
    (pipeline, "fetch_result", fetch_result),
    (downstream, "arun_deployment", arun_deployment),
):
    setattr(_owner, _name, _own)
