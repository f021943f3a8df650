"""Cancelling many aiWARE jobs: one request each, read together; the caller is asked before each request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from graphql_jobs import CancelOutcome, errors
from graphql_jobs.emulator import Fault, Pace
from tests.graphql_jobs.submitting import TASKS

if TYPE_CHECKING:
    from blocks import AiwareCredentials
    from graphql_jobs.emulator import Emulator

JOBS = 30


class Stopped(Exception):
    """The caller withdraws the cancel."""


async def submitted(aiware: AiwareCredentials, number: int = JOBS) -> list[str]:
    async with aiware.get_client() as client:
        return [(await client.submit(TASKS)).job_id for _ in range(number)]


@pytest.mark.parametrize("queued_s", [600.0, 0.0])
async def test_many_cancels_are_confirmed_by_one_read(
    queued_s: float, aiware: AiwareCredentials, emulator: Emulator
) -> None:
    """30 jobs, queued or running: 30 cancels, one check, and an outcome for each."""
    emulator.aiware.pace = Pace(queued_s=queued_s, running_s=3600)
    ids = await submitted(aiware)
    emulator.clock.advance(1)
    before = emulator.ledger.count("job"), len(emulator.ledger.requests)
    async with aiware.get_client() as client:
        outcomes = await client.cancel_many(ids)
    assert list(outcomes) == ids
    kinds = {type(outcome) for outcome in outcomes.values()}
    assert kinds == ({CancelOutcome} if queued_s else {errors.CancelRefused})
    assert len(emulator.ledger.requests) - before[1] == JOBS + 1


async def test_cancel_is_not_sent_if_before_raises(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """`before` raises for one of three: its outcome is that exception, and the other two are cancelled."""
    emulator.aiware.pace = Pace(queued_s=600)
    first, kept, last = await submitted(aiware, 3)

    async def before(job_id: str) -> None:
        if job_id == kept:
            raise Stopped

    async with aiware.get_client() as client:
        outcomes = await client.cancel_many([first, kept, last], before)
    assert isinstance(outcomes[kept], Stopped)
    assert {cancel.job_id for cancel in emulator.ledger.cancels} == {first, last}


async def test_before_is_called_for_each_attempt_of_a_cancel(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """The first cancel is answered by 503; before the second attempt `before` raises: it is not sent."""
    emulator.aiware.pace = Pace(queued_s=600)
    [job_id] = await submitted(aiware, 1)
    emulator.faults.add(Fault("server_error", "cancelJob", times=None))
    asked: list[str] = []

    async def before(job_id: str) -> None:
        asked.append(job_id)
        if len(asked) > 1:
            emulator.faults.clear()
            raise Stopped

    async with aiware.get_client() as client:
        outcomes = await client.cancel_many([job_id], before)
    assert isinstance(outcomes[job_id], Stopped)
    assert asked == [job_id] * 2
    assert emulator.ledger.cancels == []


async def test_failed_cancel_does_not_hide_the_others(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """One of three is unknown: `JobNotFound` for it, and the others are cancelled."""
    emulator.aiware.pace = Pace(queued_s=600)
    first, last = await submitted(aiware, 2)
    async with aiware.get_client() as client:
        outcomes = await client.cancel_many([first, "gone", last])
    assert isinstance(outcomes["gone"], errors.JobNotFound)
    assert {job_id for job_id, one in outcomes.items() if isinstance(one, CancelOutcome)} == {first, last}
