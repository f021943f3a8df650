"""Run a job of a declared provider and start the downstream deployments."""

from __future__ import annotations

from typing import Any

from prefect import flow

from blocks import fields as settings
from blocks.fields import GIVE_UP_AFTER_S, MAX_POLL_INTERVAL_S, wait_policy
from blocks.graphql_job_provider import GraphqlJobProvider
from blocks.load import load_block
from graphql_jobs.inputs import Name, Settings
from tasks import parameters
from tasks.cancelling.layers import cancel_with_the_run
from tasks.forms import with_form
from tasks.names import named_after
from tasks.pipeline import JobOptions, run_to_the_end
from tasks.run_state import ends_in_a_state
from tasks.suspending.suspend import SUSPEND_AFTER_S


@with_form(
    credentials="Name of the GraphQL Job Provider block",
    values="Values",
    result_folder="Folder for the file",
    downstream="Then start",
)
@flow(
    name="run-graphql-job",
    flow_run_name=named_after(lambda given: f"job of {given['credentials']}"),
    retries=0,
    validate_parameters=False,
    on_cancellation=[cancel_with_the_run],
)
@ends_in_a_state
async def run_graphql_job(
    credentials: Name,
    values: Settings = {},  # noqa: B006 (never changed; the form needs a plain default)
    result_folder: Name | None = None,
    give_up_after_s: parameters.GiveUpAfter = GIVE_UP_AFTER_S,
    queued_at_most_s: parameters.QueuedAtMost = None,
    running_at_most_s: parameters.RunningAtMost = None,
    unchanged_at_most_s: parameters.UnchangedAtMost = None,
    unseen_at_most_s: parameters.UnseenAtMost = None,
    on_timeout: parameters.OnTimeout = "leave",
    max_poll_interval_s: parameters.MaxPollInterval = MAX_POLL_INTERVAL_S,
    key: parameters.Key = None,
    on_unknown: parameters.OnUnknown = "fail",
    force_resubmit: parameters.ForceResubmit = False,
    suspend: parameters.Suspend = False,
    suspend_after_s: parameters.SuspendAfter = SUSPEND_AFTER_S,
    on_failure: parameters.OnFailure = "resume",
    downstream: parameters.Downstream = [],  # noqa: B006 (as above)
) -> dict[str, Any]:
    """Run one job of a declared provider, wait for its end and start the downstream deployments.

    Args:
        credentials: The block holds the declaration, the address and the sign-in. Create it under Blocks.
        values: Values of the variables in the document that submits a job. Defaults are in the declaration.
        result_folder: Path of a folder on the worker, for a result that is a file. Empty for one in Prefect's home.

    Returns:
        The outcome: provider, job_id, state and result, as plain JSON.
    """
    policy = wait_policy(
        give_up_after_s, queued_at_most_s, running_at_most_s, max_poll_interval_s, unchanged_at_most_s, unseen_at_most_s
    )
    options = JobOptions(key, on_unknown, force_resubmit, on_timeout, suspend, suspend_after_s, on_failure)
    folder = settings.result_folder(result_folder)
    block = await load_block(GraphqlJobProvider, credentials, "credentials")
    spec = block.client_class().spec(values)
    return await run_to_the_end(block.provider, credentials, spec, policy, downstream, options, folder)
