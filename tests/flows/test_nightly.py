"""The nightly pipelines through three nights of November 2026, with crashes, an overlap and a back-fill."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
import sys
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import duckdb
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.settings import PREFECT_API_URL

import flows.examples.nightly_labels as labels
import flows.examples.nightly_transcripts as transcripts
from flows.examples.nightly import Store, bars
from graphql_jobs.emulator import JobFault
from graphql_jobs.errors import InvalidInput
from tests.flows.conftest import ENGINE_ID

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

    from graphql_jobs.emulator import Emulator
    from tests.flows.conftest import MakeRun, OneRun

ROOT = Path(__file__).parents[2]
BASE = "https://media.example.com/calls"


def test_plot_has_a_bar_for_each_day() -> None:
    """Two days: five good jobs, then three good and one bad on top of them; the highest bar fills the plot."""
    svg = ElementTree.fromstring(bars([(date(2026, 11, 26), 5, 0), (date(2026, 11, 27), 3, 1)]))
    heights = [float(one.attrib["height"]) for one in svg if one.tag.endswith("rect")]
    assert heights == [0, 80, 16, 48]
    assert [one.text for one in svg if one.tag.endswith("text")] == ["5", "26 Nov", "4", "27 Nov"]
    assert bars([]) == ""


async def test_run_waits_while_another_process_has_the_database_open(tmp_path: Path) -> None:
    """DuckDB allows one process at a time: it is tried again until the other has closed the file."""
    file = tmp_path / "night.duckdb"
    held = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    pipe = asyncio.subprocess.PIPE
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", held, str(file), stdin=pipe, stdout=pipe)
    assert other.stdin
    assert other.stdout
    await other.stdout.readline()
    store = Store(file, "recordings", "words", transcripts.WORDS, transcripts.words_in)
    opening = asyncio.create_task(store.without_done({"a": None}))
    assert await asyncio.wait({opening}, timeout=0.2) == (set(), {opening})
    other.stdin.close()
    await other.wait()
    assert await opening == ["a"]


async def test_database_that_cannot_be_opened_is_invalid_input(tmp_path: Path) -> None:
    """No DuckDB file, or one below a file: the parameter is named, and it is not tried again."""
    (tmp_path / "notes.txt").write_text("no database" * 1000)
    for file in (tmp_path / "notes.txt", tmp_path / "notes.txt" / "a.duckdb"):
        with pytest.raises(InvalidInput, match="database"):
            await Store(file, "a", "b", "c INT", lambda _: []).without_done({})


class Nights:
    """Runs one of the pipelines on a database of its own."""

    def __init__(self, make_run: MakeRun, pipeline: Any, database: Path, **parameters: Any) -> None:
        self.make_run, self.pipeline, self.database = make_run, pipeline, database
        self.parameters = parameters | {"database": str(database), "since": "2026-11-26"}

    async def run(self, **changed: Any) -> State[Any]:
        """One run, which ends."""
        self.last: OneRun = await self.make_run(self.pipeline, **(self.parameters | changed))
        return await self.last()

    async def crash(self, monkeypatch: pytest.MonkeyPatch, module: Any, step: str) -> None:
        """One run that ends in an error before this step."""
        with monkeypatch.context() as patch:
            patch.setattr(module, step, crashes)
            assert (await self.run()).name == "Failed"

    async def report(self) -> str:
        """The report of the last run; its plot is an SVG."""
        only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[self.last.id]))
        async with get_client() as client:
            found = await client.read_artifacts(artifact_filter=only)
        [text] = [str(one.data) for one in found if (one.key or "").startswith("nightly-")]
        [picture] = re.findall(r"\(data:image/svg\+xml;base64,([^)]+)\)", text)
        assert ElementTree.fromstring(base64.b64decode(picture)).tag.endswith("svg")
        return text

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.database, read_only=True) as database:
            return database.execute(query).fetchall()


async def crashes(*_: object, **__: object) -> None:
    raise RuntimeError("the machine is off")


def record(folder: Path, day: int, *names: str) -> None:
    """Put recordings into the folder, which were made on this day of November."""
    for name in names:
        (folder / name).touch()
        os.utime(folder / name, times=(0, datetime(2026, 11, day, 12, tzinfo=UTC).timestamp()))


async def killed_run(parameters: dict[str, Any]) -> int:
    """The status of a process of a run that is killed once its jobs are submitted."""
    environment = os.environ | {"PREFECT_API_URL": str(PREFECT_API_URL.value())}
    command = [sys.executable, "-m", "tests.flows.killed_run", json.dumps(parameters)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment)
    return await process.wait()


@pytest.mark.prefect
@pytest.mark.usefixtures("saved")
async def test_each_recording_of_three_nights_is_transcribed_once(
    make_run: MakeRun, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the submission, crashed after the wait and before the report, two runs at once, a back-fill."""
    folder = tmp_path / "calls"
    folder.mkdir()
    given = {"engine_id": ENGINE_ID, "folder": str(folder), "folder_url": BASE, "pattern": "*.mp4"}
    nights = Nights(make_run, transcripts.nightly_transcripts, tmp_path / "night.duckdb", **given)
    record(folder, 2, "old.mp4", "call-2026-11-01.mp4")

    record(folder, 26, "a.mp4", "b.mp4", "notes.txt")
    assert await killed_run(nights.parameters) == -signal.SIGKILL
    assert (await nights.run()).message == "2 recordings were found, 2 of them were new."
    record(folder, 27, "c.mp4", "d.mp4")
    await nights.crash(monkeypatch, transcripts, "load")
    states = await asyncio.gather(nights.run(), nights.run())
    assert {state.name for state in states} == {"Completed"}
    record(folder, 28, "e.mp4")
    await nights.crash(monkeypatch, transcripts, "publish")
    assert (await nights.run()).message == "5 recordings were found, 0 of them were new."
    report = await nights.report()
    assert "| **Recordings in the table** | 5 |" in report
    assert "| **Words in the table** | 15 |" in report
    for _ in range(2):
        await nights.run(since="2026-11-01", until="2026-11-02")
    assert "| **Recordings found** | 2 |" in await nights.report()
    assert_table(nights)
    once = Counter(one.key for one in emulator.ledger.submissions if one.operation == "launchSingleEngineJob")
    assert list(once.values()) == [1] * 7


