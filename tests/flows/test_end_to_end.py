"""Each flow from its parameters to downstream, in this process, against the emulator."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import files_in
from tests.flows.conftest import ENGINE_ID, SUBMITTING, WAITING, Case, Run, made

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator
    from tests.conftest import Deploy, RunsOf

pytestmark = [pytest.mark.prefect, pytest.mark.walk, pytest.mark.usefixtures("prefect_server")]


@pytest.mark.parametrize("name", SUBMITTING)
async def test_flow_submits_waits_and_hands_over_once(
    name: str, run: Run, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """One submission, one downstream run with the outcome; waiting for the same job again starts no second one."""
    case = SUBMITTING[name]
    downstream = await deploy(f"after-{name.replace(' ', '-')}")
    state = await run(case, downstream=[downstream])
    assert state.name == "Completed", state.message
    outcome = await state.result()
    assert made(emulator) == case.makes
    submission = emulator.ledger.submissions[-1]
    assert (submission.operation, submission.job_id) == (case.operation, outcome["job_id"])
    assert (outcome["provider"], outcome["state"]) == (submission.provider, "SUCCEEDED")
    [started] = await runs_of(downstream)
    assert started.parameters == {"jobs": [outcome]}

    again = {"provider": outcome["provider"], "job_ids": [outcome["job_id"]], "downstream": [downstream]}
    assert (await run(WAITING, **again)).name == "Completed"
    assert [run.id for run in await runs_of(downstream)] == [started.id]
    assert made(emulator) == case.makes


async def result_of(run: Run, case: Case, **changed: Any) -> dict[str, Any]:
    """The result of the job of a flow."""
    state = await run(case, **changed)
    outcome: dict[str, Any] = await state.result()
    made: dict[str, Any] = json.loads(outcome["result"])
    return made


async def test_aiware_engine_job_gives_its_engine_results(run: Run, emulator: Emulator) -> None:
    """An engine's own template on a recording, with fields and a cluster: the records of that engine."""
    fields = {"language": "en"}
    result = await result_of(run, SUBMITTING["aiware engine"], template_fields=fields, cluster_id="rt-1")
    assert [record["engineId"] for record in result["engine_results"]] == [ENGINE_ID]
    assert {field["fieldName"]: field["fieldValue"] for field in emulator.ledger.submissions[-1].spec["fields"]} == {
        "language": "en",
        "clusterId": "rt-1",
    }


async def test_aiware_job_with_tasks_is_sent_as_given(run: Run, emulator: Emulator) -> None:
    """Two tasks, their folders and the route between them, on a target that exists."""
    out, into = ({"reference_id": way, "mode": "chunk", "type": way} for way in ("output", "input"))
    target = emulator.aiware.add_tdo({"name": "recording"})
    adapter = {"engine_id": "9e611ad7-2d3b-48f6-a51b-0a1ba40fe255", "io_folders": [out]}
    engine = {"engine_id": ENGINE_ID, "payload": {"a": 1}, "io_folders": [into]}
    route = {"parent_io_folder_reference_id": "output", "child_io_folder_reference_id": "input"}
    state = await run(
        SUBMITTING["aiware tasks"], tasks=[adapter, engine], routes=[route], target_id=target.id, cluster_id="rt-1"
    )
    assert (await state.result())["target_id"] == target.id
    spec = emulator.ledger.submissions[0].spec
    assert [task["engineId"] for task in spec["tasks"]] == [adapter["engine_id"], ENGINE_ID]
    assert spec["routes"] == [
        {"parentIoFolderReferenceId": "output", "childIoFolderReferenceId": "input", "options": {}},
    ]
    assert (spec["targetId"], spec["clusterId"]) == (target.id, "rt-1")


async def test_auto_label_uses_the_model_of_the_block(run: Run, emulator: Emulator) -> None:
    """The endpoint comes from the target API block; lines and role from the parameters."""
    state = await run(SUBMITTING["auto-label"], lines_per_request=5, role="REVIEWER")
    assert (await state.result())["result"] == "{}"
    spec = emulator.ledger.submissions[0].spec
    assert spec["targetAPI"] == {"endpoint": "https://model.example.invalid/predict"}  # the ledger has no secretKey
    assert spec["options"]["numberOfFilesPerRequest"] == 5
    assert spec["role"] == "REVIEWER"


async def test_export_is_downloaded_into_the_folder(run: Run, tmp_path: Path) -> None:
    """A valid zip, and no other file, in the folder of the parameter."""
    result = await result_of(run, SUBMITTING["export"], result_folder=str(tmp_path / "new"), format="CSV")
    assert files_in(tmp_path / "new") == {result["file"]: result["size_bytes"]}
    assert zipfile.is_zipfile(result["file"])


async def test_export_into_external_storage_says_where_its_file_is(run: Run, emulator: Emulator) -> None:
    """The run succeeds without a file: the result has the storage and the key."""
    result = await result_of(
        run, SUBMITTING["export"], object_storage_id="storage-1", included_comment_type=["COMMENT"]
    )
    assert result == {"object_storage_id": "storage-1", "object_key": "all.zip", "file_name": "all"}
    assert emulator.ledger.count("download") == 0


async def test_folder_may_begin_with_a_tilde(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~/results` is a folder in the home directory, as for the job blocks and store_results."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    result = await result_of(run, SUBMITTING["export"], result_folder="~/results")
    assert Path(result["file"]).parent == tmp_path / "results"


async def test_new_project_gives_its_id(run: Run, emulator: Emulator) -> None:
    """The id of the project that the job created; settings are part of createProject's input."""
    case = SUBMITTING["project"]
    result = await result_of(run, case, team_id="5", settings={"tagNames": ["a"]}, kinds=["ROW_BASED"])
    [project] = [found for found in emulator.datasaur.projects.values() if found.name == "new"]
    assert result == {"result_id": project.id}
    assert (project.team_id, project.tags, project.kinds) == ("5", ("a",), ("ROW_BASED",))


async def test_several_deployments_are_started(run: Run, deploy: Deploy, runs_of: RunsOf) -> None:
    """Two names, one of them twice: one run of each."""
    names = [await deploy("follows-1"), await deploy("follows-2")]
    state = await run(SUBMITTING["export"], downstream=[*names, names[0]])
    assert state.name == "Completed"
    assert [len(await runs_of(name)) for name in names] == [1, 1]


async def test_two_submissions_are_two_jobs_with_two_downstream_runs(
    run: Run, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """The same export twice: two jobs, and a downstream run for each."""
    downstream = await deploy("after-each")
    for _ in range(2):
        assert (await run(SUBMITTING["export"], downstream=[downstream])).name == "Completed"
    assert len(emulator.ledger.submissions) == len(await runs_of(downstream)) == 2
