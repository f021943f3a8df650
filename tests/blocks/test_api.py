"""Calls to Prefect's API are retried through an outage."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import httpx
import pytest
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from blocks.api import PERSIST_S, persistent
from tests.clocks import FakeClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def status(code: int) -> PrefectHTTPStatusError:
    """The error of Prefect's client for an answer with this status."""
    request = httpx.Request("GET", "http://127.0.0.1:1/api/flow_runs/1")
    error = httpx.HTTPStatusError("it failed", request=request, response=httpx.Response(code, request=request))
    return PrefectHTTPStatusError.from_httpx_error(error)


def failing(error: Exception, until_s: float, clock: FakeClock) -> Callable[[], Awaitable[str]]:
    """A call that raises `error` for the given number of seconds."""
    healed_at = clock.monotonic() + until_s

    async def call() -> str:
        if clock.monotonic() < healed_at:
            raise error
        return "answer"

    return call


@pytest.mark.parametrize(
    "error",
    [
        *map(status, [408, 425, 429, 500, 501, 502, 503, 504, 520]),
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("closed"),
        httpx.PoolTimeout("full"),
    ],
    ids=str,
)
async def test_call_survives_an_outage_of_59_minutes(error: Exception) -> None:
    """503 for 59 minutes, then a result: the caller gets the result."""
    clock = FakeClock()
    assert await persistent(failing(error, 59 * 60, clock), clock=clock) == "answer"
    assert max(clock.slept) <= 30


@pytest.mark.parametrize(
    "error", [*map(status, [400, 401, 403, 404, 409, 422]), ObjectNotFound(status(404)), ValueError("no")], ids=str
)
async def test_error_that_is_no_outage_is_raised_immediately(error: Exception) -> None:
    """404: the caller gets it after one call."""
    clock = FakeClock()
    with pytest.raises(type(error)):
        await persistent(failing(error, 60, clock), clock=clock)
    assert clock.slept == []


async def test_outage_that_does_not_end_is_raised_after_an_hour() -> None:
    """The last error is raised shortly before 60 minutes have passed."""
    clock = FakeClock()
    began_at = clock.monotonic()
    with pytest.raises(httpx.ConnectError):
        await persistent(failing(httpx.ConnectError("refused"), 1e9, clock), clock=clock)
    assert PERSIST_S - 30 <= clock.monotonic() - began_at <= PERSIST_S


async def test_outage_is_logged_once_when_it_begins_and_once_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Ten minutes of failures: one WARNING, one INFO; no line for a call that succeeds at the first try."""
    caplog.set_level(logging.INFO, logger="blocks.api")
    clock = FakeClock()
    await persistent(failing(status(500), 0, clock), clock=clock)
    assert caplog.records == []
    await persistent(failing(status(500), 600, clock), clock=clock)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_cancelled_call_is_not_called_again() -> None:
    """A run that is cancelled while it waits for Prefect's API ends."""
    clock = FakeClock()
    clock.stop()
    caller = asyncio.create_task(persistent(failing(status(500), 600, clock), clock=clock))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_concurrent_calls_do_not_share_their_attempts() -> None:
    """One call fails for ten minutes, another for one: each gets its own answer at its own time."""
    clock = FakeClock()
    calls = [failing(status(503), seconds, clock) for seconds in (60, 600)]
    assert await asyncio.gather(*(persistent(call, clock=clock) for call in calls)) == ["answer", "answer"]
