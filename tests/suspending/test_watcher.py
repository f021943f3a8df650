"""What a watcher does with suspended runs: alone, beside others, and when something changes meanwhile."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.schemas.actions import BlockDocumentUpdate

from blocks.runs.suspended_wait import read_suspension
from tasks.suspending.watcher import Shard, Watcher
from tests.clocks import use_clock
from tests.conftest import aiware_credentials
from tests.suspending.conftest import clock_of, eventually, finish, watch, watching

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator
    from graphql_jobs.emulator.aiware.model import Job
    from tests.suspending.conftest import Runs

pytestmark = pytest.mark.prefect

FOREVER = {"give_up_after_s": 2_500_000.0}


async def test_two_watchers_resume_a_run_once(runs: Runs, emulator: Emulator) -> None:
    """Three watchers and five runs: each is resumed once."""
    all_runs = [await runs.sensor(emulator.aiware.plant().id) for _ in range(5)]
    await asyncio.gather(*(watch(Watcher(clock=clock_of(emulator))) for _ in range(3)))
    for run in all_runs:
        assert (await runs.names(run)).count("Resuming") == 1


async def test_run_of_a_watcher_that_died_after_its_claim_is_taken_over(
    runs: Runs, emulator: Emulator, job: Job
) -> None:
    """The claim counts for 30 s."""
    run = await runs.sensor(job.id)
    finish(job)
    assert run.state
    suspension = await read_suspension(run.id, run.state.state_details.pause_key)
    assert await suspension.claim("dead", run.run_count)
    clock = clock_of(emulator)
    before = clock.now()
    await watch(Watcher(clock=clock))
    assert (await runs.state(run)).name == "Resuming"
    assert clock.now() - before >= 30


async def test_shards_share_the_runs(runs: Runs, emulator: Emulator) -> None:
    """Each of two watchers resumes the runs of its shard, and polls no other job."""
    all_runs = [await runs.sensor(emulator.aiware.plant().id) for _ in range(6)]
    first, second = Shard.of("1/2"), Shard.of("2/2")
    await watch(Watcher(first, clock_of(emulator)))
    woken = [run for run in all_runs if (await runs.state(run)).name == "Resuming"]
    assert woken == [run for run in all_runs if first.holds(run.id)]
    await watch(Watcher(second, clock_of(emulator)))
    assert {(await runs.state(run)).name for run in all_runs} == {"Resuming"}


async def test_entry_that_was_deleted_by_hand_does_not_stop_the_next(runs: Runs, emulator: Emulator) -> None:
    """Of three entries the second is gone: the next has the number after the last."""
    run = await runs.sensor(emulator.aiware.plant().id)
    suspension = await read_suspension(run.id)
    wait = suspension.wait
    await suspension.suspend(wait)
    await suspension.suspend(wait)
    await runs.client.delete_flow_run_input(run.id, "gqw-wait-1")
    assert await (await read_suspension(run.id)).suspend(wait) == "gqw-wait-3"


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
        await eventually(lambda: _says(caplog, "since the provider refuses its credentials"))
        clock.stop()  # before the outage budget is used up
        assert (await runs.state(run)).name == "Suspended"
        data = right.model_dump(mode="json", context={"include_secrets": True})
        await runs.client.update_block_document(document, BlockDocumentUpdate(data=data))
        clock.go_on()
        await eventually(lambda: _is(runs, run, "Resuming"))
    assert caplog.text.count("since the provider refuses its credentials") == 1


@pytest.mark.parametrize("ahead_s", [-172_800.0, 172_800.0])
async def test_watcher_whose_clock_is_wrong_sees_new_runs(
    runs: Runs, emulator: Emulator, job: Job, ahead_s: float
) -> None:
    """Two days behind or ahead of Prefect's server: a run is found by its event, and taken over by its claim."""
    clock = clock_of(emulator)
    clock.set_by_s = ahead_s
    watcher = Watcher(clock=clock)
    finish(job)
    async with watcher.opened():
        await watcher.tick()  # reads the list
        run = await runs.sensor(job.id)

        async def resumed() -> bool:
            await watcher.tick()
            return await _is(runs, run, "Resuming")

        watcher._list_at = float("inf")
        await eventually(resumed)


async def _is(runs: Runs, run: Any, name: str) -> bool:
    return (await runs.state(run)).name == name


async def _says(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    return text in caplog.text


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
