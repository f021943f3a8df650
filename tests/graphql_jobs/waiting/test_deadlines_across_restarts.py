"""Deadlines that count from durable instants: the provider's own, or those that an earlier wait recorded."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import pytest

from graphql_jobs import LocalStore, errors
from graphql_jobs.errors import ServerFailed
from graphql_jobs.job import Job, JobState, JobTask
from graphql_jobs.waiting.checkpoints import Checkpoint, Checkpoints
from graphql_jobs.waiting.policy import Deadlines, Schedule, WaitPolicy
from graphql_jobs.waiting.wait import wait, wait_many
from tests.graphql_jobs.waits import handle, job, until

if TYPE_CHECKING:
    from typing import Any

    from graphql_jobs.handle import JobHandle
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Scripted, ScriptedClient

SLOW = Schedule(60, 1, 60)
NAMES = ("queued_s", "running_s", "unchanged_s", "total_s")


async def stopped_after(
    seconds: float, client: ScriptedClient, one: JobHandle, policy: WaitPolicy, store: LocalStore
) -> None:
    """A wait whose process is stopped a number of seconds after it began."""
    waiting = asyncio.create_task(wait(client, one, policy, checkpoints=Checkpoints(store)))
    await client.clock.sleep(seconds)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def gives_up(client: ScriptedClient, one: JobHandle, policy: WaitPolicy, store: LocalStore, name: str) -> float:
    """When a wait gives up, in seconds after the client's start by the client's clock."""
    with pytest.raises(errors.WaitTimedOut, match=name):
        await wait(client, one, policy, checkpoints=Checkpoints(store))
    return client.clock.now() - client.began_at


@pytest.mark.parametrize(
    ("deadlines", "state", "knows_submission"),
    [
        (Deadlines(total_s=100.5), JobState.RUNNING, True),
        (Deadlines(total_s=100.5), JobState.RUNNING, False),
        (Deadlines(queued_s=100.5), JobState.PENDING, True),
        (Deadlines(queued_s=100.5), JobState.PENDING, False),
        (Deadlines(running_s=100.5), JobState.RUNNING, False),
        (Deadlines(unchanged_s=100.5), JobState.RUNNING, False),
        (Deadlines(unchanged_s=100.5), JobState.PENDING, True),
    ],
    ids=["done", "done, bare id", "running", "running, bare id", "run long enough", "no change", "no change, queued"],
)
async def test_deadline_goes_on_counting_after_a_restart(
    deadlines: Deadlines, state: JobState, knows_submission: bool, scripted: Scripted, clock: FakeClock
) -> None:
    """Stopped 40 s into a deadline of 100.5 s and restarted 30 s later: 30.5 s are left, not 100.5."""
    client, store = scripted(lambda one, at_s: job("a", state)), LocalStore()
    one = handle(submitted_at=clock.now() if knows_submission else None)
    policy = WaitPolicy(SLOW, deadlines)
    await stopped_after(40, client, one, policy, store)
    await clock.sleep(30)
    name = next(
        name for name in ("queued_s", "running_s", "unchanged_s", "total_s") if getattr(deadlines, name) == 100.5
    )
    assert await gives_up(client, one, policy, store, f"{name}=100.5") == pytest.approx(100.5, abs=1e-3)


async def test_job_that_does_not_show_in_time_is_given_up(scripted: Scripted, clock: FakeClock) -> None:
    """unseen_s=300.5 replaces the grace of 30 s: a wait of two attempts ends after 300.5 s and names the limit."""
    client, store = scripted(lambda one, at_s: None), LocalStore()
    one, policy = handle(submitted_at=clock.now()), WaitPolicy(SLOW, Deadlines(unseen_s=300.5))
    await stopped_after(40, client, one, policy, store)
    assert await gives_up(client, one, policy, store, "unseen_s=300.5") == pytest.approx(300.5, abs=1e-3)


async def test_job_that_shows_late_but_in_time_is_waited_for(scripted: Scripted, clock: FakeClock) -> None:
    """Not visible for 200 s, then running, done at 400 s: succeeded."""
    client = scripted(
        lambda one, at_s: None if at_s < 200 else job("a", JobState.RUNNING if at_s < 400 else JobState.SUCCEEDED)
    )
    ended = await wait(client, handle(submitted_at=clock.now()), WaitPolicy(SLOW, Deadlines(unseen_s=300)))
    assert ended.state is JobState.SUCCEEDED


async def test_change_of_a_task_puts_off_the_deadline_for_no_change(scripted: Scripted, clock: FakeClock) -> None:
    """A task changes at 80 s and 160 s, the job does not: with unchanged_s=100 the wait ends at 260 s."""
    words = ["queued", "running", "complete"]

    def script(one: str, at_s: float) -> Job:
        word = words[min(int(at_s // 80), 2)]
        return job("a", JobState.RUNNING, tasks=(JobTask("t", JobState.RUNNING, word),))

    client = scripted(script)
    policy = WaitPolicy(Schedule(1, 1, 1), Deadlines(unchanged_s=100))
    ended_s = await gives_up(client, handle(submitted_at=clock.now()), policy, LocalStore(), "unchanged_s=100")
    assert ended_s == pytest.approx(260, abs=1.1)


async def test_change_counts_although_the_instant_of_the_job_does_not_move(
    scripted: Scripted, clock: FakeClock
) -> None:
    """A task changes every 80 s and `modified_at` does not: unchanged_s=100 never passes, also after a restart."""
    modified_at = clock.now()

    def script(one: str, at_s: float) -> Job:
        tasks = (JobTask("t", JobState.RUNNING, f"step {at_s // 80:.0f}"),)
        return job("a", JobState.RUNNING if at_s < 400 else JobState.SUCCEEDED, tasks, raw_modified=modified_at)

    client, store = scripted(script), LocalStore()
    one, policy = handle(submitted_at=clock.now()), WaitPolicy(Schedule(1, 1, 1), Deadlines(unchanged_s=100))
    await stopped_after(170, client, one, policy, store)
    assert (await wait(client, one, policy, checkpoints=Checkpoints(store))).state is JobState.SUCCEEDED


async def test_providers_own_instant_of_the_last_change_counts(scripted: Scripted, clock: FakeClock) -> None:
    """Seen first now, but changed 70 s ago by the provider's clock: 30 s are left. A clock ahead adds nothing."""
    for modified_s, left_s in ((-70, 30), (+500, 100)):
        began_at = clock.now()
        seen = job("a", JobState.RUNNING, raw_modified=began_at + modified_s)
        client = scripted(partial(_always, seen))
        policy = WaitPolicy(SLOW, Deadlines(unchanged_s=100))
        ended_s = await gives_up(client, handle(submitted_at=began_at - 1000), policy, LocalStore(), "unchanged_s=100")
        assert ended_s == pytest.approx(left_s, abs=1e-3)