def assert_table(nights: Nights) -> None:
    """One row for each recording with its day, and the three words of the emulator's transcript."""
    days = {"a": 26, "b": 26, "c": 27, "d": 27, "e": 28, "old": 2, "call-2026-11-01": 1}
    rows = nights.rows("SELECT name, day, state FROM recordings")
    assert sorted(rows) == sorted(
        (f"{BASE}/{name}.mp4", date(2026, 11, day), "SUCCEEDED") for name, day in days.items()
    )
    words = nights.rows("SELECT name, list(word ORDER BY start_ms), max(stop_ms) FROM words GROUP BY name")
    assert sorted(words) == sorted((f"{BASE}/{name}.mp4", ["We", "the", "people"], 2880) for name in days)


@pytest.mark.prefect
@pytest.mark.walk
@pytest.mark.usefixtures("saved")
async def test_labels_of_each_project_of_three_nights_are_loaded_once(
    make_run: MakeRun, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Crashed after the wait and before the report, a failed export, two runs at once, a back-fill."""
    nights = Nights(make_run, labels.nightly_labels, tmp_path / "night.duckdb", team_id="7")

    def complete(day: int, **fields: Any) -> str:
        at = datetime(2026, 11, day, 12, tzinfo=UTC).timestamp()
        given: dict[str, Any] = {"status": "COMPLETE", "team_id": "7", "updated_at": at}
        return emulator.datasaur.plant_project(**(given | fields)).id

    old = complete(1)
    complete(26, status="IN_REVIEW")
    first = [complete(26), complete(26)]
    await nights.crash(monkeypatch, labels, "load")
    assert (await nights.run()).message == "2 projects were found, 2 of them were new."
    fails = complete(27)
    emulator.faults.add(JobFault("job_fails", key=fails))
    assert (await nights.run()).name == "JobFailed"
    assert f"- `{fails}`" in await nights.report()
    third = complete(27)
    await asyncio.gather(nights.run(), nights.run())
    fourth = complete(28)
    await nights.crash(monkeypatch, labels, "publish")
    assert (await nights.run()).message == "5 projects were found, 0 of them were new."
    assert "| **Labels in the table** | 8 |" in await nights.report()
    await nights.run(since="2026-11-01", until="2026-11-01")

    exports = Counter(one.key for one in emulator.ledger.submissions)
    assert exports.pop(third) in (1, 2)  # a run beside another does not have the address of its file
    assert exports == Counter([old, *first, fails, fourth])
    states = dict(nights.rows("SELECT name, state FROM projects"))
    assert states == dict.fromkeys([old, *first, third, fourth], "SUCCEEDED") | {fails: "FAILED"}
    assert len(nights.rows("SELECT * FROM projects")) == len(states)
    found = nights.rows("SELECT name, document, json_extract_string(label, 'text') FROM labels")
    assert sorted(found) == sorted(
        (name, "document-1.txt", text) for name in states if name != fails for text in ("Ada", "London")
    )
