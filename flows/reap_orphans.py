"""Find jobs that no run waits for: report them, start wait-for-jobs for them, or cancel them."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from pydantic import Field

from blocks.aiware import AiwareCredentials
from blocks.load import load_block
from graphql_jobs.clock import SystemClock, instant
from graphql_jobs.errors import InvalidInput
from graphql_jobs.inputs import Name
from tasks.downstream_check import require_deployments, sensor_samples
from tasks.flow_runs import records_of, troubled_runs
from tasks.forms import with_form
from tasks.names import named_after
from tasks.orphans.act import Action, ReportRow, publish, settle, unknown_submissions
from tasks.orphans.find import find_orphans
from tasks.outcome import JOBS_PARAMETER
from tasks.parameters import MAX_WAIT_S
from tasks.run_state import ends_in_a_state

_HOUR_S = 3600.0
_MINUTE_S = 60.0


@with_form(
    credentials="Name of the aiWARE Credentials block",
    action="What to do with orphans",
    dry_run="Dry run: only say what would be done",
    from_hours_ago="Not older than (hours)",
    to_minutes_ago="Not younger than (minutes)",
    cancel_if_run_is_gone="Also cancel jobs of runs that this server does not know",
    downstream="Then start",
)
@flow(
    name="reap-orphans",
    flow_run_name=named_after(lambda given: f"orphans: {given['action']}{' (dry run)' if given['dry_run'] else ''}"),
    retries=0,
    validate_parameters=False,
)
@ends_in_a_state
async def reap_orphans(
    credentials: Name | None = "aiware",
    from_hours_ago: Annotated[float, Field(gt=0, le=MAX_WAIT_S / _HOUR_S)] = 48.0,
    to_minutes_ago: Annotated[float, Field(ge=0, le=MAX_WAIT_S / _MINUTE_S)] = 10.0,
    action: Action = "report",
    dry_run: bool = True,
    cancel_if_run_is_gone: bool = False,
    downstream: list[Name] = [],  # noqa: B006 (never changed; the form needs a plain default)
) -> list[ReportRow]:
    """Find jobs at aiWARE whose flow run was deleted or has ended, and submissions of unknown outcome.

    A dry run changes nothing. Several runs at the same time do no harm: each action is done once.

    Args:
        credentials: Name of a saved block. Empty to report only submissions of unknown outcome.
        from_hours_ago: Check jobs that were created, and runs that ended, at most this many hours ago.
        to_minutes_ago: Skip jobs and runs younger than this, in minutes: their submission may not be finished.
        action: Report the orphans, adopt them by starting wait-for-jobs for each, or cancel them at the provider.
        dry_run: Report what would be done, and change nothing.
        cancel_if_run_is_gone: Also cancel the jobs of runs that this server does not know. Set this only if no other
            Prefect server uses the same account.
        downstream: Deployments to start once an adopted job succeeded, as flow/deployment. Each takes the parameter
            jobs.

    Returns:
        The rows of the artifact `orphans`, as plain JSON.
    """
    if from_hours_ago * _HOUR_S <= to_minutes_ago * _MINUTE_S:
        raise InvalidInput("from_hours_ago", "it must lie before to_minutes_ago.")
    samples = sensor_samples("aiware", "all succeeded", 1)
    await require_deployments(downstream, "downstream", JOBS_PARAMETER, samples)
    block = await load_block(AiwareCredentials, credentials, "credentials") if credentials else None
    client = block.get_client() if block else None
    now = (client.session.clock if client else SystemClock()).now()
    since, until = now - from_hours_ago * _HOUR_S, now - to_minutes_ago * _MINUTE_S
    troubled = await troubled_runs(instant(since), instant(until))
    records = await records_of(troubled)
    rows: list[ReportRow] = []
    if client:
        async with client:
            orphans = await find_orphans(client, since, until, records)
            rows = await settle(
                client,
                orphans,
                action,
                dry_run=dry_run,
                credentials=credentials or "",
                cancel_if_run_is_gone=cancel_if_run_is_gone,
                downstream=downstream,
            )
    rows += await unknown_submissions(troubled, records, since, until, client)
    window = f"{instant(since):%Y-%m-%d %H:%M} to {instant(until):%Y-%m-%d %H:%M} UTC"
    said = f"{len(rows)} found, {window}; action: {action}{', dry run' if dry_run else ''}."
    await publish(rows, said)
    return rows
