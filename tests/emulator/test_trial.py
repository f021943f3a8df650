"""Trials: jobs that all end by one clock, and the judge of what was told of them."""

from math import inf
from typing import Any

import aiohttp
import pytest

from graphql_jobs.emulator import Emulator
from graphql_jobs.emulator.trial import End, Truth, judge, most_in_one_second

GET_JOBS = "query($ids: [String!]!) { getJobs(jobIds: $ids) { id status } }"
TRUTHS = {"a": Truth(10.0, 12.0), "b": Truth(11.0, 12.0)}
A, B = End("a", "succeeded", 12.5), End("b", "succeeded", 13.0)


def counted(*ends: End, truths: dict[str, Truth] = TRUTHS) -> dict[str, int]:
    """The counts that are not 0."""
    verdict = judge(truths, ends)
    names = ("detected", "missed", "doubled", "false_failed", "early", "cancelled", "bounded", "unbounded", "strange")
    return {name: count for name in names if (count := getattr(verdict, name))}


def test_ends_that_were_seen_are_detected_with_their_latency() -> None:
    """Ended at 10 and 11, known at 12.5 and 13."""
    assert counted(A, B) == {"detected": 2}
    assert judge(TRUTHS, [A, B]).latencies_s == ((10.0, 2.5), (11.0, 2.0))


def test_an_end_that_nobody_told_is_missed() -> None:
    """b ended and is not among the ends."""
    assert counted(A) == {"detected": 1, "missed": 1}


def test_an_end_that_was_told_twice_is_doubled() -> None:
    """The first one counts, the second is one too many."""
    assert counted(A, B, End("a", "failed", 14.0)) == {"detected": 2, "doubled": 1}


@pytest.mark.parametrize("outcome", ["failed", "gave_up"])
def test_a_success_that_was_told_as_a_failure_is_false(outcome: Any) -> None:
    """b succeeded."""
    assert counted(A, End("b", outcome, 13.0)) == {"detected": 1, "false_failed": 1}


def test_an_end_before_the_answer_that_told_it_is_early() -> None:
    """Known at 11.5, and no answer held it before 12; or no answer ever did."""
    assert counted(End("a", "succeeded", 11.5), B) == {"detected": 1, "early": 1}
    assert counted(A, truths={"a": Truth(10.0, None)}) == {"early": 1}


def test_a_contestant_that_tells_no_instant_is_judged_by_the_answer() -> None:
    """The answer was sent at 12."""
    assert judge(TRUTHS, [End("a", "succeeded", None)]).latencies_s == ((10.0, 2.0),)


def test_a_job_that_never_ends_must_be_given_up() -> None:
    """Given up: bounded. No word: unbounded. Success: not before the end of time."""
    never = {"a": Truth(inf, None)}
    assert counted(End("a", "gave_up", 90.0), truths=never) == {"bounded": 1}
    assert counted(truths=never) == {"unbounded": 1}
    assert counted(A, truths=never) == {"early": 1}
    assert counted(End("a", "failed", 90.0), truths=never) == {"false_failed": 1}


def test_a_cancelled_wait_is_not_missed_and_a_strange_job_is_named() -> None:
    """b was cancelled by its owner; c is none of ours."""
    assert counted(A, End("b", "cancelled", 5.0), End("c", "succeeded", 6.0)) == {
        "detected": 1,
        "cancelled": 1,
        "strange": 1,
    }


def test_the_busiest_second_may_begin_anywhere() -> None:
    """Three between 0.6 and 1.5, though no full second of the clock holds three."""
    assert most_in_one_second([0.0, 1.5, 0.6, 0.7, 3.0]) == 3
    assert most_in_one_second([0.0, 1.0]) == 1
    assert most_in_one_second([]) == 0


async def test_jobs_are_held_until_the_start_and_end_by_it(
    emulator: Emulator, http: aiohttp.ClientSession, datasaur: Any
) -> None:
    """Planted at 0, started at 100: ends at 105 and 110, one never; the judge knows when each was told."""
    base = f"{emulator.url}/_emulator/trial"
    async with http.post(base, json={"provider": "datasaur", "durations_s": [5, 10, None]}) as response:
        assert response.status == 201
        ids = (await response.json())["job_ids"]
    await datasaur(GET_JOBS, ids=ids[:1])
    async with http.get(base) as response:
        assert (await response.json())["unasked"] == 2
    emulator.clock.advance(100)
    started_at = emulator.clock.now()
    async with http.post(f"{base}/start") as response:
        assert (await response.json())["started_at"] == started_at
    emulator.clock.advance(6)
    found = (await datasaur(GET_JOBS, ids=ids))["data"]["getJobs"]
    assert [job["status"] for job in found] == ["DELIVERED", "IN_PROGRESS", "IN_PROGRESS"]
    ends = [[ids[0], "succeeded", started_at + 6.5], [ids[1], "succeeded", started_at + 6.5], [ids[2], "gave_up", None]]
    async with http.post(f"{base}/ends", json={"ends": ends}) as response:
        assert response.status == 200
    async with http.get(f"{base}/verdict") as response:
        verdict = await response.json()
    counts = [verdict[name] for name in ("waits", "detected", "early", "bounded", "requests", "requests_before")]
    assert counts == [3, 1, 1, 1, 1, 1]
    assert verdict["latencies_s"] == [[started_at + 5, 1.5]]
    assert (verdict["statuses"], verdict["most_per_s"]) == (3, 1)


async def test_faults_strike_planted_jobs_from_the_start_on(
    emulator: Emulator, http: aiohttp.ClientSession, datasaur: Any
) -> None:
    """Not visible for 3 s: hidden while it is held, and for 3 s after the start."""
    base = f"{emulator.url}/_emulator"
    fault = {"kind": "not_visible", "operation": "plant", "delay_s": 3}
    async with http.post(f"{base}/faults", json=fault) as response:
        assert response.status == 201
    async with http.post(f"{base}/trial", json={"provider": "datasaur", "durations_s": [9, 9]}) as response:
        ids = (await response.json())["job_ids"]
    emulator.clock.advance(60)
    seen = [(await datasaur(GET_JOBS, ids=ids))["data"]["getJobs"]]
    async with http.post(f"{base}/trial/start") as response:
        assert response.status == 200
    for step_s in (2, 1):
        emulator.clock.advance(step_s)
        seen.append((await datasaur(GET_JOBS, ids=ids))["data"]["getJobs"])
    assert [jobs[0] is None for jobs in seen] == [True, True, False]


@pytest.mark.parametrize(("path", "body"), [("trial", {}), ("trial", {"provider": "x"}), ("trial/ends", {"ends": [1]})])
async def test_a_wrong_trial_is_a_400(emulator: Emulator, http: aiohttp.ClientSession, path: str, body: Any) -> None:
    """Nothing, an unknown provider, an end that is none."""
    async with http.post(f"{emulator.url}/_emulator/{path}", json=body) as response:
        assert response.status == 400
