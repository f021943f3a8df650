"""What a watcher does with suspended runs: alone, beside others, and when something changes meanwhile."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.states import Suspended

from blocks.api import server_clock
from blocks.runs.suspended_wait import read_suspension
from graphql_jobs.emulator import Emulator, ManualClock
from tasks.suspending.shard import Shard
from tasks.suspending.tally import HEARTBEAT
from tasks.suspending.watcher import Watcher
from tests.clocks import use_clock
from tests.conftest import aiware_credentials
from tests.reported import events_named
from tests.suspending.conftest import (
    FOREVER,
    clock_of,
    counts,
    eventually,
    finish,
    is_in,
    running_job,
    was_polled,
    watch,
    watching,
)

if TYPE_CHECKING:
    from graphql_jobs.emulator.aiware.model import Job
    from tests.suspending.conftest import Runs

pytestmark = pytest.mark.prefect


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


async def test_resumption_is_completed_once(
    runs: Runs, watcher: Watcher, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker runs: when the watcher reads the list again, it reads no history of a run that it has resumed."""
    run = await runs.sensor(job.id)
    finish(job)
    async with watcher.opened():
        await watcher.tick()
        await watcher.settled()
        assert (await runs.state(run)).name == "Resuming"
        monkeypatch.setattr(PrefectClient, "read_flow_run_states", reads := AsyncMock())
        await watcher._list()
    assert reads.await_count == 0


async def test_shards_share_the_runs(runs: Runs, emulator: Emulator) -> None:
    """Each of two watchers resumes the runs of its shard, polls no other job, and sends a heartbeat."""
    all_runs = [await runs.sensor(emulator.aiware.plant().id) for _ in range(6)]
    first, second = Shard.of("1/2"), Shard.of("2/2")
    watchers = {"1-of-2": Watcher(first, clock_of(emulator)), "2-of-2": Watcher(second, clock_of(emulator))}
    await watch(watchers["1-of-2"])
    woken = [run for run in all_runs if (await runs.state(run)).name == "Resuming"]
    assert woken == [run for run in all_runs if first.holds(run.id)]
    await watch(watchers["2-of-2"])
    assert {(await runs.state(run)).name for run in all_runs} == {"Resuming"}

    names = {one.name: shard for shard, one in watchers.items()}
    beats = await events_named(HEARTBEAT, 2, lambda event: event.payload["watcher"] in names)
    assert len(beats) == 2
    for beat in beats:
        assert beat.resource.id == f"graphql-jobs.watcher.{names[beat.payload['watcher']]}"
        assert beat.payload.keys() == {"watcher", "detection_p50_s", *watchers["1-of-2"].tally.numbers()}


@pytest.mark.parametrize(("until", "status"), [("first success", "complete"), ("first failure", "failed")])
async def test_run_is_resumed_by_the_first_end_that_it_waits_for(
    runs: Runs, emulator: Emulator, watcher: Watcher, until: str, status: str
) -> None:
    """The end of the other kind does not resume it, nor is the job that runs waited for."""
    other, decisive, running = (running_job(emulator) for _ in range(3))
    run = await runs.sensor(other.id, decisive.id, running.id, until=until, **FOREVER)
    finish(other, "failed" if status == "complete" else "complete")
    async with watching(watcher):
        await eventually(lambda: was_polled(watcher, 3))
        assert (await runs.state(run)).name == "Suspended"
        finish(decisive, status)
        await eventually(lambda: is_in(runs, run, "Resuming"))


async def test_run_with_thousands_of_jobs_is_resumed(runs: Runs, emulator: Emulator, watcher: Watcher) -> None:
    """4,000 jobs in one sensor."""
    ids = [emulator.aiware.plant().id for _ in range(4000)]
    run = await runs.sensor(*ids)
    await watch(watcher)
    assert (await runs.state(run)).name == "Resuming"


async def test_run_that_a_person_suspended_is_left_alone(runs: Runs, emulator: Emulator, watcher: Watcher) -> None:
    """The flow waits for an approval after its jobs have ended: Suspended by another key, with an old entry."""
    run = await runs.sensor(emulator.aiware.plant().id)
    await watch(watcher)
    await runs.client.set_flow_run_state(run.id, Suspended(pause_key="approval"), force=True)
    await watch(Watcher(clock=clock_of(emulator)))
    assert (await runs.state(run)).name == "Suspended"


