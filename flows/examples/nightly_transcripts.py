"""An example pipeline: run an engine on the recordings that are new, and load their words into DuckDB, each night."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from blocks.fields import GIVE_UP_AFTER_S, default_result_folder, wait_policy
from blocks.load import load_credentials
from flows.examples.nightly import Database, Store, database_file, load, publish
from graphql_jobs.errors import InvalidInput
from graphql_jobs.inputs import Name
from graphql_jobs.providers.aiware import EngineJobSpec
from graphql_jobs.urls import without_queries
from tasks import parameters
from tasks.batch import Item, run_batch
from tasks.cancelling.layers import cancel_with_the_run
from tasks.forms import with_form
from tasks.names import file_of, named_after
from tasks.recordings import day_of, keys_of, list_recordings, recordings_in
from tasks.run_state import ends_in_a_state, overall_state, succeeded_with

KEY = "nightly-transcripts"


@with_form(
    engine_id="Engine",
    listing="Address of a list of recordings",
    folder="Or folder on the worker",
    folder_url="Address of that folder",
    pattern="Names of the recordings",
    since="Recordings from (date)",
    until="Recordings to (date)",
    database="DuckDB file",
    credentials="Name of the aiWARE Credentials block",
)
@flow(
    name=KEY,
    flow_run_name=named_after(lambda given: f"transcripts of {file_of(given['listing'] or given['folder'])}"),
    retries=0,
    validate_parameters=False,
    on_cancellation=[cancel_with_the_run],
)
@ends_in_a_state
async def nightly_transcripts(
    engine_id: Name,
    listing: parameters.Address | None = None,
    folder: Name | None = None,
    folder_url: parameters.Address | None = None,
    pattern: parameters.Pattern = "*",
    since: parameters.Since = None,
    until: parameters.Until = None,
    database: Database = None,
    credentials: Name = "aiware",
) -> int | State[Any]:
    """Run an engine on the recordings that are not in the database, load the words, and publish a report.

    A recording has the day in its name, such as call-2026-11-28.mp4, or else that of its last change in the folder. A
    run after a crash continues with the jobs that it has. The run fails if any job did not succeed.

    Args:
        engine_id: Id of an engine that transcribes.
        listing: Address of a list of recordings: a JSON list, one address per line, or a page with links.
        folder: Folder on the worker with the recordings, which aiWARE can fetch at folder_url.
        folder_url: Address of that folder.
        credentials: The block holds the address and the token. Create it under Blocks.

    Returns:
        The number of recordings that were loaded.
    """
    if bool(listing) == bool(folder) or bool(folder) != bool(folder_url):
        raise InvalidInput("listing", "give a listing, or a folder together with folder_url.")
    store = Store(database_file(database), "recordings", "words", WORDS, words_in)
    if listing:
        found: dict[str, Path | None] = dict.fromkeys(await list_recordings(listing, pattern))
    else:
        found = {**recordings_in(str(folder), str(folder_url), pattern)}
    # A recording is known by its address without the query, which may be a signature.
    addresses = {without_queries(address): address for address in found}
    days = {name: day_of(address, found[address]) for name, address in addresses.items()}
    days = {name: day for name, day in days.items() if parameters.is_within(day, since, until)}
    names = await store.without_done(days)
    block = await load_credentials("aiware", credentials)
    specs = [EngineJobSpec.of(engine_id=engine_id, upload_url=addresses[name]) for name in names]
    # The key of a recording is the same in each run: a run after a crash, or beside this one, has the same job.
    items = [Item(*one) for one in zip(names, specs, keys_of(f"{KEY} {engine_id}", names), strict=True)]
    batch = await run_batch(block, items, wait_policy(GIVE_UP_AFTER_S), default_result_folder())
    await load(store, batch, days)
    await publish(store, KEY, len(days), batch)
    message = f"{len(days)} recordings were found, {len(batch.files)} of them were new."
    return overall_state(batch.ended) or succeeded_with(len(batch.files), message)


#: The columns of the table `words`.
WORDS = "start_ms BIGINT, stop_ms BIGINT, word VARCHAR, confidence DOUBLE"


def words_in(file: Path) -> list[tuple[Any, ...]]:
    """Return the words of the best path in the engine results of a job (vtn-standard)."""
    results = json.loads(file.read_text())["engine_results"]
    return [
        (part.get("startTimeMs"), part.get("stopTimeMs"), word["word"], word.get("confidence"))
        for result in results
        for part in (result.get("jsondata") or {}).get("series") or ()
        for word in part.get("words") or ()
        if word.get("bestPath", True)
    ]
