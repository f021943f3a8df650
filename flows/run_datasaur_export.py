"""Export Datasaur projects, download the file and start the downstream deployments."""

from __future__ import annotations

from typing import Any, Literal

from prefect import flow

from blocks import fields as settings
from blocks.fields import GIVE_UP_AFTER_S, MAX_POLL_INTERVAL_S, wait_policy
from graphql_jobs.inputs import Name
from graphql_jobs.providers.datasaur import ExportSpec
from graphql_jobs.providers.datasaur.specs import CommentType
from tasks import parameters
from tasks.cancelling.layers import cancel_with_the_run
from tasks.forms import with_form
from tasks.names import count, named_after
from tasks.pipeline import JobOptions, run_to_the_end
from tasks.run_state import ends_in_a_state


@with_form(
    project_ids="Projects to export",
    file_name="Name of the file",
    format="Format",
    role="Labels of",
    result_folder="Folder for the file",
    credentials="Name of the Datasaur Credentials block",
    downstream="Then start",
    file_transformer_id="Transformer of a custom format",
    included_comment_type="Comments to export",
    object_storage_id="External storage, instead of a download",
    object_storage_prefix="Beginning of the key in that storage",
)
@flow(
    name="run-datasaur-export",
    flow_run_name=named_after(
        lambda given: f"export of {count(given['project_ids'], 'project')} to {given['file_name']}"
    ),
    retries=0,
    validate_parameters=False,
    on_cancellation=[cancel_with_the_run],
)
@ends_in_a_state
async def run_datasaur_export(
    project_ids: list[Name],
    file_name: Name,
    format: parameters.ExportFormat = "JSON_ADVANCED",
    role: Literal["REVIEWER", "LABELER"] = "REVIEWER",
    result_folder: Name | None = None,
    credentials: Name = "datasaur",
    file_transformer_id: Name | None = None,
    included_comment_type: list[CommentType] = [],  # noqa: B006 (never changed; the form needs a plain default)
    object_storage_id: Name | None = None,
    object_storage_prefix: Name | None = None,
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
    downstream: parameters.Downstream = [],  # noqa: B006 (as above)
) -> dict[str, Any]:
    """Export Datasaur projects into one file, download it and start the downstream deployments.

    With an external storage, Datasaur writes the file there, and nothing is downloaded.

    Args:
        project_ids: Ids of the projects, from their addresses in Datasaur.
        file_name: Without its ending, such as nightly.
        format: Format of the exported labels.
        role: Export the labels that the reviewers accepted, or those of the labelers.
        result_folder: Path of a folder on the worker. Empty for one in Prefect's home.
        credentials: The block holds the address and the sign-in. Create it under Blocks.
        file_transformer_id: Id of the transformer, for the format CUSTOM.
        included_comment_type: Export the comments of these kinds, too.
        object_storage_id: Id of your external object storage in Datasaur. Empty to download the file.
        object_storage_prefix: Such as exports/2026/.

    Returns:
        The outcome: provider, job_id, state and result, as plain JSON. The result is file and size_bytes, or, with an
        external storage, object_storage_id, object_storage_prefix, object_key and file_name.
    """
    policy = wait_policy(
        give_up_after_s, queued_at_most_s, running_at_most_s, max_poll_interval_s, unchanged_at_most_s, unseen_at_most_s
    )
    options = JobOptions(key, on_unknown, force_resubmit, on_timeout)
    spec = ExportSpec.of(
        project_ids=project_ids,
        file_name=file_name,
        format=format,
        role=role,
        file_transformer_id=file_transformer_id,
        included_comment_type=included_comment_type,
        object_storage_id=object_storage_id,
        object_storage_prefix=object_storage_prefix,
    )
    folder = settings.result_folder(result_folder)
    return await run_to_the_end("datasaur", credentials, spec, policy, downstream, options, folder, may_repeat=True)
