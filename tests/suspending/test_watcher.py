"""What a watcher does with suspended runs: alone, beside others, and when something changes meanwhile."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.exceptions import ObjectNotFound
from prefect.states import Suspended

from blocks.runs.suspended_wait import read_suspension
from graphql_jobs.emulator import Emulator, Fault, ManualClock
from tasks.suspending.watcher import Shard, Watcher
from tests.clocks import use_clock
from tests.conftest import aiware_credentials
from tests.suspending.conftest import clock_of, eventually, finish, running_job, watch, watching

if TYPE_CHECKING:
    from uuid import UUID

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


@pytest.mark.parametrize(("until", "status"), [("first success", "complete"), ("first failure", "failed")])
async def test_run_is_resumed_by_the_first_end_that_it_waits_for(
    runs: Runs, emulator: Emulator, watcher: Watcher, until: str, status: str
) -> None:
    """The end of the other kind does not resume it, nor is the job that runs waited for."""
    other, decisive, running = (running_job(emulator) for _ in range(3))
    run = await runs.sensor(other.id, decisive.id, running.id, until=until, **FOREVER)
    finish(other, "failed" if status == "complete" else "complete")
    async with watching(watcher):
        await eventually(lambda: _was_polled(watcher, 3))
        assert (await runs.state(run)).name == "Suspended"
        finish(decisive, status)
        await eventually(lambda: _is(runs, run, "Resuming"))


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


async def test_run_that_is_deleted_while_it_is_watched_is_forgotten(runs: Runs, watcher: Watcher, job: Job) -> None:
    """The watcher forgets it when its job ends."""
    run = await runs.sensor(job.id, **FOREVER)
    async with watching(watcher):
        await eventually(lambda: _was_polled(watcher))
        await runs.client.delete_flow_run(run.id)
        finish(job)
        await eventually(lambda: _counts(watcher, 0))


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
        await eventually(lambda: _is(runs, other, "Resuming"))
        await eventually(lambda: _says(caplog, "No watcher can resume this run"))
        at = watcher._clock.monotonic()
        await eventually(lambda: _passed(watcher, at + 120))
        assert (await runs.state(run)).name == "Suspended"
    assert caplog.text.count("No watcher can resume this run") == 1


async def test_entry_that_was_deleted_by_hand_does_not_stop_the_next(runs: Runs, emulator: Emulator) -> None:
    """Of three entries the second is gone: the next has the number after the last."""
    run = await runs.sensor(emulator.aiware.plant().id)
    suspension = await read_suspension(run.id)
    wait = suspension.wait
    await suspension.suspend(wait)
    await suspension.suspend(wait)
    await runs.client.delete_flow_run_input(run.id, "gqw-wait-1")
    assert await (await read_suspension(run.id)).suspend(wait) == "gqw-wait-3"


async def test_run_is_held_while_its_credentials_block_is_gone(
    runs: Runs, emulator: Emulator, watcher: Watcher, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    """Deleted while its job is polled, as by a renaming: said once. Saved again, the wait goes on."""
    block = aiware_credentials(emulator)
    await block.asave("renamed", overwrite=True)
    run = await runs.sensor(job.id, credentials="renamed", **FOREVER)
    async with watching(watcher):
        await eventually(lambda: _was_polled(watcher))
        await block.adelete("renamed")
        finish(job)
        await eventually(lambda: _says(caplog, "until its credentials block can be loaded"))
        at = watcher._clock.monotonic()
        await eventually(lambda: _passed(watcher, at + 120))
        assert (await runs.state(run)).name == "Suspended"
        await block.asave("renamed")
        await eventually(lambda: _is(runs, run, "Resuming"))
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
        await eventually(lambda: _says(caplog, "since the provider refuses its credentials"))
        clock.stop()  # before the outage budget is used up
        assert (await runs.state(run)).name == "Suspended"
        data = right.model_dump(mode="json", context={"include_secrets": True})
        await runs.client.update_block_document(document, BlockDocumentUpdate(data=data))
        clock.go_on()
        await eventually(lambda: _is(runs, run, "Resuming"))
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
            await eventually(lambda: _is(runs, here, "Resuming"))
            assert (await runs.state(elsewhere)).name == "Suspended"
            finish(there)
            await eventually(lambda: _is(runs, elsewhere, "Resuming"))


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


async def test_burst_of_events_is_read_to_its_end(runs: Runs, watcher: Watcher, emulator: Emulator, job: Job) -> None:
    """More events in ten seconds than a page holds: the last run is found too."""
    async with watcher.opened():
        await watcher.tick()
        watcher._list_at = float("inf")
        all_runs = [await runs.sensor(job.id, **FOREVER) for _ in range(60)]

        async def found() -> bool:
            await watcher.tick()
            return await _counts(watcher, len(all_runs))

        await eventually(found)
        late = await runs.sensor(emulator.aiware.plant().id)

        async def resumed() -> bool:
            await watcher.tick()
            return await _is(runs, late, "Resuming")

        await eventually(resumed)
        assert watcher.tally.numbers()["suspended"] == len(all_runs)


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
        await eventually(lambda: _is(runs, run, "Resuming"))
        await eventually(lambda: _counts(watcher, 0))
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


async def _is(runs: Runs, run: Any, name: str) -> bool:
    return (await runs.state(run)).name == name


async def _was_polled(watcher: Watcher, jobs: int = 1) -> bool:
    return any(one.statuses >= jobs for one in watcher._accounts.snapshots().values())


async def _counts(watcher: Watcher, suspended: int) -> bool:
    return bool(watcher.tally.numbers()["suspended"] == suspended)


async def _says(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    return text in caplog.text


async def _passed(watcher: Watcher, instant: float) -> bool:
    return watcher._clock.monotonic() >= instant


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
