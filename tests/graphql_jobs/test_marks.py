"""What is unchanged to the letter is not read again, and nothing that matters gets lost by it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs import errors, wait
from graphql_jobs.batching import BatchSize
from graphql_jobs.job import Job, JobState
from graphql_jobs.marks import Marks
from graphql_jobs.providers.aiware import AiwareClient
from graphql_jobs.providers.datasaur import DatasaurClient
from graphql_jobs.schedule import Deadlines, Schedule, WaitPolicy
from tests.conftest import aiware_credentials, datasaur_credentials, driven
from tests.graphql_jobs.hubs import DOWN, EVERY_5_S, Slow, handle, job, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql_jobs.emulator import Emulator
    from graphql_jobs.provider import JobClient, Seen
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import OpenSession, Scripted, Serve

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
ENTRIES = st.dictionaries(st.text(), SCALARS | st.lists(st.dictionaries(st.text(), SCALARS)))


@dataclass
class Kept:
    """A mark that somebody keeps."""

    mark: int | None


def after(marks: Marks, job_id: str, entry: dict[str, Any]) -> dict[str, Kept]:
    """The marks that are known after a first look at a job."""
    assert not marks.is_known(job_id, entry)
    return {one: Kept(mark) for one, mark in marks.fresh.items()}


@given(ENTRIES, ENTRIES)
def test_a_job_is_known_by_all_that_was_said_of_it(one: dict[str, Any], other: dict[str, Any]) -> None:
    """The same entry again is known; one that differs anywhere, or stands under another id, is not."""
    known = after(Marks({}), "a", one)
    assert Marks(known).is_known("a", one)
    assert not Marks(known).is_known("b", one)
    assert Marks(known).is_known("a", other) == (json.dumps(one) == json.dumps(other))


def test_what_cannot_be_written_is_read_each_time() -> None:
    """A hostile server nests a thousand lists, or gives a number of thirty digits: no mark, and no error."""
    deep: Any = []
    for _ in range(1000):
        deep = [deep]
    for entry in ({"errors": deep}, {"progress": 10**30}):
        marks = Marks({})
        assert not marks.is_known("a", entry)
        assert marks.fresh == {}


async def look_at(client: JobClient, job_id: str, known: dict[str, Kept]) -> Seen | None:
    """One look, whose mark is then a known one; None if nothing is new."""
    marks = Marks(known, in_full=True)
    seen = await client.look([job_id, "unknown"], marks)
    assert isinstance(seen["unknown"], errors.JobNotFound)
    assert (job_id in seen) != (job_id in marks.unchanged)
    known |= {one: Kept(mark) for one, mark in marks.fresh.items()}
    return seen.get(job_id)


async def test_both_providers_give_a_job_again_only_when_something_is_new(emulator: Emulator) -> None:
    """A running job, three looks: the job, and twice that it is unchanged; once it has ended, the job."""
    for credentials, world in (
        (aiware_credentials(emulator), emulator.aiware),
        (datasaur_credentials(emulator), emulator.datasaur),
    ):
        async with credentials.get_client() as client:
            planted, marks = world.plant(), dict[str, Kept]()
            seen = [await look_at(client, planted.id, marks) for _ in range(3)]
            assert isinstance(seen[0], Job)
            assert seen[1:] == [None] * 2
            emulator.clock.advance(3600)
            ended = await look_at(client, planted.id, marks)
            assert isinstance(ended, Job)
            assert ended.state is JobState.SUCCEEDED


async def test_without_marks_every_job_is_given(emulator: Emulator) -> None:
    """`check` knows of no look before."""
    planted = emulator.aiware.plant()
    async with aiware_credentials(emulator).get_client() as client:
        for _ in range(2):
            assert isinstance((await client.check([planted.id]))[planted.id], Job)


async def test_a_job_with_more_tasks_than_a_page_is_read_each_time(serve: Serve, open_session: OpenSession) -> None:
    """Its first page stays the same, and a task of the second fails: the third look shows that."""
    last = {"id": "t39", "status": "running"}

    async def answer(request: web.Request) -> web.StreamResponse:
        offset = (await request.json())["variables"]["offset"]
        tasks = [{"id": f"t{number}", "status": "complete"} for number in range(39)] + [last]
        page = {"id": "a", "status": "running", "tasks": {"limit": 30, "records": tasks[offset : offset + 30]}}
        return web.json_response({"data": {"j0": page, "j1": None}})

    client = AiwareClient(await open_session((await serve(answer)).url))
    marks: dict[str, Kept] = {}
    seen = [await look_at(client, "a", marks) for _ in range(2)]
    last["status"] = "failed"
    seen.append(await look_at(client, "a", marks))
    assert [len(one.failures) for one in seen if isinstance(one, Job)] == [0, 0, 1]


async def test_of_a_wait_only_what_is_new_is_read(scripted: Scripted) -> None:
    """A hundred jobs run for a minute: of some 1,300 statuses 200 are read, each job's first and last."""
    client = scripted(until(60))
    check = client._check_batch
    read: list[Seen] = []

    async def noting(job_ids: Sequence[str], marks: Marks | None) -> dict[str, Seen]:
        answer = await check(job_ids, marks)
        read.extend(answer.values())
        return answer

    client._check_batch = noting  # type: ignore[method-assign]
    await asyncio.gather(*(wait(client, handle(f"j{number}"), EVERY_5_S) for number in range(100)))
    assert sum(len(job_ids) for _, job_ids in client.looks) > 1200
    assert len(read) == 200


