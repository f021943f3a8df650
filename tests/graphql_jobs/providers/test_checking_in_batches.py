"""Checks in batches of the learned size: too large batches, single bad jobs, and outages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs import errors
from graphql_jobs.emulator import Emulator, Fault
from graphql_jobs.job import Job, JobState
from graphql_jobs.providers.aiware import AiwareClient
from graphql_jobs.providers.datasaur import DatasaurClient
from graphql_jobs.transport import http as wire
from graphql_jobs.transport.limits import Limits
from tests.clocks import FakeClock, use_clock
from tests.conftest import aiware_credentials, datasaur_credentials, driven
from tests.graphql_jobs.conftest import ScriptedClient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphql_jobs.handle import Seen
    from graphql_jobs.providers.base import JobClient
    from tests.graphql_jobs.conftest import OpenSession, Scripted

    Failing = Callable[[Sequence[str], float], Exception | None]

SERVER_FAILED = errors.ServerFailed("fake", "check", "", "HTTP 502")
TIMED_OUT = errors.TimedOut("fake", "check", "", "SocketTimeoutError")
TOO_MUCH = errors.TooMuchAtOnce("fake", "check", "", "capacity_exceeded")
REFUSED = errors.RequestRefused("fake", "check", "", "invalid id")
OUTAGES = [SERVER_FAILED, TIMED_OUT]


def running(job_id: str, at_s: float) -> Seen:
    """A running job."""
    return Job("fake", job_id, JobState.RUNNING, "running")


def ids(count: int) -> list[str]:
    """A number of ids."""
    return [f"j{number}" for number in range(count)]


def larger_than(limit: int, failure: Exception = TOO_MUCH) -> Failing:
    """A server that accepts `limit` jobs per request."""
    return lambda job_ids, at_s: failure if len(job_ids) > limit else None


def with_any_of(bad: set[str], failure: Exception = SERVER_FAILED) -> Failing:
    """The whole request fails if it has one of these jobs."""
    return lambda job_ids, at_s: failure if bad & set(job_ids) else None


def asked(client: ScriptedClient) -> list[int]:
    """The sizes of the requests."""
    return [len(job_ids) for _, job_ids in client.polls]


def clients(emulator: Emulator) -> dict[str, tuple[JobClient, list[str]]]:
    """A client of each provider with a hundred jobs there."""
    found: dict[str, tuple[JobClient, list[str]]] = {
        "aiware": (aiware_credentials(emulator).get_client(), [emulator.aiware.plant().id for _ in range(100)]),
        "datasaur": (datasaur_credentials(emulator).get_client(), [emulator.datasaur.plant().id for _ in range(100)]),
    }
    for client, _ in found.values():
        use_clock(client.session, driven(emulator))
    return found


@pytest.mark.parametrize("name", ["aiware", "datasaur"])
@pytest.mark.parametrize("kind", ["capacity_exceeded", "body_too_large"])
async def test_refused_size_is_learned_by_all_clients_of_the_session(kind: str, name: str, emulator: Emulator) -> None:
    """The service accepts 30 jobs per request: all hundred are seen, and the next poll is hardly refused any more."""
    emulator.faults.add(Fault(kind, times=None, max_batch=30))  # type: ignore[arg-type] # one of the literals
    client, job_ids = clients(emulator)[name]
    async with client:
        for _ in range(2):
            assert all(isinstance(one, Job) for one in (await client.check(job_ids)).values())
    assert 10 <= client.batch_size < 50
    assert type(client)(client.session).batch_size == client.batch_size
    before = [record.fault for record in emulator.ledger.requests].count(kind)
    again = type(client)(client.session)
    async with again:
        assert all(isinstance(one, Job) for one in (await again.check(job_ids)).values())
    assert [record.fault for record in emulator.ledger.requests].count(kind) - before <= 2


async def test_answer_that_is_too_large_halves_the_batch(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer about a hundred jobs is too large: smaller batches are sent, and all jobs are seen."""
    monkeypatch.setattr(wire, "MAX_REPLY_BYTES", 10_000)
    client, job_ids = clients(emulator)["aiware"]
    async with client:
        assert all(isinstance(one, Job) for one in (await client.check(job_ids)).values())
    assert client.batch_size < 100


async def test_rest_of_a_check_goes_on_with_the_new_size(scripted: Scripted) -> None:
    """A limit of thirty: 100 and 50 are refused once each, and the rest is polled in smaller batches."""
    client = scripted(running)
    client.failing = larger_than(30)
    assert all(isinstance(one, Job) for one in (await client.check(ids(300))).values())
    assert asked(client)[:4] == [100, 50, 25, 25]
    assert sum(size > 30 for size in asked(client)) <= 5


