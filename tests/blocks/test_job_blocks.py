"""Job blocks: saved, loaded, triggered, waited for, fetched and cancelled."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import pytest
from prefect import flow
from prefect.runtime import flow_run
from pydantic import ValidationError

from blocks import (
    AiwareCredentials,
    AiwareEngineJob,
    DatasaurAutoLabel,
    DatasaurCredentials,
    DatasaurExport,
    DatasaurTargetApi,
)
from blocks.fields import WaitSettings
from blocks.reporting import events, reporter
from blocks.runs.job_run import RemoteJobRun
from graphql_jobs.emulator import Emulator, Fault, JobFault
from graphql_jobs.errors import CancelRefused, JobCancelled, JobFailed, SubmissionUnknown, WaitTimedOut
from tests.conftest import files_in
from tests.reported import artifacts_of, events_of

if TYPE_CHECKING:
    # Not at run time, when `JobBlock[...]` would make and register a block class of that name.
    from collections.abc import Callable
    from pathlib import Path

    from prefect.blocks.abstract import JobBlock

    Make = Callable[[str], JobBlock[Any]]

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
MEDIA_URL = "https://media.example.invalid/a.mp4?signature=x"


@pytest.fixture
def make(
    aiware: AiwareCredentials, datasaur: DatasaurCredentials, target_api: DatasaurTargetApi, tmp_path: Path
) -> Make:
    """Makes a job block of each kind."""
    waiting = WaitSettings(give_up_after_s=600, result_folder=str(tmp_path / "results"))

    def build(kind: str) -> JobBlock[Any]:
        if kind == "engine":
            return AiwareEngineJob(
                credentials=aiware,
                engine_id=ENGINE_ID,
                upload_url=MEDIA_URL,
                fields={"language": "en"},
                waiting=waiting,
            )
        if kind == "auto-label":
            return DatasaurAutoLabel(
                credentials=datasaur,
                target_api=target_api,
                project_id="HvdyIL2iwZn",
                labeler_email="labeler@example.invalid",
                waiting=waiting,
            )
        return DatasaurExport(credentials=datasaur, project_ids=["HvdyIL2iwZn"], file_name="all", waiting=waiting)

    return build


async def stored(block: JobBlock[Any]) -> JobBlock[Any]:
    """The block after it was saved and loaded."""
    await block.asave("walked", overwrite=True)
    return cast("JobBlock[Any]", await type(block).aload("walked"))


async def trigger(block: JobBlock[Any]) -> RemoteJobRun:
    """The run of the triggered block."""
    run = await block.trigger()
    assert isinstance(run, RemoteJobRun)
    return run


async def test_engine_job_block_triggers_waits_and_fetches(make: Make, emulator: Emulator) -> None:
    """Load by name, trigger, wait, fetch: one job at aiWARE, and the result of its engine."""
    run = await trigger(await stored(make("engine")))
    await run.wait_for_completion()
    result = await run.fetch_result()
    assert [record["engineId"] for record in result["engine_results"]] == [ENGINE_ID]
    container, job = emulator.ledger.submissions
    assert (container.operation, container.spec["uri"]) == ("createTDOWithAsset", MEDIA_URL)
    assert (job.operation, job.job_id) == ("launchSingleEngineJob", run.handle.job_id)
    assert (job.spec["targetId"], job.key) == (container.target_id, container.key)
    assert job.spec["fields"] == [{"fieldName": "language", "fieldValue": "en"}]


async def test_auto_label_block_triggers_waits_and_fetches(make: Make, emulator: Emulator) -> None:
    """Load by name, trigger, wait, fetch: the labels are in the project, so the result is empty."""
    run = await trigger(await stored(make("auto-label")))
    await run.wait_for_completion()
    assert await run.fetch_result() == {}
    assert [done.operation for done in emulator.ledger.submissions] == ["autoLabelTokenBasedProject"]


async def test_export_block_triggers_waits_and_fetches(make: Make, emulator: Emulator, tmp_path: Path) -> None:
    """Load by name, trigger, wait, fetch: a zip in the block's folder, with the comments that the block names."""
    block = make("export")
    run = await trigger(await stored(block.model_copy(update={"included_comment_type": ["COMMENT"]})))
    assert emulator.ledger.submissions[-1].spec["includedCommentType"] == ["COMMENT"]
    await run.wait_for_completion()
    result = await run.fetch_result()
    assert files_in(tmp_path / "results") == {result["file"]: result["size_bytes"]}
    assert zipfile.is_zipfile(result["file"])


