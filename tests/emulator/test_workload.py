"""Workloads: jobs that start at one instant, and the judgement of the ends that a benchmarked program reports."""

import asyncio
from math import inf
from typing import Any

import aiohttp
import pytest

from graphql_jobs.emulator import Emulator
from graphql_jobs.emulator.load.judge import End, Truth, judge, most_in_one_second

GET_JOBS = "query($ids: [String!]!) { getJobs(jobIds: $ids) { id status } }"
TRUTHS = {"a": Truth(10.0, 12.0), "b": Truth(11.0, 12.0)}
A, B = End("a", "succeeded", 12.5), End("b", "succeeded", 13.0)


def counted(*ends: End, truths: dict[str, Truth] = TRUTHS) -> dict[str, int]:
    """The counts that are not 0."""
    verdict = judge(truths, ends)
    names = ("detected", "missed", "doubled", "false_failed", "early", "cancelled", "bounded", "unbounded", "strange")
    return {name: count for name in names if (count := getattr(verdict, name))}


def test_reported_ends_are_detected_with_their_latency() -> None:
    """Ended at 10 and 11, known at 12.5 and 13."""
    assert counted(A, B) == {"detected": 2}
    assert judge(TRUTHS, [A, B]).latencies_s == (("a", 10.0, 2.5), ("b", 11.0, 2.0))


def test_unreported_end_is_missed() -> None:
    """b ended and is not reported."""
    assert counted(A) == {"detected": 1, "missed": 1}


def test_second_report_is_doubled() -> None:
    """The first report counts."""
    assert counted(A, B, End("a", "failed", 14.0)) == {"detected": 2, "doubled": 1}


@pytest.mark.parametrize("outcome", ["failed", "gave_up"])
def test_success_that_is_reported_as_a_failure_is_false(outcome: Any) -> None:
    """b succeeded."""
    assert counted(A, End("b", outcome, 13.0)) == {"detected": 1, "false_failed": 1}


def test_end_before_the_answer_that_held_it_is_early() -> None:
    """Known at 11.5, but the first answer with it was at 12; or no answer had it."""
    assert counted(End("a", "succeeded", 11.5), B) == {"detected": 1, "early": 1}
    assert counted(A, truths={"a": Truth(10.0, None)}) == {"early": 1}


def test_report_without_an_instant_is_judged_by_the_answer() -> None:
    """The answer was sent at 12."""
    assert judge(TRUTHS, [End("a", "succeeded", None)]).latencies_s == (("a", 10.0, 2.0),)


def test_job_that_never_ends_must_be_given_up() -> None:
    """Given up: bounded. No report: unbounded. Success: early. Failure: false."""
    never = {"a": Truth(inf, None)}
    assert counted(End("a", "gave_up", 90.0), truths=never) == {"bounded": 1}
    assert counted(truths=never) == {"unbounded": 1}
    assert counted(A, truths=never) == {"early": 1}
    assert counted(End("a", "failed", 90.0), truths=never) == {"false_failed": 1}


def test_cancelled_wait_is_not_missed_and_unknown_job_is_strange() -> None:
    """The wait for b was cancelled; c does not exist."""
    ends = (A, End("b", "cancelled", 5.0), End("c", "succeeded", 6.0))
    assert counted(*ends) == {"detected": 1, "cancelled": 1, "strange": 1}


def test_busiest_second_may_begin_anywhere() -> None:
    """Three between 0.6 and 1.5, although no full second of the clock has three."""
    assert most_in_one_second([0.0, 1.5, 0.6, 0.7, 3.0]) == 3
    assert most_in_one_second([0.0, 1.0]) == 1
    assert most_in_one_second([]) == 0


class Load:
    """The endpoints for workloads."""

    def __init__(self, emulator: Emulator, http: aiohttp.ClientSession) -> None:
        self.url, self.http = f"{emulator.url}/_emulator", http

    async def get(self, path: str) -> Any:
        async with self.http.get(f"{self.url}/{path}") as response:
            return await response.json()

    async def post(self, path: str, body: Any = None) -> Any:
        async with self.http.post(f"{self.url}/{path}", json=body) as response:
            assert response.ok, await response.text()
            return await response.json()

    async def plant(self, *durations_s: float | None) -> list[str]:
        job_ids: list[str] = (await self.post("workload", {"durations_s": durations_s}))["job_ids"]
        return job_ids


