"""Export Datasaur projects, download the file and hand over."""

from __future__ import annotations

from typing import Any, Literal

from prefect import flow

from blocks import fields as settings
from blocks.fields import wait_policy
from blocks.load import load_credentials
from graphql_jobs import OnUnknown
from graphql_jobs.providers.datasaur import ExportSpec
from tasks.cancelling.layers import cancel_with_the_run
from tasks.downstream_check import require_downstream, submitted
from tasks.parameters import Name, PollIntervalSeconds, WaitSeconds
from tasks.pipeline import Care, run_to_the_end
from tasks.run_state import ends_in_a_state
from tasks.timeout import OnTimeout


@flow(name="run-datasaur-export", retries=0, validate_parameters=False, on_cancellation=[cancel_with_the_run])
@ends_in_a_state
async def run_datasaur_export(
    project_ids: list[Name],
    file_name: Name,
    format: Name = "JSON_ADVANCED",
    role: Literal["REVIEWER", "LABELER"] = "REVIEWER",
    result_folder: Name | None = None,
    credentials: Name = "datasaur",
    give_up_after_s: WaitSeconds = 86400.0,
    queued_at_most_s: WaitSeconds | None = None,
    running_at_most_s: WaitSeconds | None = None,
    unchanged_at_most_s: WaitSeconds | None = None,
    unseen_at_most_s: WaitSeconds | None = None,
    on_timeout: OnTimeout = "leave",
    max_poll_interval_s: PollIntervalSeconds = 60.0,
    key: Name | None = None,
    on_unknown: OnUnknown = "fail",
    force_resubmit: bool = False,
    downstream: list[Name] = [],  # noqa: B006 (never changed; the form needs a plain default)
) -> dict[str, Any]:
    """Export Datasaur projects into one file, download it and start the downstream deployments.

    Args:
        project_ids: Ids of the projects to export.
        file_name: Name of the file at Datasaur, without its ending.
        format: Format of the export, such as JSON_ADVANCED, CSV, TSV or CONLL_2003.
        role: Whose labels are exported.
        result_folder: Folder for the downloaded file, on the worker. Empty for one in Prefect's home.
        credentials: Name of the Datasaur Credentials block.
        give_up_after_s: Stop waiting this many seconds after the submission. The job itself goes on.
        queued_at_most_s: Stop waiting if the job has not begun to run after this many seconds. Empty for no limit.
        running_at_most_s: Stop waiting if the job runs longer than this many seconds. Empty for no limit.
        unchanged_at_most_s: Stop waiting if no status changes for this many seconds. Empty for no limit.
        unseen_at_most_s: Stop waiting if the job does not show within this many seconds. Empty for half a minute.
        on_timeout: Whether a job that takes too long is left running or cancelled, where that is possible.
        max_poll_interval_s: Look at the job at least this often, in seconds. Looks start out more frequent.
        key: A name of your own for this job: another run with it goes on with the same job. Empty for a job per run.
        on_unknown: If nobody can tell whether the job was started, whether to fail or to start it again, maybe twice.
        force_resubmit: Start a new job even if there is one already, once in this run.
        downstream: Deployments to start when the job has succeeded, as flow/deployment. Each takes the parameter jobs.

    Returns:
        The outcome: provider, job_id, state and result (file and size_bytes), as plain JSON.
    """
    policy = wait_policy(
        give_up_after_s, queued_at_most_s, running_at_most_s, max_poll_interval_s, unchanged_at_most_s, unseen_at_most_s
    )
    care = Care(key, on_unknown, force_resubmit, on_timeout)
    spec = ExportSpec.of(project_ids=project_ids, file_name=file_name, format=format, role=role)
    folder = settings.result_folder(result_folder)
    await require_downstream(downstream, submitted("datasaur", may_repeat=True))
    return await run_to_the_end(await load_credentials("datasaur", credentials), spec, policy, folder, downstream, care)
