"""Auto-label a Datasaur project and start the downstream deployments."""

from __future__ import annotations

from typing import Any, Literal

from prefect import flow

from blocks.datasaur import DatasaurTargetApi
from blocks.fields import GIVE_UP_AFTER_S, MAX_POLL_INTERVAL_S, wait_policy
from blocks.load import load_block
from graphql_jobs.inputs import Count, Name
from graphql_jobs.providers.datasaur import AutoLabelSpec
from tasks import parameters
from tasks.cancelling.layers import cancel_with_the_run
from tasks.forms import with_form
from tasks.names import named_after
from tasks.pipeline import JobOptions, run_to_the_end
from tasks.run_state import ends_in_a_state
from tasks.suspending.suspend import SUSPEND_AFTER_S


@with_form(
    project_id="Project to label",
    labeler_email="Email of the labeler",
    target_api="Name of the Datasaur Target API block",
    lines_per_request="Lines per call to the model",
    role="Role of the labeler",
    credentials="Name of the Datasaur Credentials block",
    downstream="Then start",
)
@flow(
    name="run-datasaur-auto-label",
    flow_run_name=named_after(lambda given: f"auto-labeling of project {given['project_id']}"),
    retries=0,
    validate_parameters=False,
    on_cancellation=[cancel_with_the_run],
)
@ends_in_a_state
async def run_datasaur_auto_label(
    project_id: Name,
    labeler_email: Name,
    target_api: Name = "datasaur-target-api",
    lines_per_request: Count = 0,
    role: Literal["LABELER", "REVIEWER"] | None = None,
    credentials: Name = "datasaur",
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
    downstream: parameters.Downstream = [],  # noqa: B006 (never changed; the form needs a plain default)
) -> dict[str, Any]:
    """Label a Datasaur project with your own model, wait for the end and start the downstream deployments.

    Args:
        project_id: Id of the project, from its address in Datasaur.
        labeler_email: The labels are written as the work of this team member.
        target_api: The block holds the address and the key of your model.
        lines_per_request: 0 sends all lines of a document in one call.
        role: Role in which the labels are written. Empty for the provider's default.
        credentials: The block holds the address and the sign-in. Create it under Blocks.

    Returns:
        The outcome: provider, job_id, state and result, as plain JSON.
    """
    policy = wait_policy(
        give_up_after_s, queued_at_most_s, running_at_most_s, max_poll_interval_s, unchanged_at_most_s, unseen_at_most_s
    )
    options = JobOptions(key, on_unknown, force_resubmit, on_timeout, suspend, suspend_after_s, on_failure)
    model = await load_block(DatasaurTargetApi, target_api, "target_api")
    spec = AutoLabelSpec.of(
        project_id=project_id,
        labeler_email=labeler_email,
        target_endpoint=model.endpoint,
        target_secret=model.secret_key,
        lines_per_request=lines_per_request,
        role=role,
    )
    return await run_to_the_end("datasaur", credentials, spec, policy, downstream, options)
