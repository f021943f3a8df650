"""Export many Datasaur projects, each into a file of its own, in one flow run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from blocks import fields
from blocks.datasaur import DatasaurCredentials
from blocks.fields import GIVE_UP_AFTER_S, MAX_POLL_INTERVAL_S, wait_policy
from blocks.load import load_block
from graphql_jobs.errors import InvalidInput
from graphql_jobs.inputs import Name
from graphql_jobs.providers.datasaur import ExportSpec
from tasks import parameters
from tasks.batch import SUBMISSIONS_PER_S, Item, batch_samples, hand_over, run_batch
from tasks.cancelling.layers import cancel_with_the_run
from tasks.downstream_check import require_downstream
from tasks.forms import with_form
from tasks.names import Parameters, count, named_after
from tasks.projects import Wanted, list_projects
from tasks.recordings import keys_of
from tasks.run_state import ends_in_a_state

Status = Annotated[
    Literal["COMPLETE", "REVIEW_READY", "IN_REVIEW", "IN_PROGRESS", "CREATED"],
    Field(title="Status of the projects", description="Status of the projects that are found, not of those given."),
]


def _run_name(given: Parameters) -> str:
    if given["project_ids"]:
        return f"export of {count(given['project_ids'], 'project')}"
    return f"export of the {given['status']} projects of {given['team_id'] or 'the personal workspace'}"


@with_form(
    project_ids="Projects to export",
    team_id="Or projects of the team",
    name="With names such as",
    tag="With the tag",
    since="Completed from (date)",
    until="Completed to (date)",
    status="With the status",
    format="Format",
    role="Labels of",
    result_folder="Folder for the files",
    credentials="Name of the Datasaur Credentials block",
    key="Your own name for this batch (key)",
    downstream="Then start",
    start_downstream_when="Start them if",
)
@flow(
    name="export-datasaur-projects",
    flow_run_name=named_after(_run_name),
    retries=0,
    validate_parameters=False,
    on_cancellation=[cancel_with_the_run],
)
@ends_in_a_state
async def export_datasaur_projects(
    project_ids: list[Name] = [],  # noqa: B006 (never changed; the form needs a plain default)
    team_id: Name | None = None,
    name: Name | None = None,
    tag: Name | None = None,
    since: parameters.Since = None,
    until: parameters.Until = None,
    status: Status = "COMPLETE",
    format: parameters.ExportFormat = "JSON_ADVANCED",
    role: Literal["REVIEWER", "LABELER"] = "REVIEWER",
    result_folder: Name | None = None,
    credentials: Name = "datasaur",
    key: parameters.BatchKey = None,
    submissions_per_s: parameters.SubmissionsPerS = SUBMISSIONS_PER_S,
    give_up_after_s: parameters.GiveUpAfter = GIVE_UP_AFTER_S,
    max_poll_interval_s: parameters.MaxPollInterval = MAX_POLL_INTERVAL_S,
    start_downstream_when: parameters.StartDownstreamWhen = "any succeeded",
    downstream: parameters.BatchDownstream = [],  # noqa: B006 (as above)
) -> list[dict[str, Any]] | State[Any]:
    """Export many projects, each into a file of its own, and start the downstream deployments once.

    Give the projects, or a team, name, tag or date by which they are found. A retry of the run, or another run with the
    same key, makes only the exports whose files it does not have. The run fails if any export did not succeed.

    Args:
        project_ids: Ids of the projects, from their addresses in Datasaur. Empty to find projects.
        team_id: Id of the team whose projects are found. Empty for the personal workspace.
        name: Find projects with such names, such as Interviews*.
        tag: Find projects with this tag.
        since: Find projects that were completed on this day (UTC) or later. Empty for no limit.
        until: Find projects that were completed on this day (UTC) or earlier. Empty for no limit.
        format: Format of the exported labels.
        role: Export the labels that the reviewers accepted, or those of the labelers.
        result_folder: Path of a folder on the worker. Empty for one in Prefect's home.
        credentials: The block holds the address and the sign-in. Create it under Blocks.
        start_downstream_when: Start the downstream deployments if all exports succeeded, if any did, or in any case.

    Returns:
        The outcomes, as plain JSON: provider, job_id, state, project, and file (the exported one).
    """
    if bool(project_ids) == any((team_id, name, tag, since, until)):
        raise InvalidInput("project_ids", "give the projects, or a team, name, tag or date by which they are found.")
    folder = fields.result_folder(result_folder)
    await require_downstream(downstream, batch_samples("datasaur", start_downstream_when))
    block = await load_block(DatasaurCredentials, credentials, "credentials")
    if not project_ids:
        wanted = Wanted(team_id, status, name, tag, since, until)
        project_ids = [project.id for project in await list_projects(block, wanted)]
    ids = list(dict.fromkeys(project_ids))
    specs = [ExportSpec.of(project_ids=[one], file_name=one, format=format, role=role) for one in ids]
    items = [Item(*one) for one in zip(ids, specs, keys_of(key, ids), strict=True)]
    policy = wait_policy(give_up_after_s, max_poll_interval_s=max_poll_interval_s)
    batch = await run_batch(block, items, policy, folder, submissions_per_s)
    return await hand_over(batch, downstream, start_downstream_when)