@pytest.mark.parametrize("kind", ["engine", "auto-label", "export"])
async def test_fetch_result_waits_for_the_end_first(kind: str, make: Make) -> None:
    """trigger, then fetch_result: it waits, and returns the result of the job."""
    run = await trigger(make(kind))
    assert isinstance(await run.fetch_result(), dict)
    assert run.job is not None
    assert run.job.state.is_terminal


@pytest.mark.parametrize("kind", ["engine", "auto-label", "export"])
async def test_failed_job_raises_its_reason(kind: str, make: Make, emulator: Emulator) -> None:
    """Waiting and fetching both raise `JobFailed` with the provider's reason and the job's id."""
    emulator.faults.add(JobFault("job_fails", failure_message="the engine crashed"))
    run = await trigger(make(kind))
    with pytest.raises(JobFailed, match="the engine crashed") as raised:
        await run.wait_for_completion()
    assert raised.value.job_id == run.handle.job_id
    with pytest.raises(JobFailed):
        await run.fetch_result()


async def test_job_that_misses_its_deadline_is_left_running(make: Make, emulator: Emulator) -> None:
    """give_up_after_s=600 and a job that never starts: `WaitTimedOut` after 600 s, with the id to wait for again."""
    emulator.faults.add(JobFault("stuck"))
    run = await trigger(make("engine"))
    with pytest.raises(WaitTimedOut, match=r"total_s=600") as raised:
        await run.wait_for_completion()
    assert raised.value.job_ids == (run.handle.job_id,)
    assert emulator.ledger.cancels == []


async def test_queued_aiware_job_can_be_cancelled(make: Make, emulator: Emulator) -> None:
    """Cancelled before a task runs: a poll confirms it, and a wait then raises `JobCancelled`."""
    run = await trigger(make("engine"))
    outcome = await run.cancel()
    assert outcome.confirmed
    assert [done.accepted for done in emulator.ledger.cancels] == [True]
    with pytest.raises(JobCancelled):
        await run.wait_for_completion()


async def test_running_aiware_job_is_left_running(make: Make, emulator: Emulator) -> None:
    """Once a task runs aiWARE refuses: `CancelRefused` says "left running", and the job still succeeds."""
    run = await trigger(make("engine"))
    emulator.clock.advance(4)
    with pytest.raises(CancelRefused, match="left running"):
        await run.cancel()
    await run.wait_for_completion()


@pytest.mark.parametrize("kind", ["auto-label", "export"])
async def test_datasaur_job_cannot_be_cancelled(kind: str, make: Make, emulator: Emulator) -> None:
    """Datasaur has no cancel: nothing is sent, and the error says that the job was left running."""
    run = await trigger(make(kind))
    asked = len(emulator.ledger.requests)
    with pytest.raises(CancelRefused, match="left running"):
        await run.cancel()
    assert len(emulator.ledger.requests) == asked


@pytest.mark.parametrize("kind", ["drop_after", "truncate", "server_error_after"])
async def test_trigger_whose_response_is_lost_finds_its_job(kind: Any, make: Make, emulator: Emulator) -> None:
    """The job is created but the answer is lost: it is found in its container; one job at aiWARE, which succeeds."""
    emulator.faults.add(Fault(kind, operation="launchSingleEngineJob"))
    run = await trigger(make("engine"))
    await run.wait_for_completion()
    assert list(emulator.ledger.jobs_by_key().values()) == [[run.handle.job_id]]
    assert emulator.ledger.count("launchSingleEngineJob") == 1


