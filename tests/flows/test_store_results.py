"""The example of a downstream flow: finished jobs in a local SQLite file."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from flows.store_results import store_results
from graphql_jobs.emulator import Emulator, JobFault
from tests.conftest import PREFECT_HOME, Deploy, RunsOf
from tests.flows.conftest import SUBMITTING, WAITING, Run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]


def rows(path: Path) -> list[tuple[Any, ...]]:
    """The stored rows, without the instants."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT provider, job_id, state, result, outcome FROM jobs ORDER BY job_id")
        return found.fetchall()


async def store(jobs: list[dict[str, Any]], database: Path | None) -> int:
    """Run the flow as a worker would: in a thread, since it is a sync flow."""
    return await asyncio.to_thread(store_results, jobs, str(database) if database else None)


def job(job_id: str = "1", state: str = "SUCCEEDED") -> dict[str, Any]:
    """An outcome."""
    return {"provider": "aiware", "job_id": job_id, "state": state, "result": {"text": "ünïcode", "n": [1, 2]}}


async def test_storing_twice_changes_nothing(tmp_path: Path) -> None:
    """The same two outcomes twice: two rows, the same as after the first time."""
    file = tmp_path / "deep" / "down" / "jobs.sqlite"
    assert await store([job("1"), job("2")], file) == 2
    once = rows(file)
    assert await store([job("1"), job("2")], file) == 2
    assert rows(file) == once
    assert [json.loads(outcome) for *_, outcome in once] == [job("1"), job("2")]


async def test_later_outcome_replaces_the_earlier_one(tmp_path: Path) -> None:
    """A job that was UNKNOWN and then succeeded: one row, with the later state."""
    file = tmp_path / "jobs.sqlite"
    await store([{"provider": "aiware", "job_id": "1", "state": "UNKNOWN", "error": "gone"}], file)
    await store([job("1")], file)
    assert [row[2] for row in rows(file)] == ["SUCCEEDED"]


async def test_hostile_text_is_stored_as_text(tmp_path: Path) -> None:
    """An id that contains SQL is stored as a normal row."""
    file = tmp_path / "jobs.sqlite"
    await store([job("1'); DROP TABLE jobs; --")], file)
    assert [row[1] for row in rows(file)] == ["1'); DROP TABLE jobs; --"]


async def test_entry_that_is_no_outcome_is_refused_and_nothing_is_stored(tmp_path: Path) -> None:
    """One good and one malformed entry: the run fails with the parameter's name, and stores neither."""
    file = tmp_path / "jobs.sqlite"
    with pytest.raises(Exception, match="jobs") as raised:
        await store([job("1"), {"provider": "aiware", "job_id": "2"}], file)
    assert not isinstance(raised.value, KeyError)
    assert not file.exists() or rows(file) == []


async def test_default_database_is_in_prefects_home() -> None:
    """results.sqlite, in the folder of the results."""
    await store([job("in-the-home")], None)
    file = PREFECT_HOME / "graphql-jobs" / "results" / "results.sqlite"
    assert "in-the-home" in [row[1] for row in rows(file)]


@pytest.mark.walk
@pytest.mark.parametrize("name", SUBMITTING)
async def test_outcome_of_each_flow_is_stored(
    name: str, run: Run, deploy: Deploy, runs_of: RunsOf, tmp_path: Path
) -> None:
    """The flow gets the parameters of the downstream run, as on a worker: one row of that job."""
    downstream = await deploy(f"store-{name.replace(' ', '-')}")
    outcome = await (await run(SUBMITTING[name], downstream=[downstream])).result()
    [started] = await runs_of(downstream)
    file = tmp_path / "jobs.sqlite"
    await store(started.parameters["jobs"], file)
    [(provider, job_id, state, result, _)] = rows(file)
    assert (provider, job_id, state) == (outcome["provider"], outcome["job_id"], "SUCCEEDED")
    assert result == outcome["result"]


async def test_outcomes_of_the_sensor_are_stored(
    run: Run, emulator: Emulator, deploy: Deploy, runs_of: RunsOf, tmp_path: Path
) -> None:
    """Good, failed and lost jobs, with "always": three rows with their states."""
    downstream = await deploy("store-sensor")
    good, failed = emulator.aiware.plant().id, emulator.aiware.plant(fault=JobFault("job_fails")).id
    await run(WAITING, job_ids=[good, failed, "lost"], start_downstream_when="always", downstream=[downstream])
    [started] = await runs_of(downstream)
    await store(started.parameters["jobs"], tmp_path / "jobs.sqlite")
    states = {row[1]: row[2] for row in rows(tmp_path / "jobs.sqlite")}
    assert states == {good: "SUCCEEDED", failed: "FAILED", "lost": "UNKNOWN"}


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"jobs": "1"}, "jobs"),
        ({"jobs": [1]}, "jobs.0"),
        ({"jobs": [{}]}, "jobs.0"),
        ({"jobs": []}, ""),
        ({"jobs": [], "database": "/proc/1/none/jobs.sqlite"}, "database"),
        ({"jobs": [], "database": "/"}, "database"),
        ({"jobs": [], "database": "~nobody-of-that-name/x"}, "database"),
    ],
)
async def test_bad_parameters_end_as_invalid_input(parameters: dict[str, Any], named: str) -> None:
    """A path that cannot be a file, or an invalid outcome: the state names it, without a traceback."""
    state: Any = await asyncio.to_thread(store_results, **parameters, return_state=True)
    assert state.name == ("InvalidInput" if named else "Completed")
    assert named in str(state.message)
    assert str(state.message or "").startswith(f"{named}: " if named else "")
