"""Create a Datasaur project from documents and start the downstream deployments."""

from __future__ import annotations

from typing import Any, Literal

from prefect import flow

from blocks.fields import GIVE_UP_AFTER_S, MAX_POLL_INTERVAL_S, wait_policy
from graphql_jobs.inputs import Name
from graphql_jobs.providers.datasaur import ProjectDocument, ProjectSpec
from tasks import parameters
from tasks.cancelling.layers import cancel_with_the_run
from tasks.forms import with_form
from tasks.names import named_after
from tasks.pipeline import JobOptions, run_to_the_end
from tasks.run_state import ends_in_a_state
from tasks.suspending.suspend import SUSPEND_AFTER_S


@with_form(
    name="Name of the project",
    documents="Documents",
    team_id="Team",
    kinds="What is labeled",
    purpose="Purpose",
    credentials="Name of the Datasaur Credentials block",
    downstream="Then start",
    settings="More settings of the project (JSON)",
)
@flow(
    name="create-datasaur-project",
    flow_run_name=named_after(lambda given: f"project {given['name']}"),
    retries=0,
    validate_parameters=False,
    on_cancellation=[cancel_with_the_run],
)
@ends_in_a_state
async def create_datasaur_project(
    name: Name,
    documents: list[ProjectDocument],
    team_id: Name | None = None,
    kinds: list[Literal["TOKEN_BASED", "ROW_BASED", "DOCUMENT_BASED", "BBOX_BASED"]] = ["TOKEN_BASED"],  # noqa: B006
    purpose: Literal["LABELING", "LABELER_TEST", "VALIDATION"] = "LABELING",
    settings: dict[str, Any] = {},  # noqa: B006 (never changed; the form needs a plain default)
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
    downstream: parameters.Downstream = [],  # noqa: B006 (as above)
) -> dict[str, Any]:
    """Create a labeling project, wait until it exists and start the downstream deployments.

    Args:
        name: Make it unique; Datasaur does not.
        documents: The files to label, each by its address or by the key of an earlier upload.
        team_id: Id of the team. Empty for the personal workspace.
        kinds: TOKEN_BASED for spans of text, ROW_BASED for rows, DOCUMENT_BASED for documents, BBOX_BASED for boxes.
        purpose: LABELING for ordinary work.
        settings: Other fields of createProject's input, such as tokenLabelSets.
        credentials: The block holds the address and the sign-in. Create it under Blocks.

    Returns:
        The outcome: provider, job_id, state and result (result_id is the new project's id), as plain JSON.
    """
    policy = wait_policy(
        give_up_after_s, queued_at_most_s, running_at_most_s, max_poll_interval_s, unchanged_at_most_s, unseen_at_most_s
    )
    options = JobOptions(key, on_unknown, force_resubmit, on_timeout, suspend, suspend_after_s, on_failure)
    spec = ProjectSpec.of(
        name=name, documents=documents, team_id=team_id, kinds=kinds, purpose=purpose, settings=settings
    )
    return await run_to_the_end("datasaur", credentials, spec, policy, downstream, options)
