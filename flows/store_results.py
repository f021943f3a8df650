"""An example of a downstream flow: store finished jobs in a local SQLite file."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

from prefect import flow, get_run_logger

from blocks.fields import default_result_folder, result_folder
from graphql_jobs.errors import InvalidInput
from graphql_jobs.inputs import Name
from tasks.forms import with_form
from tasks.names import count, named_after
from tasks.run_state import ends_in_a_state

_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
  provider TEXT NOT NULL,
  job_id TEXT NOT NULL,
  state TEXT NOT NULL,
  result TEXT,
  outcome TEXT NOT NULL,
  stored_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (provider, job_id)
)
"""
_STORE = """
INSERT INTO jobs (provider, job_id, state, result, outcome) VALUES (:provider, :job_id, :state, :result, :outcome)
ON CONFLICT DO UPDATE SET state = excluded.state, result = excluded.result, outcome = excluded.outcome,
  stored_at = CURRENT_TIMESTAMP
"""


@with_form(
    jobs="Finished jobs (JSON)",
    database="SQLite file",
)
@flow(
    name="store-results",
    flow_run_name=named_after(lambda given: f"store {count(given['jobs'], 'job')}"),
    retries=0,
    validate_parameters=False,
)
@ends_in_a_state
def store_results(jobs: list[dict[str, Any]], database: Name | None = None) -> int:
    """Store the outcomes of finished jobs in the table jobs of a SQLite file. Storing an outcome twice changes nothing.

    Args:
        jobs: The outcomes that the flows of this project hand over.
        database: Path of the SQLite file, on the worker. Empty for results.sqlite in Prefect's home.

    Returns:
        The number of outcomes stored.
    """
    for number, job in enumerate(jobs):
        if missing := {"provider", "job_id", "state"} - job.keys():
            raise InvalidInput(f"jobs.{number}", f"it is not an outcome: {', '.join(sorted(missing))} is missing.")
    path = result_folder(database, "database") if database else default_result_folder() / "results.sqlite"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = sqlite3.connect(path, timeout=60)
    except (OSError, ValueError, sqlite3.Error) as error:
        raise InvalidInput("database", f"{str(path)!r} cannot be opened: {error}.") from None
    with closing(opened) as connection, connection:
        connection.execute(_TABLE)
        connection.executemany(_STORE, [_row(job) for job in jobs])
    get_run_logger().info("Stored %d jobs in %s.", len(jobs), path)
    return len(jobs)


def _row(job: dict[str, Any]) -> dict[str, Any]:
    result = job.get("result")
    texts = {"result": result if isinstance(result, str) else json.dumps(result), "outcome": json.dumps(job)}
    return {name: str(job[name]) for name in ("provider", "job_id", "state")} | texts