@pytest.fixture
def load(emulator: Emulator, http: aiohttp.ClientSession) -> Load:
    return Load(emulator, http)


async def test_planted_jobs_begin_at_the_start(emulator: Emulator, load: Load, datasaur: Any) -> None:
    """Created at 0, started at 100: ends at 105 and 110, one never; the judge knows when each was reported."""
    ids = await load.plant(5, 10, None)
    await datasaur(GET_JOBS, ids=ids[:1])
    assert (await load.get("workload"))["unpolled"] == 2
    emulator.clock.advance(100)
    started_at = emulator.clock.now()
    assert (await load.post("workload/start"))["started_at"] == started_at
    emulator.clock.advance(6)
    found = (await datasaur(GET_JOBS, ids=ids))["data"]["getJobs"]
    assert [job["status"] for job in found] == ["DELIVERED", "IN_PROGRESS", "IN_PROGRESS"]
    ends = [[ids[0], "succeeded", started_at + 6.5], [ids[1], "succeeded", started_at + 6.5], [ids[2], "gave_up", None]]
    await load.post("workload/ends", {"ends": ends})
    verdict = await load.get("workload/verdict")
    counts = [verdict[name] for name in ("waits", "detected", "early", "bounded", "requests", "most_per_s")]
    assert counts == [3, 1, 1, 1, 1, 1]
    assert verdict["latencies_s"] == [[ids[0], started_at + 5, 1.5]]
    assert (verdict["statuses"], verdict["overlapping"], verdict["delayed_ids"]) == (4, 0, [])


async def test_job_faults_count_from_the_start(emulator: Emulator, load: Load, datasaur: Any) -> None:
    """Not visible for 3 s: hidden before the start, and for 3 s after it."""
    await load.post("faults", {"kind": "not_visible", "operation": "plant", "delay_s": 3})
    ids = await load.plant(9, 9)
    emulator.clock.advance(60)
    seen = [(await datasaur(GET_JOBS, ids=ids))["data"]["getJobs"]]
    await load.post("workload/start")
    for step_s in (2, 1):
        emulator.clock.advance(step_s)
        seen.append((await datasaur(GET_JOBS, ids=ids))["data"]["getJobs"])
    assert [jobs[0] is None for jobs in seen] == [True, True, False]


async def test_two_polls_of_a_job_at_once_are_counted(load: Load, datasaur: Any) -> None:
    """The answer about two jobs is delayed, and one of them is polled again before it comes."""
    ids = await load.plant(5, 5)
    await load.post("workload/start")
    await load.post("faults", {"kind": "delay", "delay_s": 1.0})
    first = asyncio.create_task(datasaur(GET_JOBS, ids=ids))
    while (await load.get("workload"))["unpolled"]:
        pass
    await datasaur(GET_JOBS, ids=ids[:1])
    await first
    await datasaur(GET_JOBS, ids=ids)
    verdict = await load.get("workload/verdict")
    assert (verdict["overlapping"], verdict["delayed_ids"]) == (1, sorted(ids))


async def test_poll_after_an_abandoned_one_does_not_overlap(load: Load, datasaur: Any) -> None:
    """The caller closes the connection of the first poll, as after a time-out, and polls again."""
    ids = await load.plant(5)
    await load.post("workload/start")
    await load.post("faults", {"kind": "delay", "delay_s": 1.0})
    first = asyncio.create_task(datasaur(GET_JOBS, ids=ids))
    while (await load.get("workload"))["unpolled"]:
        pass
    first.cancel()
    await asyncio.wait({first})
    for _ in range(2):
        await datasaur(GET_JOBS, ids=ids)
    assert (await load.get("workload/verdict"))["overlapping"] == 0


@pytest.mark.parametrize(("path", "body"), [("", {}), ("", {"durations_s": ["x"]}), ("/ends", {"ends": [1]})])
async def test_malformed_workload_is_a_400(load: Load, http: aiohttp.ClientSession, path: str, body: Any) -> None:
    """Nothing, a duration that is not a number, an end that is not a list."""
    async with http.post(f"{load.url}/workload{path}", json=body) as response:
        assert response.status == 400