async def test_entry_that_was_deleted_by_hand_does_not_stop_the_next(runs: Runs, emulator: Emulator) -> None:
    """Of three entries the second is gone: the next has the number after the last."""
    run = await runs.sensor(emulator.aiware.plant().id)
    suspension = await read_suspension(run.id)
    wait = suspension.wait
    await suspension.suspend(wait)
    await suspension.suspend(wait)
    await runs.client.delete_flow_run_input(run.id, "gqw-wait-1")
    assert await (await read_suspension(run.id)).suspend(wait) == "gqw-wait-3"


async def test_jobs_of_one_id_on_two_endpoints_are_told_apart(
    runs: Runs, emulator: Emulator, watcher: Watcher, job: Job
) -> None:
    """One has ended, the other runs."""
    async with Emulator(clock=emulator.clock, seed=8) as other:
        assert isinstance(emulator.clock, ManualClock)
        block = aiware_credentials(other)
        use_clock(block.get_client().session, clock_of(emulator))
        await block.asave("elsewhere", overwrite=True)
        there = running_job(other)
        other.aiware.jobs[job.id] = other.aiware.jobs.pop(there.id)
        there.id = job.id
        here, elsewhere = (
            await runs.sensor(job.id, **FOREVER),
            await runs.sensor(job.id, credentials="elsewhere", **FOREVER),
        )
        finish(job)
        async with watching(watcher):
            await eventually(lambda: is_in(runs, here, "Resuming"))
            assert (await runs.state(elsewhere)).name == "Suspended"
            finish(there)
            await eventually(lambda: is_in(runs, elsewhere, "Resuming"))


@pytest.mark.parametrize("ahead_s", [-3600.0, 3600.0])
async def test_deadline_counts_by_the_clock_of_prefects_server(runs: Runs, emulator: Emulator, ahead_s: float) -> None:
    """The watcher's machine is an hour behind or ahead: a job that was submitted 300 s ago times out after 600 s."""
    clock = clock_of(emulator)
    answer = httpx.Response(200, headers={"Date": formatdate(clock.now(), usegmt=True)})
    clock.set_by_s = ahead_s
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PrefectClient, "request", AsyncMock(return_value=answer))
        right = await server_clock(clock)
    run = await runs.sensor(running_job(emulator).id, give_up_after_s=600.0, on_failure="fail")
    await clock.advance(300)
    began_at = clock.monotonic()
    await watch(Watcher(clock=right))
    assert (await runs.state(run)).name == "TimedOut"
    assert 300 <= clock.monotonic() - began_at < 400


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
            return await is_in(runs, run, "Resuming")

        watcher._list_at = float("inf")
        await eventually(resumed)


async def test_burst_of_events_is_read_to_its_end(runs: Runs, watcher: Watcher, emulator: Emulator, job: Job) -> None:
    """More events in ten seconds than a page holds: the last run is found too."""
    async with watcher.opened():
        await watcher.tick()
        watcher._list_at = float("inf")
        all_runs = [await runs.sensor(job.id, **FOREVER) for _ in range(60)]

        async def found() -> bool:
            await watcher.tick()
            return await counts(watcher, len(all_runs))

        await eventually(found)
        late = await runs.sensor(emulator.aiware.plant().id)

        async def resumed() -> bool:
            await watcher.tick()
            return await is_in(runs, late, "Resuming")

        await eventually(resumed)
        await eventually(lambda: counts(watcher, len(all_runs)))


async def test_failure_of_prefects_api_delays_the_resumption(
    runs: Runs, emulator: Emulator, watcher: Watcher, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call fails once: the tick, the claim and the resumption are repeated."""
    run = await runs.sensor(job.id)
    finish(job)
    failed: set[str] = set()
    for name in ("read_events", "read_flow_runs", "create_flow_run_input", "resume_flow_run", "read_flow_run_states"):
        _fail_once(monkeypatch, name, failed)
    async with watching(watcher):
        await eventually(lambda: is_in(runs, run, "Resuming"))
        await eventually(lambda: counts(watcher, 0))
    assert len(failed) == 5
    assert (await runs.names(run)).count("Resuming") == 1


def _fail_once(monkeypatch: pytest.MonkeyPatch, name: str, failed: set[str]) -> None:
    original = getattr(PrefectClient, name)

    async def failing(client: PrefectClient, *args: Any, **kwargs: Any) -> Any:
        if name not in failed:
            failed.add(name)
            raise RuntimeError("Prefect's API is away")
        return await original(client, *args, **kwargs)

    monkeypatch.setattr(PrefectClient, name, failing)
