"""What people and automations see of a job: its events, its artifacts, and the messages of its run."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from blocks.reporting import artifacts, events
from blocks.reporting.artifacts import key_of
from graphql_jobs.emulator import Emulator, Fault, JobFault
from tests.flows.conftest import ENGINE_ID, SUBMITTING, WAITING, MakeRun, OneRun, jobs
from tests.reported import artifacts_of, events_of

if TYPE_CHECKING:
    from tests.conftest import Deploy, RunsOf

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("saved")]

TASKS = {"tasks": [{"engine_id": ENGINE_ID}] * 3}


async def test_job_leaves_one_report_and_a_few_writes(
    make_run: MakeRun, emulator: Emulator, deploy: Deploy, runs_of: RunsOf, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Its state, tasks, picture, first words and downstream run; at most 2 + changes writes; the same after a retry."""
    writes = []
    write = artifacts._write

    async def counted(*args: Any) -> None:
        writes.append(args)
        await write(*args)

    monkeypatch.setattr(artifacts, "_write", counted)
    caplog.set_level(logging.INFO)
    downstream = await deploy("after-a-report")
    run = await make_run(SUBMITTING["aiware tasks"], **TASKS, downstream=[downstream])
    state = await run()
    [job_id] = jobs(emulator)
    changes = [line for line in caplog.messages if line.startswith(f"aiWARE job {job_id}: ")]
    assert 3 <= len(writes) <= 2 + len(changes)
    assert str(state.message).startswith(f"aiWARE job {job_id} succeeded in ")
    assert str(state.message).endswith(" s; 1 downstream run started.")
    assert "Fetched 3 engine results of aiWARE job" in caplog.text

    kept = await artifacts_of(run.id)
    key = key_of("aiware", f"{emulator.url}/v3/graphql", job_id)
    assert kept.keys() == {key, f"{key}-progress"}
    assert (kept[f"{key}-progress"].type, kept[f"{key}-progress"].data) == ("progress", 100)
    text = str(kept[key].data)
    assert "| **State** | SUCCEEDED (`complete`) |" in text
    assert text.count("`complete`") == 1
    assert text.count(f"| `{ENGINE_ID}` | complete |") == 3
    assert "](data:image/svg+xml;base64," in text
    assert "> We the people" in text
    [started] = await runs_of(downstream)
    assert str(started.id) in text

    await run()
    assert (await artifacts_of(run.id)).keys() == kept.keys()


async def test_several_jobs_have_one_table_and_one_picture(make_run: MakeRun, emulator: Emulator) -> None:
    """Three jobs, one of them failed: it is the first row, with its reason."""
    job_ids = [emulator.aiware.plant(status=word).id for word in ("complete", "failed", "complete")]
    run = await make_run(WAITING, job_ids=job_ids)
    await run()
    kept = await artifacts_of(run.id)
    [one] = [artifact for artifact in kept.values() if artifact.type == "markdown"]
    assert one.description == "3 aiWARE jobs: state, duration and reason of each"
    text = str(one.data)
    assert len(kept) == 2
    assert text.startswith("## 3 of 3 aiWARE jobs ended")
    assert text.count("data:image") == 1
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert [job_id in row for job_id, row in zip([job_ids[1]], rows, strict=False)] == [True]
    assert len(rows) == 3


async def test_outage_of_artifacts_and_events_changes_nothing(
    make_run: MakeRun, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write of an artifact hangs, and each event raises: Completed, and the clock of the wait is the same."""

    async def hangs(*_: object) -> None:
        await asyncio.sleep(3600)

    def raises(*_: object, **__: object) -> None:
        raise OSError("no events")

    monkeypatch.setattr(artifacts, "_write", hangs)
    monkeypatch.setattr(artifacts, "_WRITE_S", 0.01)
    monkeypatch.setattr(events, "emit_event", raises)
    run = await make_run(SUBMITTING["aiware tasks"])
    state = await run()
    assert state.name == "Completed", state.message
    assert await artifacts_of(run.id) == {}


async def test_each_change_of_a_job_is_an_event(make_run: MakeRun, emulator: Emulator) -> None:
    """All events, read from Prefect's API: the job is the resource, the run is related, and the payload is complete."""
    wanted: dict[str, tuple[str, OneRun]] = {}

    async def go(case: Any, *changes: str, faults: list[Any] = [], **parameters: Any) -> None:  # noqa: B006
        emulator.faults.add(*faults)
        run = await make_run(case, **parameters)
        await run()
        emulator.faults.clear()
        job_id = jobs(emulator)[-1] if "submission-unknown" not in changes and not parameters.get("job_ids") else ""
        for change in changes:
            wanted[change] = (job_id or next(iter(parameters.get("job_ids", [])), ""), run)

    tasks = SUBMITTING["aiware tasks"]
    await go(tasks, "submitted", "running", "succeeded")
    await go(tasks, "failed", faults=[JobFault("job_fails", failure_message="the disk is full")])
    await go(WAITING, "cancelled", job_ids=[emulator.aiware.plant(status="aborted", tasks=[]).id])
    await go(WAITING, "lost", job_ids=["nobody-knows"])
    await go(tasks, "timed-out", "left-running", faults=[JobFault("stuck")], give_up_after_s=60)
    lost = Fault("drop_after", operation="autoLabelTokenBasedProject", times=None)
    await go(SUBMITTING["auto-label"], "submission-unknown", faults=[lost])
    assert wanted.keys() == set(events.CHANGES)

    found = await events_of({run.id for _, run in wanted.values()}, len(wanted) + 3)
    for change, (job_id, run) in wanted.items():
        name = f"graphql-jobs.job.{change}"
        [event] = [one for one in found if one.event == name and str(run.id) == one.payload["flow_run_id"]]
        assert set(event.payload) == set(events.JobEvent.__annotations__)
        assert event.payload["job_id"] == job_id
        assert f"prefect.flow-run.{run.id}" in {related.id for related in event.related}
        if job_id:
            assert event.resource.id == f"graphql-jobs.job.aiware.{job_id}"
    [failed] = [one for one in found if one.event == "graphql-jobs.job.failed"]
    assert "the disk is full" in failed.payload["reason"]
