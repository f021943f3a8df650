"""An example pipeline: export the Datasaur projects that are newly complete, and load their labels into DuckDB."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from blocks.datasaur import DatasaurCredentials
from blocks.fields import GIVE_UP_AFTER_S, default_result_folder, wait_policy
from blocks.load import load_block
from flows.examples.nightly import Database, Store, database_file, load, publish
from graphql_jobs.inputs import Name
from graphql_jobs.providers.datasaur import ExportSpec
from tasks import parameters
from tasks.batch import Item, run_batch
from tasks.cancelling.layers import cancel_with_the_run
from tasks.forms import with_form
from tasks.names import named_after
from tasks.projects import Wanted, list_projects
from tasks.recordings import keys_of
from tasks.run_state import ends_in_a_state, overall_state, succeeded_with

KEY = "nightly-labels"


@with_form(
    team_id="Team",
    since="Completed from (date)",
    until="Completed to (date)",
    database="DuckDB file",
    credentials="Name of the Datasaur Credentials block",
)
@flow(
    name=KEY,
    flow_run_name=named_after(lambda given: f"labels of {given['team_id'] or 'the personal workspace'}"),
    retries=0,
    validate_parameters=False,
    on_cancellation=[cancel_with_the_run],
)
@ends_in_a_state
async def nightly_labels(
    team_id: Name | None = None,
    since: parameters.Since = None,
    until: parameters.Until = None,
    database: Database = None,
    credentials: Name = "datasaur",
) -> int | State[Any]:
    """Export the complete projects that are not in the database, load the labels, and publish a report.

    A run after a crash exports again what it has not downloaded. The run fails if any export did not succeed.

    Args:
        team_id: Id of the team. Empty for the personal workspace.
        credentials: The block holds the address and the sign-in. Create it under Blocks.

    Returns:
        The number of projects that were loaded.
    """
    store = Store(database_file(database), "projects", "labels", LABELS, labels_in)
    block = await load_block(DatasaurCredentials, credentials, "credentials")
    found = await list_projects(block, Wanted(team_id=team_id, since=since, until=until))
    days = {project.id: project.day for project in found}
    names = await store.without_done(days)
    specs = [ExportSpec.of(project_ids=[name], file_name=name) for name in names]
    items = [Item(*one) for one in zip(names, specs, keys_of(KEY, names), strict=True)]
    batch = await run_batch(block, items, wait_policy(GIVE_UP_AFTER_S), default_result_folder())
    await load(store, batch, days)
    await publish(store, KEY, len(days), batch)
    message = f"{len(days)} projects were found, {len(batch.files)} of them were new."
    return overall_state(batch.ended) or succeeded_with(len(batch.files), message)


#: The columns of the table `labels`. The form of a label depends on the kind of the project, so it is kept as JSON.
LABELS = "document VARCHAR, label VARCHAR"


def labels_in(file: Path) -> list[tuple[Any, ...]]:
    """Return the labels of the reviewed documents in an exported archive.

    Datasaur does not publish the form of JSON_ADVANCED. This reads the list `labels` of each document, as the emulator
    writes it: adapt it to your projects.
    """
    with zipfile.ZipFile(file) as archive:
        documents = [name for name in archive.namelist() if "REVIEW/" in name and name.endswith(".json")]
        return [
            (name.rpartition("REVIEW/")[2].removesuffix(".json"), json.dumps(label))
            for name in documents
            for label in json.loads(archive.read(name)).get("labels") or ()
        ]