async def test_trigger_whose_response_is_lost_repeats_an_export(make: Make, emulator: Emulator) -> None:
    """An export may be sent again without harm: two at Datasaur, and the second one's file is fetched."""
    emulator.faults.add(Fault("drop_after", operation="exportTextProject"))
    run = await trigger(make("export"))
    assert await run.fetch_result()
    assert [done.operation for done in emulator.ledger.submissions] == ["exportTextProject"] * 2
    assert emulator.ledger.submissions[1].job_id == run.handle.job_id


async def test_trigger_whose_response_is_lost_labels_once(make: Make, emulator: Emulator) -> None:
    """An auto-label job cannot be searched for: `SubmissionUnknown`, and one job at Datasaur, not two."""
    emulator.faults.add(Fault("drop_after", operation="autoLabelTokenBasedProject"))
    with pytest.raises(SubmissionUnknown, match="autoLabelTokenBasedProject"):
        await make("auto-label").trigger()
    assert [done.operation for done in emulator.ledger.submissions] == ["autoLabelTokenBasedProject"]


@pytest.mark.parametrize("kind", ["engine", "auto-label", "export"])
async def test_outside_a_flow_run_each_trigger_is_a_new_job(kind: str, make: Make, emulator: Emulator) -> None:
    """A script that triggers a block twice gets two jobs, since nothing relates the two calls."""
    block = make(kind)
    job_ids = [(await trigger(block)).handle.job_id for _ in range(2)]
    assert job_ids == [done.job_id for done in emulator.ledger.submissions if done.job_id]
    assert len(set(job_ids)) == 2


@pytest.mark.parametrize(
    "source",
    [{}, {"upload_url": MEDIA_URL, "target_id": "1"}, {"upload_url": "ftp://x.invalid/a"}],
    ids=["no media", "two media", "ftp"],
)
def test_wrong_engine_job_block_is_refused(source: dict[str, Any], aiware: AiwareCredentials) -> None:
    """No media, two media or an address that is not http(s): the block is refused, and the error names the field."""
    with pytest.raises(ValidationError, match="upload_url"):
        AiwareEngineJob(credentials=aiware, engine_id=ENGINE_ID, **source)


async def test_no_secret_shows_in_a_run(make: Make, secrets: set[str], emulator: Emulator) -> None:
    """Neither the run's repr nor its handle's holds a token, a secret or the signature of a file's address."""
    known = {emulator.accounts.aiware_token, emulator.accounts.datasaur_client_secret, *secrets}
    for kind in ("engine", "auto-label", "export"):
        run = await trigger(make(kind))
        shown = f"{run!r} {run.handle!r} {run.handle} {run.job!r}"
        assert [secret for secret in known if secret in shown] == []
        assert "signature" not in shown


async def test_job_block_in_a_flow_run_leaves_the_report_and_events_of_the_tasks(
    make: Make, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Submitted, running, succeeded and one report with the transcript. Outside a run, nothing is sent."""
    sent: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(events, "emit_event", lambda *_, **__: sent.append("event"))
        patch.setattr(reporter, "write", lambda *_, **__: sent.append("artifact"))
        await (await trigger(make("engine"))).fetch_result()
    assert sent == []

    @flow
    async def mine() -> tuple[UUID, str]:
        run = await trigger(make("engine"))
        await run.fetch_result()
        return UUID(str(flow_run.id)), run.handle.name

    run_id, name = await mine()
    found = await events_of([run_id], 3)
    assert {event.event for event in found} == {
        f"{events.PREFIX}{one}" for one in ("submitted", "running", "succeeded")
    }
    assert {event.resource["prefect.resource.name"] for event in found} == {name}
    [kept] = [one for one in (await artifacts_of(run_id)).values() if one.type == "markdown"]
    assert "> We the people" in str(kept.data)

    @flow
    async def unlucky() -> UUID:
        with pytest.raises(JobFailed):
            await (await trigger(make("engine"))).wait_for_completion()
        with pytest.raises(SubmissionUnknown):
            await trigger(make("auto-label"))
        return UUID(str(flow_run.id))

    emulator.faults.add(JobFault("job_fails"), Fault("drop_after", operation="autoLabelTokenBasedProject", times=None))
    found = await events_of([await unlucky()], 4)
    assert {"failed", "submission-unknown"} <= {event.event.removeprefix(events.PREFIX) for event in found}
