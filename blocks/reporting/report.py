"""The report about a job, or about several, in Markdown. Pure.

The words of a provider are escaped: they must not become links or pictures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from prefect.utilities.urls import url_for

from blocks.reporting.timeline import Bar, as_markdown, picture
from blocks.reporting.words import duration, seconds_of, size, stored_at, transcript
from graphql_jobs import GraphqlJobsError, Job, JobHandle, JobState
from graphql_jobs.job import JobTask
from graphql_jobs.titles import title_of

#: The end of one wait: the job in its final state, or the error that ended the wait.
Ended = Job | GraphqlJobsError
#: Our choices: the number of rows of a table, and of characters of a reason in it.
MAX_ROWS = 200
_MAX_REASON = 300


def report(
    handle: JobHandle,
    ended: Ended,
    result: Mapping[str, Any] | None = None,
    downstream: Mapping[str, UUID] | None = None,
) -> str:
    """Return the report about one job: what it was, its tasks, what came out, and the runs that it started."""
    parts = [f"## {title_of(handle.provider)} job {_code(handle.job_id)}", _facts(handle, ended)]
    parts += [_result(result or {}), _downstream(downstream or {})]
    if isinstance(ended, Job):
        parts += [_tasks(ended.tasks), as_markdown(picture(_bars(handle, ended)), "Timeline of the job and its tasks")]
    return "\n\n".join(filter(None, parts))


def report_of_many(ended: Mapping[str, Ended], handles: Mapping[str, JobHandle], waiting: int = 0) -> str:
    """Return the report about several jobs: one table, those that did not succeed first, and one picture."""
    ordered = sorted(ended.items(), key=lambda one: isinstance(one[1], Job) and one[1].state is JobState.SUCCEEDED)
    rows = [(_code(job_id), _state(how), _took(handles[job_id], how), _reason(how)) for job_id, how in ordered]
    bars = [_whole(handles[job_id], how) for job_id, how in ended.items() if isinstance(how, Job)]
    more = f"\n\nAnd {len(rows) - MAX_ROWS} more." if len(rows) > MAX_ROWS else ""
    title = title_of(next(iter(handles.values())).provider)
    head = f"## {len(ended)} of {len(ended) + waiting} {title} jobs ended"
    table = _table(("Job", "State", "Duration", "Reason"), rows[:MAX_ROWS]) + more
    timeline = as_markdown(picture([bar for bar in bars if bar]), "Timeline of the jobs")
    return "\n\n".join(filter(None, [head, table, timeline]))


def orphans_report(rows: Sequence[Mapping[str, str | None]], names: Mapping[UUID, str], description: str) -> str:
    """Return the report of `reap-orphans`: each job, why it is an orphan, what was done, and its run with a link."""
    cells = []
    for row in rows[:MAX_ROWS]:
        run_id = UUID(str(row["run"]))
        what = _code(str(row["job_id"])) if row["job_id"] else _escaped(str(row["what"]))
        status, why, done = (_escaped(str(row[name] or "")) for name in ("status", "why", "done"))
        run = run_link(run_id, names[run_id]) if run_id in names else f"{_code(str(run_id))} (not known here)"
        cells.append((what, status, why, done, run))
    more = f"\n\nAnd {len(rows) - MAX_ROWS} more: the log has all." if len(rows) > MAX_ROWS else ""
    table = _table(("Job", "Status", "Why", "Done", "Run"), cells) + more if rows else ""
    return "\n\n".join(filter(None, [_escaped(description), table]))


def run_link(run_id: UUID, name: str = "") -> str:
    """Return a link to a flow run in Prefect's UI, or its name and id if the UI's address is not known."""
    address = url_for("flow-run", obj_id=run_id)
    return f"[{_escaped(name or str(run_id))}]({address})" if address else _escaped(f"{name} {run_id}".strip())


def _facts(handle: JobHandle, ended: Ended) -> str:
    job = ended if isinstance(ended, Job) else None
    facts = {
        "Provider": f"{title_of(handle.provider)}, {_code(handle.endpoint)}",
        "Operation": _code(handle.operation) if handle.operation else "",
        "State": _state(ended),
        "Submitted": _instant(handle.submitted_at or (job.created_at if job else None)),
        "Ended": _instant(job.modified_at) if job and job.state.is_terminal else "",
        "Duration": _took(handle, ended),
        "Reason": _reason(ended),
        "Data object": _code(job.target_id) if job and job.target_id else "",
        "Result": _code(job.result_id) if job and job.result_id else "",
    }
    return _table(("", ""), [(f"**{name}**", value) for name, value in facts.items() if value])


def _tasks(tasks: Sequence[JobTask]) -> str:
    rows = [
        (
            _code(task.engine_id) if task.engine_id else _code(task.task_id),
            _escaped(task.raw_status),
            f"{task.started_at:%H:%M:%S}" if task.started_at else "",
            duration((task.ended_at - task.started_at).total_seconds()) if task.started_at and task.ended_at else "",
            _escaped(_cut(f"{task.failure}")) if task.failure else "",
        )
        for task in tasks[:MAX_ROWS]
    ]
    more = f"\n\nAnd {len(tasks) - MAX_ROWS} more." if len(tasks) > MAX_ROWS else ""
    table = _table(("Engine", "Status", "Started (UTC)", "Duration", "Failure"), rows)
    return f"### Tasks\n\n{table}{more}" if rows else ""


def _bars(handle: JobHandle, job: Job) -> list[Bar]:
    whole = _whole(handle, job)
    tasks = [
        Bar(task.engine_id or task.task_id, task.started_at.timestamp(), task.ended_at.timestamp(), task.state)
        for task in job.tasks
        if task.started_at and task.ended_at and task.ended_at >= task.started_at
    ]
    return [whole, *tasks] if whole else tasks


def _whole(handle: JobHandle, job: Job) -> Bar | None:
    took_s = seconds_of(job, handle)
    if took_s is None or not job.modified_at:
        return None
    ended_at = job.modified_at.timestamp()
    return Bar(job.job_id, ended_at - took_s, ended_at, job.state)


def _result(result: Mapping[str, Any]) -> str:
    if file := result.get("file"):
        return f"### Result\n\n{_code(str(file))} ({size(int(result.get('size_bytes') or 0))})"
    if stored := stored_at(result):
        return f"### Result\n\n{_code(stored)} (external storage)"
    words = transcript(result)
    return f"### First words of the transcript\n\n> {_escaped(words)}" if words else ""


def _downstream(runs: Mapping[str, UUID]) -> str:
    links = [f"- {run_link(run_id, deployment)}" for deployment, run_id in runs.items()]
    return "\n".join(["### Downstream runs\n", *links]) if links else ""


def _state(ended: Ended) -> str:
    if isinstance(ended, Job):
        return f"{ended.state} ({_code(ended.raw_status)})"
    return type(ended).__name__


def _reason(ended: Ended) -> str:
    if isinstance(ended, Job):
        return _escaped(_cut("; ".join(map(str, ended.failures[:3]))))
    return _escaped(_cut(str(ended)))


def _took(handle: JobHandle, ended: Ended) -> str:
    took_s = seconds_of(ended, handle) if isinstance(ended, Job) else None
    return duration(took_s) if took_s is not None else ""


def _instant(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the table without the columns that are empty: they would need room on a narrow screen."""
    full = [column for column in range(len(head)) if any(row[column] for row in rows)]
    lines = [[row[column] for column in full] for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_REASON else f"{text[:_MAX_REASON]} ..."


def _escaped(text: str) -> str:
    """Return text of a provider so that Markdown shows it as it is, in one line."""
    return re.sub(r"([\\`*_{}\[\]<>|#!~&:@])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """Return an id as code."""
    return f"`{' '.join(text.replace('`', ' ').replace('|', ' ').split())}`"