def _always(seen: Job, job_id: str, at_s: float) -> Job:
    return seen


@pytest.mark.parametrize("name", NAMES)
async def test_late_success_counts_after_a_restart(name: str, scripted: Scripted, clock: FakeClock) -> None:
    """The deadline passes while no process runs, and the job has succeeded since: succeeded."""
    state = JobState.PENDING if name == "queued_s" else JobState.RUNNING
    client = scripted(lambda one, at_s: job("a", state if at_s < 90 else JobState.SUCCEEDED))
    one, policy, store = handle(submitted_at=clock.now()), WaitPolicy(SLOW, Deadlines(**{name: 60.0})), LocalStore()
    await stopped_after(40, client, one, policy, store)
    await clock.sleep(1000)
    assert (await wait(client, one, policy, checkpoints=Checkpoints(store))).state is JobState.SUCCEEDED


@pytest.mark.parametrize("known", ["submission", "creation", "start"])
async def test_no_checkpoint_is_written_that_no_deadline_needs(
    known: str, scripted: Scripted, clock: FakeClock
) -> None:
    """The handle has the submission, or the provider the creation and the start of a task: the store stays empty."""
    at = clock.now() - 10
    tasks = (JobTask("t", JobState.RUNNING, "running", None, at),) if known == "start" else ()
    states = {True: JobState.SUCCEEDED, False: JobState.RUNNING}
    client = scripted(lambda one, at_s: job("a", states[at_s >= 90], tasks, raw_created=at))
    client.failing = lambda job_ids, at_s: ServerFailed("fake", "check", "", "HTTP 503") if 50 < at_s < 70 else None
    deadlines = Deadlines(running_s=500) if known == "start" else Deadlines(queued_s=500)
    one, store = handle("a", at if known == "submission" else None), LocalStore()
    await wait(client, one, WaitPolicy(SLOW, deadlines), checkpoints=Checkpoints(store))
    assert await store.read_all("gqs-") == {}


