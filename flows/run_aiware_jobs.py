"""Run one aiWARE engine on many recordings, in one flow run."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from blocks.fields import GIVE_UP_AFTER_S, MAX_POLL_INTERVAL_S, result_folder, wait_policy
from blocks.load import load_credentials
from graphql_jobs.errors import InvalidInput
from graphql_jobs.inputs import Name
from graphql_jobs.providers.aiware import EngineJobSpec
from tasks import parameters
from tasks.batch import SUBMISSIONS_PER_S, Item, batch_samples, hand_over, run_batch
from tasks.cancelling.layers import cancel_with_the_run
from tasks.downstream_check import require_downstream
from tasks.forms import with_form
from tasks.names import Parameters, count, file_of, named_after
from tasks.recordings import keys_of, list_recordings, recordings_in
from tasks.run_state import ends_in_a_state

Results = Annotated[
    Name | None,
    Field(
        title="Folder for the results",
        description="On the worker: one JSON file for each job. Empty for a folder in Prefect's home.",
    ),
]


def _run_name(given: Parameters) -> str:
    source = (
        count(given["recordings"], "recording") if given["recordings"] else file_of(given["listing"] or given["folder"])
    )
    return f"engine {given['engine_id'].partition('-')[0]} on {source}"


@with_form(
    engine_id="Engine",
    recordings="Addresses of the recordings",
    listing="Or address of a list of recordings",
    folder="Or folder on the worker",
    folder_url="Address of that folder",
    credentials="Name of the aiWARE Credentials block",
    key="Your own name for this batch (key)",
    downstream="Then start",
    start_downstream_when="Start them if",
)
@flow(
    name="run-aiware-jobs",
    flow_run_name=named_after(_run_name),
    retries=0,
    validate_parameters=False,
    on_cancellation=[cancel_with_the_run],
)
@ends_in_a_state
async def run_aiware_jobs(
    engine_id: Name,
    recordings: list[parameters.Address] = [],  # noqa: B006 (never changed; the form needs a plain default)
    listing: parameters.Address | None = None,
    folder: Name | None = None,
    folder_url: parameters.Address | None = None,
    pattern: parameters.Pattern = "*",
    template_fields: parameters.TemplateFields = {},  # noqa: B006 (as above)
    credentials: Name = "aiware",
    key: parameters.BatchKey = None,
    force_resubmit: parameters.ForceResubmit = False,
    submissions_per_s: parameters.SubmissionsPerS = SUBMISSIONS_PER_S,
    give_up_after_s: parameters.GiveUpAfter = GIVE_UP_AFTER_S,
    max_poll_interval_s: parameters.MaxPollInterval = MAX_POLL_INTERVAL_S,
    results: Results = None,
    start_downstream_when: parameters.StartDownstreamWhen = "any succeeded",
    downstream: parameters.BatchDownstream = [],  # noqa: B006 (as above)
) -> list[dict[str, Any]] | State[Any]:
    """Run one engine on many recordings, store each result as a file, and start the downstream deployments once.

    Give the recordings, a listing of them, or a folder. A retry of the run, or another run with the same key, continues
    with the jobs that were submitted before. The run fails if any job did not succeed. A job that misses the deadline
    is left running. The run cannot be suspended: it stores each result as soon as its job ends.

    Args:
        engine_id: Id of the engine.
        recordings: Addresses of the recordings that the engine fetches.
        listing: Address of a list of recordings: a JSON list, one address per line, or a page with links.
        folder: Folder on the worker with the recordings, which aiWARE can fetch at folder_url.
        folder_url: Address of that folder.
        credentials: The block holds the address and the token. Create it under Blocks.
        start_downstream_when: Start the downstream deployments if all jobs succeeded, if any did, or in any case.

    Returns:
        The outcomes, as plain JSON: provider, job_id, state, recording, and file (with its result).
    """
    if sum(map(bool, (recordings, listing, folder))) != 1 or bool(folder) != bool(folder_url):
        raise InvalidInput("recordings", "give recordings, or a listing, or a folder together with folder_url.")
    if listing:
        addresses = await list_recordings(listing, pattern)
    else:
        addresses = list(recordings_in(folder, folder_url, pattern)) if folder and folder_url else recordings
    addresses = list(dict.fromkeys(addresses))
    items = [
        Item(address, EngineJobSpec.of(engine_id=engine_id, upload_url=address, fields=template_fields), one)
        for address, one in zip(addresses, keys_of(key, addresses), strict=True)
    ]
    await require_downstream(downstream, batch_samples("aiware", start_downstream_when))
    block = await load_credentials("aiware", credentials)
    policy = wait_policy(give_up_after_s, max_poll_interval_s=max_poll_interval_s)
    batch = await run_batch(
        block, items, policy, result_folder(results, "results"), submissions_per_s, force_resubmit=force_resubmit
    )
    return await hand_over(batch, downstream, start_downstream_when)
