"""Run one aiWARE engine on one recording: `run_aiware_job` without what most runs do not need."""

from __future__ import annotations

from typing import Any

from prefect import flow

from blocks.fields import GIVE_UP_AFTER_S, MAX_POLL_INTERVAL_S, wait_policy
from graphql_jobs.inputs import Name
from graphql_jobs.providers.aiware import EngineJobSpec
from tasks import parameters
from tasks.cancelling.layers import cancel_with_the_run
from tasks.forms import with_form
from tasks.names import engine_run, named_after
from tasks.pipeline import JobOptions, run_to_the_end
from tasks.run_state import ends_in_a_state
from tasks.suspending.suspend import SUSPEND_AFTER_S


@with_form(
    engine_id="Engine",
    upload_url="Address of the recording",
    credentials="Name of the aiWARE Credentials block",
    downstream="Then start",
)
@flow(
    name="run-aiware-engine",
    flow_run_name=named_after(engine_run),
    retries=0,
    validate_parameters=False,
    on_cancellation=[cancel_with_the_run],
)
@ends_in_a_state
async def run_aiware_engine(
    engine_id: Name,
    upload_url: parameters.Address,
    credentials: Name = "aiware",
    downstream: parameters.Downstream = [],  # noqa: B006 (never changed; the form needs a plain default)
    give_up_after_s: parameters.GiveUpAfter = GIVE_UP_AFTER_S,
    on_timeout: parameters.OnTimeout = "leave",
    max_poll_interval_s: parameters.MaxPollInterval = MAX_POLL_INTERVAL_S,
    key: parameters.Key = None,
    on_unknown: parameters.OnUnknown = "fail",
    force_resubmit: parameters.ForceResubmit = False,
    suspend: parameters.Suspend = False,
    suspend_after_s: parameters.SuspendAfter = SUSPEND_AFTER_S,
    cluster_id: parameters.ClusterId = None,
    template_fields: parameters.TemplateFields = {},  # noqa: B006 (as above)
) -> dict[str, Any]:
    """Run one aiWARE engine on one recording, fetch its results and start the downstream deployments.

    `run-aiware-job` can do more: an existing data object instead of an address, more deadlines, and tasks of your own.

    Args:
        engine_id: Id of the engine, such as c0e55cde-340b-44d7-bb42-2e0d65e98255 for a transcription.
        upload_url: The engine fetches the recording from this address, which may be signed.
        credentials: The block holds the address and the token. Create it under Blocks.

    Returns:
        The outcome: provider, job_id, state, task_counts, target_id and result, as plain JSON.
    """
    fields = template_fields | ({"clusterId": cluster_id} if cluster_id else {})
    spec = EngineJobSpec.of(engine_id=engine_id, upload_url=upload_url, fields=fields)
    policy = wait_policy(give_up_after_s, max_poll_interval_s=max_poll_interval_s)
    options = JobOptions(key, on_unknown, force_resubmit, on_timeout, suspend, suspend_after_s)
    return await run_to_the_end("aiware", credentials, spec, policy, downstream, options)