async def test_one_refused_job_does_not_shrink_the_batch(scripted: Scripted) -> None:
    """One id of a hundred is refused: it has the failure, the others are seen, and the size stays."""
    client = scripted(running)
    client.failing = with_any_of({"j37"}, REFUSED)
    seen = await client.check(ids(100))
    assert [job_id for job_id, one in seen.items() if not isinstance(one, Job)] == ["j37"]
    assert client.batch_size == 100


@pytest.mark.parametrize("failure", [TOO_MUCH, TIMED_OUT])
async def test_job_that_is_too_large_alone_does_not_shrink_the_batch(failure: Exception, scripted: Scripted) -> None:
    """The job is refused even alone: the number of jobs was not the cause."""
    client = scripted(running)
    client.failing = with_any_of({"j37"}, failure)
    seen: dict[str, Seen] = {}
    while sum(isinstance(one, Job) for one in seen.values()) < 99:  # a poll that probes this job ends as an outage
        seen = await client.check(ids(100))
    assert seen["j37"] is failure
    assert client.batch_size == 100


@pytest.mark.parametrize("failure", [REFUSED, SERVER_FAILED])
async def test_size_that_fails_with_an_unknown_error_is_learned(failure: Exception, scripted: Scripted) -> None:
    """Datasaur publishes no codes: a batch that fails as a whole, and succeeds in parts, was too large."""
    client = scripted(running)
    client.failing = larger_than(30, failure)
    assert all(isinstance(one, Job) for one in (await client.check(ids(300))).values())
    assert 20 <= client.batch_size < 50


@pytest.mark.parametrize("bad", [{"j0"}, {"j99"}, {"j37"}, {"j3", "j4", "j70"}])
async def test_job_that_makes_the_server_fail_concerns_that_job_alone(bad: set[str], scripted: Scripted) -> None:
    """5xx for each request with this job: the others are seen, and the size stays."""
    client = scripted(running)
    client.failing = with_any_of(bad)
    seen: dict[str, Seen] = {}
    while sum(isinstance(one, Job) for one in seen.values()) < 100 - len(bad):
        seen = await client.check(ids(100))
    assert {job_id for job_id, one in seen.items() if one is SERVER_FAILED} == bad
    assert client.batch_size == 100


@pytest.mark.parametrize("failure", OUTAGES)
async def test_outage_costs_one_more_request(failure: Exception, scripted: Scripted) -> None:
    """Everything fails: one batch and one single job are sent, then no more, and the size stays."""
    client = scripted(running)
    client.failing = lambda job_ids, at_s: failure
    seen = await client.check(ids(1000))
    assert asked(client) == [100, 1]
    assert seen == dict.fromkeys(ids(1000), failure)
    assert client.batch_size == 100


@pytest.mark.parametrize("failure", OUTAGES)
async def test_outage_in_the_middle_keeps_what_was_seen(failure: Exception, scripted: Scripted) -> None:
    """The third batch fails by an outage: two hundred jobs are seen, the others have the error."""
    client = scripted(running)
    client.failing = lambda job_ids, at_s: failure if len(client.polls) > 2 else None
    seen = await client.check(ids(1000))
    assert asked(client) == [100, 100, 100, 1]
    assert [isinstance(one, Job) for one in seen.values()] == [True] * 200 + [False] * 800


async def test_batch_that_timed_out_while_the_server_is_up_is_halved(scripted: Scripted) -> None:
    """Forty jobs are answered in time, more are not."""
    client = scripted(running)
    client.failing = larger_than(40, TIMED_OUT)
    assert all(isinstance(one, Job) for one in (await client.check(ids(300))).values())
    assert 20 <= client.batch_size < 50


