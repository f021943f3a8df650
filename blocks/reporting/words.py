"""The words of states, logs and artifacts about a job: durations, sizes and what came out. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from graphql_jobs import Job, JobHandle
from graphql_jobs.titles import job_name, title_of

#: Our choice: the number of characters of a transcript that an artifact shows.
MAX_TRANSCRIPT = 500


def duration(seconds: float) -> str:
    """Return a duration for people: "0.4 s", "41 s", "12 min 3 s", "2 h 5 min"."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s".replace(".0 ", " ")
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 // 60 else "")


def size(size_bytes: int) -> str:
    """Return a file's size for people: "980 bytes", "12 kB", "3.4 MB"."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1000:.0f} kB"
    return f"{size_bytes / 1_000_000:.1f} MB"


def counted(number: int, noun: str) -> str:
    """Return "1 job", "2 jobs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def seconds_of(job: Job, handle: JobHandle | None = None) -> float | None:
    """Return how long a job that has ended took, from its submission, as far as the provider says."""
    began_at = (handle.submitted_at if handle else None) or job.created_at
    if not began_at or not job.modified_at or not job.state.is_terminal:
        return None
    return max((job.modified_at - began_at).total_seconds(), 0.0)


def success(job: Job, handle: JobHandle, started: int) -> str:
    """Return the message of a run: "aiWARE job 7 succeeded in 41 s; 1 downstream run started."."""
    took_s = seconds_of(job, handle)
    took = f" in {duration(took_s)}" if took_s is not None else ""
    return f"{job.name} succeeded{took}{_started(started)}."


def success_of_many(provider: str, job_ids: Collection[str], started: int) -> str:
    """Return the same for a run that waited for several jobs: "All 3 aiWARE jobs succeeded."."""
    jobs = f"All {len(job_ids)} {title_of(provider)} jobs" if len(job_ids) > 1 else job_name(provider, *job_ids)
    return f"{jobs} succeeded{_started(started)}."


def _started(number: int) -> str:
    return f"; {counted(number, 'downstream run')} started" if number else ""


def result_words(job: Job, result: Mapping[str, Any]) -> str:
    """Return the log line about a result: "Saved demo.zip (12 kB) to /data.", and never its content."""
    if file := result.get("file"):
        path = Path(str(file))
        return f"Saved {path.name} ({size(int(result.get('size_bytes') or 0))}) to {path.parent}."
    if stored := stored_at(result):
        return f"{job.name} wrote its file to external storage: {stored}."
    records = result.get("engine_results")
    if isinstance(records, list):
        return f"Fetched {counted(len(records), 'engine result')} of {job.name}."
    if job.result_id:
        return f"The result of {job.name} is {job.result_id}."
    if result:
        return f"Fetched the result of {job.name}."
    return f"{job.name} has no result to fetch."


def stored_at(result: Mapping[str, Any]) -> str:
    """Return where in the caller's storage a file is: "storage-1, exports/demo.zip". Empty for other results."""
    storage_id = result.get("object_storage_id")
    where = result.get("object_key") or f"{result.get('object_storage_prefix', '')}{result.get('file_name', '')}"
    return f"{storage_id}, {where}" if storage_id else ""


def transcript(result: Mapping[str, Any]) -> str:
    """Return the first words of the transcripts in aiWARE's results, or an empty text."""
    text = ""
    for word in _words(result.get("engine_results")):
        text += f" {word}" if text else word
        if len(text) > MAX_TRANSCRIPT:
            return f"{text[:MAX_TRANSCRIPT].rstrip()} ..."
    return text


def _words(records: object) -> Iterator[str]:
    """Yield the words of the best path of each series of a vtn-standard result; others are ignored."""
    for record in _dicts(records):
        content = record.get("jsondata")
        for part in _dicts(content.get("series") if isinstance(content, dict) else None):
            for word in _dicts(part.get("words")):
                if word.get("bestPath", True) is not False and isinstance(word.get("word"), str):
                    yield word["word"]


def _dicts(value: object) -> Iterator[dict[str, Any]]:
    yield from (one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()
