"""Many recordings in one flow run: nothing is submitted twice, and few Prefect task runs serve any number of jobs."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from blocks.reporting.events import PREFIX
from flows.run_aiware_jobs import run_aiware_jobs
from graphql_jobs.emulator import JobFault
from tasks import batch
from tests.flows.conftest import ENGINE_ID
from tests.reported import events_of
from tests.tasks.task_runs import task_run_names

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator
    from tests.conftest import Deploy, RunsOf
    from tests.flows.conftest import MakeRun

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("saved")]

RECORDINGS = [f"https://media.example.com/{number}.mp4?signature={number}" for number in range(25)]


async def test_batch_that_was_cut_off_continues_and_submits_each_recording_once(
    make_run: MakeRun,
    emulator: Emulator,
    deploy: Deploy,
    runs_of: RunsOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cut off while it submits, and run again by another run with the key: 25 jobs, one hand-over, three groups."""
    monkeypatch.setattr(batch, "GROUP", 10)
    downstream = await deploy("after-a-batch")
    parameters: dict[str, Any] = {
        "engine_id": ENGINE_ID,
        "recordings": [*RECORDINGS, RECORDINGS[0]],
        "key": "nightly-2026-11-28",
        "submissions_per_s": 20,
        "results": str(tmp_path / "results"),
        "downstream": [downstream],
    }
    emulator.faults.add(JobFault("job_fails", skip=20))
    first = asyncio.create_task((await make_run(run_aiware_jobs, **parameters))())
    while len(emulator.ledger.submissions) < 15 and not first.done():  # noqa: ASYNC110 (the ledger has no event)
        await asyncio.sleep(0.01)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    second = await make_run(run_aiware_jobs, **parameters)
    state = await second()
    assert state.name == "JobFailed", state.message
    jobs = [one.job_id for one in emulator.ledger.submissions if one.job_id]
    assert len(jobs) == len(set(jobs)) == len(RECORDINGS)
    [handed_over] = await runs_of(downstream)
    outcomes = handed_over.parameters["jobs"]
    assert {one["job_id"] for one in outcomes} == set(jobs)
    assert [one["recording"] for one in outcomes] == [address.partition("?")[0] for address in RECORDINGS]
    assert Counter(one["state"] for one in outcomes) == {"SUCCEEDED": 24, "FAILED": 1}
    files = [Path(one["file"]) for one in outcomes if "file" in one]
    assert len({file for file in files if json.loads(file.read_text())["engine_results"]}) == 24
    groups = ["submit 10 jobs", "submit 10 jobs", "submit 5 jobs"]
    # The Prefect task that waits ends as JobFailed, since one of the jobs failed.
    assert await task_run_names(second.id, 4) == [f"start {downstream}", *groups]
    assert "signature" not in json.dumps(outcomes)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"recordings": RECORDINGS, "listing": "https://media.example.com/"},
        {"folder": "/tmp"},
        {"folder": "/absent", "folder_url": "https://media.example.com/"},
    ],
)
async def test_recordings_come_from_one_place(make_run: MakeRun, emulator: Emulator, wrong: dict[str, Any]) -> None:
    """Neither, or two of them, or a folder without its address: nothing is sent."""
    state = await (await make_run(run_aiware_jobs, engine_id="engine", **wrong))()
    assert state.name == "InvalidInput"
    assert emulator.ledger.requests == []


async def test_jobs_of_a_batch_are_events_and_force_resubmit_submits_again(
    make_run: MakeRun, emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One of two jobs is late; the next run with the key submits both again. An unknown engine leaves no traceback."""
    parameters = {"engine_id": ENGINE_ID, "recordings": RECORDINGS[:2], "key": "forced", "results": str(tmp_path)}
    emulator.faults.add(JobFault("stuck", skip=1), JobFault("stuck", skip=1))
    run = await make_run(run_aiware_jobs, **parameters, give_up_after_s=600)
    assert (await run()).name == "TimedOut"
    found = await events_of([run.id], 6)
    seen = Counter(event.event.removeprefix(PREFIX) for event in found)
    assert seen == {"submitted": 2, "running": 1, "succeeded": 1, "timed-out": 1, "left-running": 1}
    jobs = {one.job_id for one in emulator.ledger.submissions if one.job_id}
    assert {event.payload["job_id"] for event in found} == jobs
    assert len(jobs) == 2

    again = await make_run(run_aiware_jobs, **parameters, force_resubmit=True)
    emulator.faults.clear()
    assert (await again()).name == "Completed"
    assert len({one.job_id for one in emulator.ledger.submissions if one.job_id} - jobs) == 2

    absent = await make_run(run_aiware_jobs, **parameters | {"engine_id": "absent", "key": "other"})
    assert (await absent()).name == "RequestFailed"
    assert [one for one in caplog.records if one.name == "prefect.task_runs" and one.exc_info] == []
