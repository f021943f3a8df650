"""Whole contests with a few jobs that last about a second: real processes, and the judge's word on each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.contest import compete
from benchmarks.workloads import Scale, faulty, steady
from graphql_jobs.providers.aiware.documents import check_jobs
from graphql_jobs.providers.datasaur.documents import GET_JOBS

#: T = 0.1 s, durations of 0.4 to 1.2 s.
SCALE = Scale(0.02)


_BY_IDS = ["raw-ids", "raw-spread", "ours-ids", "ours-bare", "ours-each"]


@pytest.mark.parametrize("contestant", _BY_IDS)
def test_a_contestant_sees_every_end_once(contestant: str) -> None:
    """Twenty jobs; what it cost is written down."""
    result = compete(contestant, steady(20), SCALE, document=GET_JOBS.text)
    assert (result.failure, result.verdict["detected"], result.verdict["doubled"]) == ("", 20, 0)
    assert result.verdict["statuses"] >= 20
    assert result.figures["cpu_s"] > 0
    assert result.figures["waiting_bytes"] > 0


@pytest.mark.parametrize("contestant", ["raw-aliases", "ours-aliases", "feed-30", "feed-500"])
def test_a_contestant_of_aiware_sees_every_end_once(contestant: str) -> None:
    """The same by aliases, and by the list of what has ended, in which instants are whole seconds."""
    workload = replace(steady(20), batch=20)
    result = compete(contestant, workload, SCALE, provider="aiware", document=check_jobs(20).text)
    assert (result.failure, result.verdict["detected"], result.verdict["doubled"]) == ("", 20, 0)


def test_a_contestant_that_breaks_down_is_named_and_its_ends_are_missed() -> None:
    """Robosaur's loop at the first 503."""
    broken = replace(steady(20), faults=({"kind": "server_error", "status": 503, "times": None},))
    result = compete("robosaur", broken, SCALE)
    assert result.failure.startswith("ended with 1: ")
    assert result.verdict["missed"] == 20
    assert result.figures == {}


def test_a_contestant_that_is_killed_and_restarted_tells_no_end_twice() -> None:
    """It is killed at 0.3 and 0.6 s, and what it wrote down before counts."""
    [row] = [row for row in faulty(20) if row.kills_at_s]
    result = compete("aiohttp", row, SCALE)
    verdict = result.verdict
    assert (verdict["detected"], verdict["missed"], verdict["doubled"]) == (20, 0, 0)
    assert result.restarts_at


def test_cancelled_waits_are_not_missed() -> None:
    """One of ten, unless it had ended before; the others are seen."""
    verdict = compete("aiohttp", replace(steady(10), cancelled_share=0.1), SCALE).verdict
    assert (verdict["cancelled"] + verdict["detected"], verdict["missed"], verdict["doubled"]) == (10, 0, 0)
    assert verdict["cancelled"] <= 1
