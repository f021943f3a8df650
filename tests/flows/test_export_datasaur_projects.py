"""Many projects in one flow run, each exported into a file of its own."""

from __future__ import annotations

import zipfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flows.export_datasaur_projects import export_datasaur_projects
from graphql_jobs.emulator import JobFault
from tasks import batch
from tests.tasks.task_runs import task_run_names

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator
    from tests.conftest import Deploy, RunsOf
    from tests.flows.conftest import MakeRun

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("saved")]

NIGHT = datetime(2026, 11, 28, 22, tzinfo=UTC).timestamp()


def plant(emulator: Emulator) -> list[str]:
    """Twelve projects of a team that are complete, and four others. Returns the twelve ids."""
    world = emulator.datasaur
    wanted = [
        world.plant_project(
            name=f"Interviews {number}", team_id="7", tags=["night"], status="COMPLETE", updated_at=NIGHT
        )
        for number in range(12)
    ]
    others: list[dict[str, Any]] = [
        {"tags": []},
        {"status": "IN_PROGRESS"},
        {"team_id": "8"},
        {"updated_at": NIGHT - 86400},
    ]
    for other in others:
        given: dict[str, Any] = {"team_id": "7", "tags": ["night"], "status": "COMPLETE", "updated_at": NIGHT}
        world.plant_project(**(given | other))
    return [project.id for project in wanted]


@pytest.mark.walk
async def test_projects_that_are_found_are_exported_once_each(
    make_run: MakeRun,
    emulator: Emulator,
    deploy: Deploy,
    runs_of: RunsOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twelve of sixteen projects, one export fails: run again with the key, only that one is exported again."""
    monkeypatch.setattr(batch, "GROUP", 5)
    project_ids = plant(emulator)
    downstream = await deploy("after-the-exports")
    parameters: dict[str, Any] = {
        "team_id": "7",
        "tag": "night",
        "since": "2026-11-28",
        "until": "2026-11-28",
        "key": "2026-11-28",
        "result_folder": str(tmp_path),
        "downstream": [downstream],
        "start_downstream_when": "all succeeded",
    }
    emulator.faults.add(JobFault("job_fails", key=project_ids[3]))
    state = await (await make_run(export_datasaur_projects, **parameters))()
    assert state.name == "JobFailed", state.message
    emulator.faults.clear()
    # As in another process, which does not have the addresses of the files.
    again = await make_run(export_datasaur_projects, **parameters)
    state = await again()
    assert state.name == "Completed", state.message
    await (await make_run(export_datasaur_projects, **parameters))()
    exports = Counter(one.key for one in emulator.ledger.submissions)
    assert exports == Counter(project_ids) + Counter(project_ids[3:4])

    [handed_over] = await runs_of(downstream)
    outcomes = handed_over.parameters["jobs"]
    assert [one["project"] for one in outcomes] == sorted(project_ids)
    assert {one["state"] for one in outcomes} == {"SUCCEEDED"}
    files = {Path(one["file"]) for one in outcomes}
    assert len(files) == len(project_ids)
    assert all(zipfile.is_zipfile(file) for file in files)
    groups = [f"submit {number} jobs" for number in (2, 5, 5)]
    names = ["list projects", f"start {downstream}", *groups, "wait for 12 Datasaur jobs"]
    assert await task_run_names(again.id, len(names)) == names


@pytest.mark.parametrize("wrong", [{}, {"status": "COMPLETE"}, {"project_ids": ["a"], "team_id": "7"}])
async def test_projects_are_given_or_found(make_run: MakeRun, emulator: Emulator, wrong: dict[str, Any]) -> None:
    """Neither, a status alone, or both: nothing is sent."""
    state = await (await make_run(export_datasaur_projects, **wrong))()
    assert state.name == "InvalidInput"
    assert emulator.ledger.requests == []
