"""Create a Datasaur project from documents and hand over."""

from __future__ import annotations

from typing import Any, Literal

from prefect import flow

from blocks.fields import wait_policy
from blocks.load import load_credentials
from graphql_jobs import OnUnknown
from graphql_jobs.providers.datasaur import ProjectDocument, ProjectSpec
from tasks.cancelling.layers import cancel_with_the_run
from tasks.downstream_check import require_downstream, submitted
from tasks.parameters import Name, PollIntervalSeconds, WaitSeconds
from tasks.pipeline import Care, run_to_the_end
from tasks.run_state import ends_in_a_state
from tasks.timeout import OnTimeout


@flow(name="create-datasaur-project", retries=0, validate_parameters=False, on_cancellation=[cancel_with_the_run])
@ends_in_a_state
async def create_datasaur_project(
    name: Name,
    documents: list[ProjectDocument],
    team_id: Name | None = None,
    kinds: list[Literal["TOKEN_BASED", "ROW_BASED", "DOCUMENT_BASED", "BBOX_BASED"]] = ["TOKEN_BASED"],  # noqa: B006
    purpose: Literal["LABELING", "LABELER_TEST", "VALIDATION"] = "LABELING",
    settings: dict[str, Any] = {},  # noqa: B006 (never changed; the form needs a plain default)
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
    downstream: list[Name] = [],  # noqa: B006 (as above)
) -> dict[str, Any]:
    """Create a labeling project, wait until it is there and start the downstream deployments.

    Args:
        name: Name of the project. Make it unique; Datasaur does not.
        documents: The files to label, each at an address or uploaded before.
        team_id: Id of the team. Empty for the personal workspace.
        kinds: What is labeled.
        purpose: What the project is for.
        settings: More of createProject's input under its own names, such as tokenLabelSets.
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
        The outcome: provider, job_id, state and result (result_id is the new project's id), as plain JSON.
    """
    policy = wait_policy(
        give_up_after_s, queued_at_most_s, running_at_most_s, max_poll_interval_s, unchanged_at_most_s, unseen_at_most_s
    )
    care = Care(key, on_unknown, force_resubmit, on_timeout)
    spec = ProjectSpec.of(
        name=name, documents=documents, team_id=team_id, kinds=kinds, purpose=purpose, settings=settings
    )
    await require_downstream(downstream, submitted("datasaur"))
    return await run_to_the_end(await load_credentials("datasaur", credentials), spec, policy, None, downstream, care)
