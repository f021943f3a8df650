"""What a watcher does when a run, its deployment, its entries or its credentials change while it is suspended."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL

from graphql_jobs.emulator import Emulator, Fault
from scripts.stack import ROOT
from tasks.suspending.watcher import Watcher
from tests.clocks import use_clock
from tests.conftest import aiware_credentials
from tests.crashes.relay import Relay
from tests.suspending.conftest import (
    FOREVER,
    clock_of,
    counts,
    eventually,
    finish,
    is_in,
    passed,
    says,
    was_polled,
    watch,
    watching,
)

if TYPE_CHECKING:
    from uuid import UUID

    from graphql_jobs.emulator.aiware.model import Job
    from tests.suspending.conftest import Runs


pytestmark = pytest.mark.prefect


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


async def test_run_that_is_deleted_while_it_is_watched_is_forgotten(runs: Runs, watcher: Watcher, job: Job) -> None:
    """The watcher forgets it when its job ends."""
    run = await runs.sensor(job.id, **FOREVER)
    async with watching(watcher):
        await eventually(lambda: was_polled(watcher))
        await runs.client.delete_flow_run(run.id)
        finish(job)
        await eventually(lambda: counts(watcher, 0))


async def test_watcher_ends_soon_after_its_signal_while_prefects_api_hangs(runs: Runs, job: Job) -> None:
    """SIGTERM to a real process that resumes a run and gets no answer: it waits for none."""
    await runs.sensor(job.id, **FOREVER)
    finish(job)
    hangs, never = asyncio.Event(), asyncio.Event()

    async def hang(request: bytes) -> bool:
        if b"/resume " in request:
            hangs.set()
        return not hangs.is_set() or await never.wait()

    async with Relay(str(PREFECT_API_URL.value()), after=hang) as relay:
        command = (sys.executable, "-m", "flows.watch_suspended_runs")
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=os.environ | {"PREFECT_API_URL": relay.url}, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            await hangs.wait()
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 60) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_run_that_is_deleted_while_it_is_resumed_is_forgotten(
    runs: Runs, watcher: Watcher, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect's server answers 500 then, which looks like an outage."""
    run = await runs.sensor(job.id)
    finish(job)
    resume = PrefectClient.resume_flow_run

    async def deleted_before(client: PrefectClient, run_id: UUID, **more: Any) -> Any:
        await client.delete_flow_run(run_id)
        return await resume(client, run_id, **more)

    monkeypatch.setattr(PrefectClient, "resume_flow_run", deleted_before)
    await watch(watcher)
    with pytest.raises(ObjectNotFound):
        await runs.client.read_flow_run(run.id)


async def test_run_whose_deployment_was_deleted_ends_as_cannot_resume(runs: Runs, watcher: Watcher, job: Job) -> None:
    """No worker could run it again, and nobody could resume it."""
    run = await runs.sensor(job.id)
    finish(job)
    await runs.client.delete_deployment(await runs.deployment("wait-for-jobs"))
    await watch(watcher)
    state = await runs.state(run)
    assert (state.name, "deployment" in (state.message or "")) == ("CannotResume", True)


@pytest.mark.parametrize("change", [{"version": 2}, {"jobs": "all"}, None])
async def test_entry_that_cannot_be_read_leaves_the_run_suspended(
    runs: Runs, watcher: Watcher, job: Job, caplog: pytest.LogCaptureFixture, change: dict[str, Any] | None
) -> None:
    """Of another version, edited by hand, or deleted: said once. Other runs are resumed."""
    run, other = await runs.sensor(job.id), await runs.sensor(job.id)
    finish(job)
    entry = json.loads(await runs.client.read_flow_run_input(run.id, "gqw-wait-0"))
    await runs.client.delete_flow_run_input(run.id, "gqw-wait-0")
    if change:
        await runs.client.create_flow_run_input(run.id, "gqw-wait-0", json.dumps(entry | change))
    async with watching(watcher):
        await eventually(lambda: is_in(runs, other, "Resuming"))
        await eventually(lambda: says(caplog, "No watcher can resume this run"))
        at = watcher._clock.monotonic()
        await eventually(lambda: passed(watcher, at + 120))
        assert (await runs.state(run)).name == "Suspended"
    assert caplog.text.count("No watcher can resume this run") == 1


async def test_run_is_held_while_its_credentials_block_is_gone(
    runs: Runs, emulator: Emulator, watcher: Watcher, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    """Deleted while its job is polled, as by a renaming: said once. Saved again, the wait goes on."""
    block = aiware_credentials(emulator)
    await block.asave("renamed", overwrite=True)
    run = await runs.sensor(job.id, credentials="renamed", **FOREVER)
    async with watching(watcher):
        await eventually(lambda: was_polled(watcher))
        await block.adelete("renamed")
        finish(job)
        await eventually(lambda: says(caplog, "until its credentials block can be loaded"))
        at = watcher._clock.monotonic()
        await eventually(lambda: passed(watcher, at + 120))
        assert (await runs.state(run)).name == "Suspended"
        await block.asave("renamed")
        await eventually(lambda: is_in(runs, run, "Resuming"))
    assert caplog.text.count("until its credentials block can be loaded") == 1


async def test_run_is_held_while_its_token_is_refused(
    runs: Runs, emulator: Emulator, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    """Said once. When the token in the block is mended, the wait goes on."""
    right = aiware_credentials(emulator)
    wrong = right.model_copy(update={"token": type(right.token)("expired")})
    use_clock(wrong.get_client().session, clock_of(emulator))
    document = await wrong.asave("expired", overwrite=True)
    run = await runs.sensor(job.id, credentials="expired", **FOREVER)
    finish(job)
    clock = clock_of(emulator)
    async with watching(Watcher(clock=clock)):
        await eventually(lambda: says(caplog, "since the provider refuses its credentials"))
        clock.stop()  # before the outage budget is used up
        assert (await runs.state(run)).name == "Suspended"
        data = right.model_dump(mode="json", context={"include_secrets": True})
        await runs.client.update_block_document(document, BlockDocumentUpdate(data=data))
        clock.go_on()
        await eventually(lambda: is_in(runs, run, "Resuming"))
    assert caplog.text.count("since the provider refuses its credentials") == 1


async def test_run_whose_token_stays_refused_is_resumed_after_the_outage_budget(
    runs: Runs, emulator: Emulator, watcher: Watcher, job: Job
) -> None:
    """An hour later it ends as it would have ended in its process."""
    emulator.faults.add(Fault("unauthorized", times=None))
    run = await runs.sensor(job.id, on_failure="fail", **FOREVER)
    clock = watcher._clock
    before = clock.now()
    await watch(watcher)
    assert (await runs.state(run)).name == "CheckRefused"
    assert clock.now() - before >= 3600