async def test_job_that_is_never_answered_costs_the_others_few_time_outs(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One job of a hundred is found with three requests that time out, not with one for each halving."""
    monkeypatch.setattr("graphql_jobs.providers.batching.random.choice", lambda some: some[0])
    client = scripted(running)
    client.failing = with_any_of({"j37"}, TIMED_OUT)
    seen = await client.check(ids(100))
    assert [job_id for job_id, one in seen.items() if not isinstance(one, Job)] == ["j37"]
    assert len([job_ids for _, job_ids in client.polls if "j37" in job_ids]) == 3
    assert client.batch_size == 100


async def test_server_that_answers_others_is_up(scripted: Scripted) -> None:
    """Two concurrent batches, one with a bad job: the other's answer proves that the server is up, without a probe."""
    client = scripted(running)
    fail = with_any_of({"j7"})

    def failing(job_ids: Sequence[str], at_s: float) -> Exception | None:
        client.session.answers += 1  # as an answer to another request would
        return fail(job_ids, at_s)

    client.failing = failing
    seen = await client.check(ids(8))
    assert [job_id for job_id, one in seen.items() if not isinstance(one, Job)] == ["j7"]
    assert asked(client) == [8, 4, 4, 2, 2, 1, 1]


async def test_probe_does_not_always_choose_the_bad_job(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two jobs, one bad: probing it looks like an outage, and a later poll probes the other one."""
    client = scripted(running)
    client.failing = with_any_of({"j0"})
    monkeypatch.setattr("graphql_jobs.providers.batching.random.choice", lambda some: some[0])
    assert not any(isinstance(one, Job) for one in (await client.check(ids(2))).values())
    monkeypatch.setattr("graphql_jobs.providers.batching.random.choice", lambda some: some[-1])
    assert [isinstance(one, Job) for one in (await client.check(ids(2))).values()] == [False, True]


async def test_one_good_answer_is_enough_to_find_the_bad_one(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of four jobs was seen: the probes use it, never the bad one."""
    client = scripted(running)
    client.failing = with_any_of({"j1"})
    monkeypatch.setattr("graphql_jobs.providers.batching.random.choice", lambda some: some[-1])
    seen = await client.check(ids(4))
    assert [isinstance(one, Job) for one in seen.values()] == [True, False, True, True]
    assert [job_ids for _, job_ids in client.polls if len(job_ids) == 1] == [("j3",), ("j3",), ("j0",), ("j1",)]


async def test_answer_over_http_proves_that_the_server_is_up(emulator: Emulator) -> None:
    """`answers` counts one answer per poll; a refused request does not count."""
    client, job_ids = clients(emulator)["aiware"]
    async with client:
        await client.check(job_ids)
        assert client.session.answers == 1
        emulator.faults.add(Fault("server_error", times=None))
        client.session.limits = Limits(attempts=1)
        await client.check(job_ids)
        assert client.session.answers == 1


def test_aiware_batch_is_as_large_as_a_document(open_session: OpenSession) -> None:
    """A batch is padded to the number of aliases of its document: 42 would be sent as 50."""

    async def sizes() -> list[int]:
        client = AiwareClient(await open_session("http://127.0.0.1:9"))
        found = []
        for max_batch in (1, 3, 42, 100, 499, 500):
            client.max_batch = max_batch
            found.append(client.batch_size)
        client.batches.shrink(85, TOO_MUCH)
        return [*found, client.batch_size]

    assert asyncio.run(sizes()) == [1, 2, 20, 100, 200, 500, 20]


def test_each_provider_has_its_maximum() -> None:
    """100 at aiWARE, whose requests have an alias per job; 500 at Datasaur, which takes a list of ids."""
    assert (AiwareClient.max_batch, DatasaurClient.max_batch) == (100, 500)


@given(st.data())
def test_every_id_is_answered_whatever_fails(data: st.DataObject) -> None:
    """Any failure at any request: no exception, each id once, and a size between one and the maximum."""
    failures = st.sampled_from([None, SERVER_FAILED, TIMED_OUT, TOO_MUCH, REFUSED]) | st.sampled_from(
        [
            kind("fake", "check", "", "x")
            for kind in (errors.ConnectionLost, errors.BadReply, errors.RateLimited, errors.NotFound)
        ]
    )

    async def run() -> None:
        client = ScriptedClient(FakeClock(), running)
        client.max_batch = data.draw(st.integers(1, 20))
        client.failing = lambda job_ids, at_s: data.draw(failures)
        job_ids = ids(data.draw(st.integers(0, 50)))
        assert list(await client.check(job_ids)) == job_ids
        assert 1 <= client.batch_size <= client.max_batch

    asyncio.run(run())


async def test_server_that_breaks_down_over_large_batches_is_asked_for_less(emulator: Emulator) -> None:
    """502 for every request of more than ten jobs: all are seen, and the next poll begins with smaller batches."""
    emulator.faults.add(Fault("server_error", operation="getJobs", times=None, max_batch=10))
    client, job_ids = clients(emulator)["datasaur"]
    client.session.limits = Limits(attempts=2)
    async with client:
        assert all(isinstance(one, Job) for one in (await client.check(job_ids[:40])).values())
    assert client.batch_size < 100
