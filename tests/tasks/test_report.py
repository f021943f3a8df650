"""The words, the report and the picture about a job. No server."""

from __future__ import annotations

import base64
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from blocks.reporting.artifacts import key_of
from blocks.reporting.report import MAX_ROWS, report, report_of_many
from blocks.reporting.timeline import MAX_BARS, Bar, picture
from blocks.reporting.words import MAX_TRANSCRIPT, duration, result_words, size, transcript
from graphql_jobs import Job, JobFailure, JobHandle, JobState
from graphql_jobs.errors import WaitTimedOut
from graphql_jobs.job import JobTask

AT = "2026-01-01T00:00:"
HANDLE = JobHandle(provider="aiware", endpoint="https://api.example.com/v3/graphql", job_id="7_aB")
FAILURE = JobFailure("no_audio", "![x](https://evil.example.com) <b> | *now*", "t2")
JOB = Job(
    *("aiware", "7_aB", JobState.FAILED, "failed"),
    tasks=(
        JobTask("t1", JobState.SUCCEEDED, "complete", "engine-1", f"{AT}10Z", raw_ended=f"{AT}20Z"),
        JobTask("t2", JobState.FAILED, "failed", "engine-2", f"{AT}20Z", FAILURE, raw_ended=f"{AT}40Z"),
    ),
    failures=(FAILURE,),
    raw_created=f"{AT}00Z",
    raw_modified=f"{AT}40Z",
)


def words(*texts: str) -> dict[str, Any]:
    """A result with one series of these words."""
    series = [{"words": [{"word": text}, {"word": "other", "bestPath": False}]} for text in texts]
    return {"engine_results": [{"jsondata": {"series": series}}, {"jsondata": None}]}


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.44, "0.4 s"), (2, "2 s"), (41.4, "41 s"), (60, "1 min"), (723, "12 min 3 s"), (7500, "2 h 5 min")],
)
def test_duration_is_short(seconds: float, shown: str) -> None:
    """7,500 s are 2 h 5 min."""
    assert duration(seconds) == shown


def test_size_has_a_unit() -> None:
    """12,345 bytes are 12 kB."""
    assert [size(number) for number in (980, 12_345, 3_400_000)] == ["980 bytes", "12 kB", "3.4 MB"]


@pytest.mark.parametrize(
    ("result", "line"),
    [
        ({"file": "/data/demo.zip", "size_bytes": 12_345}, "Saved demo.zip (12 kB) to /data."),
        (
            {"object_storage_id": "s1", "object_storage_prefix": "p/", "file_name": "demo"},
            "aiWARE job 7_aB wrote its file to external storage: s1, p/demo.",
        ),
        ({"engine_results": [{}, {}]}, "Fetched 2 engine results of aiWARE job 7_aB."),
        ({}, "aiWARE job 7_aB has no result to fetch."),
        ({"rows": 3}, "Fetched the result of aiWARE job 7_aB."),
    ],
)
def test_log_line_says_what_was_fetched(result: dict[str, Any], line: str) -> None:
    """The file's name, size and folder, and not the names of fields."""
    assert result_words(JOB, result) == line


def test_transcript_is_cut() -> None:
    """The words of the best path, up to 500 characters."""
    assert transcript(words("We", "the", "people")) == "We the people"
    assert len(transcript(words(*["word"] * 1000))) <= MAX_TRANSCRIPT + 4
    assert transcript({"engine_results": [{"jsondata": {"series": "odd"}}]}) == ""


def test_report_shows_the_job_and_escapes_the_providers_words() -> None:
    """State, times, each task with its duration and failure; a failure message is no picture and no cell."""
    text = report(HANDLE, JOB, words("<script>", "[a](b)"))
    assert text.startswith("## aiWARE job `7_aB`")
    assert "| **Duration** | 40 s |" in text
    assert "| `engine-1` | complete | 00:00:10 | 10 s |  |" in text
    assert "\\!\\[x\\](https\\://evil.example.com) \\<b\\> \\| \\*now\\*" in text
    assert "> \\<script\\> \\[a\\](b)" in text
    rows = [line for line in text.splitlines() if line.startswith("| `engine")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [6, 6]


def test_report_has_no_empty_column() -> None:
    """No task failed: the table of tasks has no column for failures."""
    done = JOB._replace(tasks=JOB.tasks[:1], failures=())
    assert "| Engine | Status | Started (UTC) | Duration |\n" in report(HANDLE, done)


def test_report_of_many_has_the_failures_first_and_is_bounded() -> None:
    """The job that timed out stands above those that succeeded; a thousand jobs have 200 rows."""
    done = JOB._replace(state=JobState.SUCCEEDED, failures=())
    handles = {str(number): HANDLE.model_copy(update={"job_id": str(number)}) for number in range(1000)}
    ended: dict[str, Any] = {job_id: done._replace(job_id=job_id) for job_id in handles}
    ended["999"] = WaitTimedOut("aiware", ["999"], 5, "late")
    text = report_of_many(ended, handles)
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert (len(rows), rows[0].startswith("| `999` | WaitTimedOut |")) == (MAX_ROWS, True)
    assert "And 800 more." in text
    assert text.count("data:image") == 1


def test_picture_is_to_scale() -> None:
    """A task of 10 s that starts after 10 of 40 s: a quarter of the width, one quarter from the left."""
    text = report(HANDLE, JOB)
    encoded = re.search(r"base64,([^)]+)\)", text)
    assert encoded
    root = ElementTree.fromstring(base64.b64decode(encoded[1]))
    bars = [dict(one.attrib) for one in root.iter() if one.tag.endswith("rect")]
    left, width = float(bars[0]["x"]), float(bars[0]["width"])
    assert [float(bar["width"]) / width for bar in bars] == pytest.approx([1, 0.25, 0.5], abs=0.01)
    assert [(float(bar["x"]) - left) / width for bar in bars] == pytest.approx([0, 0.25, 0.5], abs=0.01)
    assert len({bar["fill"] for bar in bars}) == 2


def test_picture_has_a_bounded_number_of_bars() -> None:
    """100 tasks: 40 bars. None: no picture."""
    bars = [Bar("<&>", float(number), number + 1.0, JobState.SUCCEEDED) for number in range(100)]
    assert picture(bars).count("<rect") == MAX_BARS
    assert picture([]) == ""


def test_key_of_an_artifact_is_stable_and_valid() -> None:
    """Two ids that differ only in case have two keys; the order of several does not matter."""
    keys = [key_of("aiware", "u", "20_Ab:c"), key_of("aiware", "u", "20_aB:c"), key_of("aiware", "u", "1", "2")]
    assert len(set(keys)) == 3
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key) for key in keys)
    assert keys[2] == key_of("aiware", "u", "2", "1")