@pytest.mark.parametrize("then", [[5], [5, 0]])
async def test_what_a_server_tells_twice_hides_nothing(
    serve: Serve, open_session: OpenSession, then: list[int]
) -> None:
    """Asked for "a" and "b", it tells of "a" more than once: the first counts, and that "b" is missing shows."""
    told = {"id": "a", "status": "IN_PROGRESS", "progress": 0}

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": {"result": [told, *(told | {"progress": one} for one in then)]}})

    client = DatasaurClient(await open_session((await serve(answer)).url))
    known = after(Marks({}), "a", told)
    assert list(await client.look(["a", "b"], Marks(known))) == ["b"]


async def test_the_mark_of_an_answer_that_was_taken_back_is_not_kept(serve: Serve, open_session: OpenSession) -> None:
    """`getJob` says DELIVERED, `getJobs` still says IN_PROGRESS, once: the next look asks both again, and ends it."""
    behind = ["IN_PROGRESS", "DELIVERED"]

    async def answer(request: web.Request) -> web.StreamResponse:
        job = {"id": "a", "progress": 100}
        if "getJobs" in (await request.json())["query"]:
            return web.json_response({"data": {"result": [job | {"status": behind.pop(0)}]}})
        return web.json_response({"data": {"result": job | {"status": "DELIVERED"}}})

    client = DatasaurClient(await open_session((await serve(answer)).url))
    known: dict[str, Kept] = {}
    for expected in (JobState.RUNNING, JobState.SUCCEEDED):
        marks = Marks(known)
        seen = (await client.look(["a"], marks))["a"]
        known |= {one: Kept(mark) for one, mark in marks.fresh.items()}
        assert isinstance(seen, Job)
        assert seen.state is expected


async def test_what_is_new_in_a_part_is_not_unchanged_and_hides_nothing(scripted: Scripted) -> None:
    """The whole fails; who is asked for alone is unchanged, and later, in its part, it is not; one of three is gone."""

    def script(one: str, at_s: float) -> Seen | None:
        running = JobState.SUCCEEDED if len(client.looks) > 2 else JobState.RUNNING
        return None if one == "gone" else job(one, running)

    client = scripted(script)
    client.failing = lambda job_ids, at_s: DOWN if len(job_ids) == 3 else None
    known = after(Marks({}), "a", {"all of it": repr(job("a"))}) | after(Marks({}), "b", {"all of it": repr(job("b"))})
    for _ in range(10):  # who is asked for alone is drawn
        client.looks.clear()
        client.session.batches = BatchSize()
        marks = Marks(known)
        seen = await client.look(["a", "b", "gone"], marks)
        assert seen.keys() | marks.unchanged == {"a", "b", "gone"}
        assert not seen.keys() & marks.unchanged
        assert isinstance(seen["gone"], errors.JobNotFound)


async def test_who_joins_while_an_unchanged_job_is_asked_for_sees_it_at_once(
    scripted: Scripted, clock: FakeClock
) -> None:
    """The answer on its way says "unchanged" to one who has seen nothing: the job is asked for again at once."""
    client = scripted(until(1e9))
    slow = Slow(client)
    policy = WaitPolicy(Schedule(60, 0, 60))
    first = asyncio.create_task(wait(client, handle("a"), policy))
    await clock.sleep(1)
    slow.is_slow = lambda job_ids: len(slow.asked) == 2
    while len(slow.asked) < 2:
        await clock.sleep(1)
    seen: list[Job] = []
    second = asyncio.create_task(wait(client, handle("a"), policy, on_change=seen.append))
    await clock.sleep(0.1)
    slow.slow[0].set()
    await clock.sleep(0.1)
    assert [one.state for one in seen] == [JobState.RUNNING]
    for waiting in (first, second):
        waiting.cancel()
    await asyncio.gather(first, second, return_exceptions=True)


async def test_an_unchanged_job_ends_an_outage(scripted: Scripted) -> None:
    """Away for 60 s, back with the same words, away for 60 s again: no outage of 100 s."""
    client = scripted(until(200))
    client.failing = lambda job_ids, at_s: DOWN if 20 <= at_s < 80 or 100 <= at_s < 160 else None
    policy = WaitPolicy(Schedule(5, 0, 5), outage_budget_s=100)
    assert (await wait(client, handle("a"), policy)).state is JobState.SUCCEEDED


async def test_an_unchanged_job_ends_an_absence(scripted: Scripted) -> None:
    """Gone for 20 s, there again with the same words, gone for 20 s again: no absence of 30 s."""
    client = scripted(
        lambda one, at_s: (
            None
            if 20 <= at_s < 40 or 50 <= at_s < 70
            else job(one, JobState.SUCCEEDED if at_s >= 90 else JobState.RUNNING)
        )
    )
    assert (await wait(client, handle("a"), EVERY_5_S)).state is JobState.SUCCEEDED


async def test_a_deadline_is_judged_although_nothing_is_new(emulator: Emulator) -> None:
    """A job that stays queued for ever, on the real emulator: the wait ends within a moment of its 60 s."""
    planted = emulator.datasaur.plant(status="QUEUED")
    async with datasaur_credentials(emulator).get_client() as client:
        client.session.clock = clock = driven(emulator)
        policy = WaitPolicy(Schedule(5, 0, 5), Deadlines(total_s=600, queued_s=60))
        with pytest.raises(errors.WaitTimedOut, match="queued_s=60"):
            await wait(client, client.handle(planted.id), policy)
        assert 60 <= clock.slept_s <= 61
