"""What the nightly pipelines share: a DuckDB file that says what is done, and a report with a plot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import ceil
from pathlib import Path
from typing import Annotated, Any

import duckdb
from prefect import get_run_logger
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from pydantic import Field
from tenacity import AsyncRetrying, retry_if_exception_message, stop_after_delay, wait_fixed

from blocks.fields import default_result_folder, result_folder
from blocks.reporting.timeline import as_markdown
from graphql_jobs import Job, JobState
from graphql_jobs.errors import InvalidInput
from graphql_jobs.inputs import Name
from tasks.batch import Batch
from tasks.job_task import job_task

Database = Annotated[
    Name | None,
    Field(title="DuckDB file", description="Path of a file on the worker. Empty for nightly.duckdb in Prefect's home."),
]
#: Our choices: how long a run waits for another process that has the file open, and the days of the plot.
_LOCKED_S = 600.0
_DAYS = 30
_WIDTH, _HEIGHT, _LABEL, _GREY = 540, 120, 44, "#7c8594"


@dataclass(frozen=True)
class Store:
    """Two tables of a DuckDB file: one row per item (a recording, a project), and the rows that its result has.

    The first table says what is done: an item with a row is not run again, also if its job failed. To run it again,
    delete its row.
    """

    file: Path
    items: str
    rows: str
    columns: str
    read: Callable[[Path], Sequence[tuple[Any, ...]]]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[duckdb.DuckDBPyConnection]:
        """Open the file once no other process has it open. Close it soon: DuckDB allows one process at a time."""
        locked = retry_if_exception_message(match=".*Could not set lock")
        retrying = AsyncRetrying(retry=locked, wait=wait_fixed(1), stop=stop_after_delay(_LOCKED_S), reraise=True)
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            database: duckdb.DuckDBPyConnection = await retrying(_connect, self.file)
        except (OSError, duckdb.Error) as error:
            raise InvalidInput("database", f"{str(self.file)!r} cannot be opened: {error}") from None
        with database:
            item = "name VARCHAR, day DATE, state VARCHAR, job_id VARCHAR, loaded_at TIMESTAMP"
            database.execute(f"CREATE TABLE IF NOT EXISTS {self.items} ({item})")
            database.execute(f"CREATE TABLE IF NOT EXISTS {self.rows} (name VARCHAR, {self.columns})")
            yield database

    async def without_done(self, days: Mapping[str, date | None]) -> list[str]:
        """Return the names of the items that have no row yet."""
        async with self.opened() as database:
            done = {name for (name,) in database.execute(f"SELECT name FROM {self.items}").fetchall()}  # noqa: S608
        return sorted(days.keys() - done)


@job_task(name="load results", task_run_name="load results", cache_policy=NO_CACHE)
async def load(store: Store, batch: Batch, days: Mapping[str, date | None]) -> None:
    """Load each job that has ended, in a transaction of its own. Loading one twice changes nothing."""
    ended = {name: job for name, job in batch.ended.items() if isinstance(job, Job)}
    async with store.opened() as database:
        for name, job in ended.items():
            now = datetime.now(UTC).replace(tzinfo=None)
            item = (days[name], str(job.state), job.job_id, now)
            rows = store.read(batch.files[name]) if job.state is JobState.SUCCEEDED else []
            database.begin()
            _replace(database, store.items, name, [item])
            _replace(database, store.rows, name, rows)
            database.commit()
    get_run_logger().info("Loaded %d jobs into %s.", len(ended), store.file)


async def publish(store: Store, key: str, found: int, batch: Batch) -> None:
    """Publish the report: what this run did, and a plot of the days in the table."""
    async with store.opened() as database:
        days = database.execute(
            f"SELECT day, count(*) FILTER (state = 'SUCCEEDED'), count(*) FILTER (state <> 'SUCCEEDED') "  # noqa: S608
            f"FROM {store.items} WHERE day IS NOT NULL GROUP BY day ORDER BY day DESC LIMIT {_DAYS}"
        ).fetchall()
        total = _only(database.execute(f"SELECT count(*) FROM {store.items} WHERE state = 'SUCCEEDED'"))  # noqa: S608
        rows = _only(database.execute(f"SELECT count(*) FROM {store.rows}"))  # noqa: S608
    failed = sorted(name for name in {*batch.ended, *batch.handles} if name not in batch.files)
    facts = {
        f"{store.items.capitalize()} found": found,
        "Loaded by this run": len(batch.files),
        "Failed in this run": len(failed),
        f"{store.items.capitalize()} in the table": total,
        f"{store.rows.capitalize()} in the table": rows,
        "File": f"`{store.file}`",
    }
    parts = [
        f"## {key.replace('-', ' ').capitalize()}",
        "\n".join(["| | |", "| --- | --- |", *(f"| **{name}** | {value} |" for name, value in facts.items())]),
        f"### {store.items.capitalize()} per day\n\nRed: the job did not succeed." if days else "",
        as_markdown(bars(days[::-1]), f"{store.items.capitalize()} per day"),
        "\n".join(["### Failed\n", *(f"- `{name.replace('`', ' ')}`" for name in failed[:100])]) if failed else "",
    ]
    await acreate_markdown_artifact("\n\n".join(filter(None, parts)), key=key, description=f"Report of {key}")


def bars(days: Sequence[tuple[date, int, int]]) -> str:
    """Return an SVG with a bar for each day: the jobs that succeeded, and on top of them those that did not."""
    if not days:
        return ""
    scale = (_HEIGHT - 40) / max(good + bad for _, good, bad in days)
    pitch = min(_LABEL, _WIDTH / len(days))
    parts = []
    for number, (day, good, bad) in enumerate(days):
        left, top = number * pitch, _HEIGHT - 20 - (good + bad) * scale
        size = f'x="{left + 2:.1f}" width="{pitch - 4:.1f}"'
        middle = f'x="{left + pitch / 2:.1f}" text-anchor="middle"'
        parts.append(f'<rect {size} y="{top:.1f}" height="{bad * scale:.1f}" fill="#e5484d"/>')
        parts.append(f'<rect {size} y="{top + bad * scale:.1f}" height="{good * scale:.1f}" fill="#22a06b"/>')
        has_label = number % ceil(_LABEL / pitch) == 0  # as many as there is room for
        if has_label or len(str(good + bad)) * 6 < pitch:
            parts.append(f'<text {middle} y="{top - 4:.1f}">{good + bad}</text>')
        if has_label:
            start = "" if pitch == _LABEL else f'x="{left + 2:.1f}"'
            parts.append(f'<text {start or middle} y="{_HEIGHT - 6}">{day:%d %b}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="ui-sans-serif, system-ui, sans-serif" font-size="10" fill="{_GREY}">{"".join(parts)}</svg>'
    )


def database_file(named: str | None) -> Path:
    """Return the path of the named or default database."""
    return result_folder(named, "database") if named else default_result_folder() / "nightly.duckdb"


async def _connect(file: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(file)


def _only(found: duckdb.DuckDBPyConnection) -> int:
    return int((found.fetchone() or (0,))[0])


def _replace(database: duckdb.DuckDBPyConnection, table: str, name: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Replace all rows of `name`. One statement inserts them all: many are slow."""
    database.execute(f"DELETE FROM {table} WHERE name = ?", [name])  # noqa: S608 (the names are ours)
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        values = ", ".join(["unnest(?)"] * len(columns))
        database.execute(f"INSERT INTO {table} SELECT ?, {values}", [name, *columns])