async def test_store_that_cannot_be_written_ends_no_wait(
    scripted: Scripted, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Prefect's API is unavailable while checkpoints are written: this is logged, and the wait sees its job end."""

    class Away(LocalStore):
        async def append(self, key: str, number: int, entry: Any) -> bool:
            raise ConnectionError("the API is away")

    client = scripted(until(90))
    ended = await wait(client, handle(), WaitPolicy(SLOW, Deadlines(running_s=500)), checkpoints=Checkpoints(Away()))
    assert ended.state is JobState.SUCCEEDED
    assert "could not be written" in caplog.text


async def test_waits_of_one_run_share_its_checkpoints(scripted: Scripted, clock: FakeClock) -> None:
    """Two waits write at the same time: neither loses the other's checkpoints, and a damaged entry is ignored."""
    store = LocalStore()
    await store.append("gqs-waits-1", 0, {"a": {"nonsense": 1}})

    async def waiting(job_id: str) -> None:
        client = scripted(
            lambda one, at_s: Job("fake", one, JobState.RUNNING if at_s < 90 else JobState.SUCCEEDED, "word")
        )
        await wait(client, handle(job_id), WaitPolicy(SLOW), checkpoints=Checkpoints(store))

    await asyncio.gather(waiting("a"), waiting("b"))
    assert {*await Checkpoints(store).load(["a"])} == {"a"}
    assert {*await Checkpoints(store).load(["a", "b", "c"])} == {"a", "b"}


async def test_wait_for_several_jobs_reads_checkpoints_of_waits_for_one_and_the_other_way_round(
    scripted: Scripted, clock: FakeClock
) -> None:
    """A run waits for one job, then two, then one again: each wait reads the checkpoints of the waits before."""
    store = LocalStore()
    early, later = Checkpoint(first_at=1.0), Checkpoint(first_at=1.0, changed_at=5.0, digest="x")
    for job_ids, checkpoint in ((["a"], early), (["a", "b"], later), (["a"], Checkpoint(first_at=1.0, changed_at=9.0))):
        checkpoints = Checkpoints(store)
        seen = await checkpoints.load(job_ids)
        assert seen.get("a") == (None if checkpoint is early else early if checkpoint is later else later)
        await checkpoints.keep(dict.fromkeys(job_ids, checkpoint))
    assert (await Checkpoints(store).load(["b"]))["b"] == later


async def test_store_that_hangs_does_not_hold_up_a_wait(scripted: Scripted, clock: FakeClock) -> None:
    """Prefect's API hangs from the first checkpoint on: the wait ends with its job and leaves no task."""

    class Hanging(LocalStore):
        async def append(self, key: str, number: int, entry: Any) -> bool:
            await asyncio.get_running_loop().create_future()
            raise AssertionError

    client = scripted(until(90))
    before = asyncio.all_tasks()
    ended = await wait(client, handle(), WaitPolicy(SLOW, Deadlines(running_s=500)), checkpoints=Checkpoints(Hanging()))
    assert ended.state is JobState.SUCCEEDED
    assert not [one for one in asyncio.all_tasks() - before if "Checkpoints" in repr(one)]


async def test_no_checkpoint_is_written_for_a_job_that_is_hidden_right_after_its_submission(
    scripted: Scripted, clock: FakeClock
) -> None:
    """The submission is known, at the instant at which the wait begins."""
    client = scripted(lambda one, at_s: None if at_s < 20 else job("a", JobState.SUCCEEDED))
    store, policy = LocalStore(), WaitPolicy(SLOW, Deadlines(running_s=500))
    await wait(client, handle("a", clock.now()), policy, checkpoints=Checkpoints(store))
    assert await store.read_all("gqs-") == {}


async def test_checkpoints_of_one_poll_are_written_together_although_a_callback_raised(scripted: Scripted) -> None:
    """Ten jobs start to run: one write. The callback raises for the first one, whose wait ends."""
    entries: list[Any] = []

    class Counting(LocalStore):
        async def append(self, key: str, number: int, entry: Any) -> bool:
            entries.append(entry)
            return await super().append(key, number, entry)

    def raises_for_the_first(seen: Job) -> None:
        if seen.job_id == "j0":
            raise ValueError

    policy, handles = WaitPolicy(SLOW, Deadlines(running_s=500)), [handle(f"j{number}") for number in range(10)]
    kept = Checkpoints(Counting())
    waits = wait_many(scripted(until(90)), handles, policy, on_change=raises_for_the_first, checkpoints=kept)
    ended = {one.job_id: type(end) async for one, end in waits}
    assert Counter(ended.values()) == {Job: 9, errors.WaitStopped: 1}
    assert [sorted(entry) for entry in entries] == [[f"j{number}" for number in range(1, 10)]]


async def test_checkpoint_is_written_although_the_wait_is_left_right_after_the_poll(scripted: Scripted) -> None:
    """A run suspends itself after its first poll, while the checkpoint is being written."""
    writing, may_end = asyncio.Event(), asyncio.Event()

    class Slow(LocalStore):
        async def append(self, key: str, number: int, entry: Any) -> bool:
            writing.set()
            await may_end.wait()
            return await super().append(key, number, entry)

    store = Slow()
    policy = WaitPolicy(SLOW, Deadlines(running_s=500))
    waiting = asyncio.create_task(wait(scripted(until(90)), handle(), policy, checkpoints=Checkpoints(store)))
    await writing.wait()
    waiting.cancel()
    await asyncio.sleep(0)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await Checkpoints(store).load(["a"])).keys() == {"a"}


async def test_wait_whose_limits_count_from_the_submission_reads_no_checkpoints(
    scripted: Scripted, clock: FakeClock
) -> None:
    """A job with the instant of its submission and only `total_s`: the store, which is broken, is not asked."""

    class Broken(LocalStore):
        async def read_all(self, prefix: str = "") -> Any:
            raise AssertionError(prefix)

    client = scripted(lambda one, at_s: job("a", JobState.SUCCEEDED))
    ended = await wait(client, handle(submitted_at=clock.now()), checkpoints=Checkpoints(Broken()))
    assert ended.state is JobState.SUCCEEDED
