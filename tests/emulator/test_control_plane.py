"""The control plane: other processes control the emulator over HTTP."""

from typing import Any

import aiohttp
import pytest

from graphql_jobs.emulator import Emulator, ManualClock, SystemClock


async def test_faults_clock_and_ledger_over_http(emulator: Emulator, http: aiohttp.ClientSession, aiware: Any) -> None:
    """Add a fault, see its effect, remove all faults, advance the clock, read the ledger; none of it is recorded."""
    base = f"{emulator.url}/_emulator"
    async with http.post(f"{base}/faults", json={"kind": "data_null", "times": None}) as response:
        assert response.status == 201
    async with http.post(f"{base}/faults", json={"kind": "job_fails", "operation": "createJob"}) as response:
        assert response.status == 201
    assert await aiware("{ me { id } }") == {"data": None}
    async with http.delete(f"{base}/faults") as response:
        assert response.status == 200
    assert (await aiware("{ me { id } }"))["data"]["me"]
    before_at = emulator.clock.now()
    async with http.post(f"{base}/clock", json={"advance_s": 5}) as response:
        assert await response.json() == {"now_at": before_at + 5}
    async with http.get(f"{base}/health") as response:
        assert (await response.json())["status"] == "ok"
    async with http.get(f"{base}/ledger") as response:
        ledger = await response.json()
    assert [record["fault"] for record in ledger["requests"]] == ["data_null", None]
    assert set(ledger) == {"requests", "submissions", "cancels", "tokens_issued"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", {"kind": "nonsense"}),
        ("faults", {"kind": "delay", "what": 1}),
        ("faults", []),
        ("clock", {"advance_s": -1}),
        ("clock", {}),
        ("clock", {"advance_s": "soon"}),
    ],
)
async def test_wrong_lever_is_a_400_that_says_why(
    emulator: Emulator, http: aiohttp.ClientSession, path: str, body: Any
) -> None:
    """Unknown kind, unknown option, not an object, negative time, nothing, not a number."""
    async with http.post(f"{emulator.url}/_emulator/{path}", json=body) as response:
        assert response.status == 400
        assert (await response.json())["error"]


async def test_nothing_is_left_after_the_block(http: aiohttp.ClientSession) -> None:
    """The port is closed and can be used again immediately."""
    async with Emulator(clock=ManualClock()) as running:
        url = running.url
        port = int(url.rpartition(":")[2])
    with pytest.raises(aiohttp.ClientConnectorError):
        await http.get(url)
    with pytest.raises(RuntimeError):
        _ = running.url
    async with Emulator(clock=ManualClock(), port=port) as again:
        assert again.url == url
        with pytest.raises(OSError, match="address"):
            await Emulator(port=port).__aenter__()


def test_system_clock_runs_by_itself_and_as_fast_as_told() -> None:
    """At a speed of a million, two readings differ; time cannot go back; a speed of 0 is an error."""
    clock = SystemClock(speed=1e6)
    before_at = clock.now()
    assert clock.now() > before_at
    clock.advance(1e9)
    assert clock.now() > before_at + 1e9
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="speed"):
        SystemClock(0)
