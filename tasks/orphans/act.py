"""Report, adopt or cancel orphans, and publish a table with a row for each.

Several runs may do this concurrently: a job is adopted by an idempotency key, and a second cancel changes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.schemas.objects import FlowRun

from blocks.fields import DAY_S
from blocks.reporting.report import orphans_report
from graphql_jobs import GraphqlJobsError, Job, JobClient
from graphql_jobs.clock import instant
from graphql_jobs.errors import CancelRefused, JobNotFound, SubmissionUnknown
from graphql_jobs.providers.recovery import Evidence
from graphql_jobs.submission.record import Record
from graphql_jobs.titles import job_name
from tasks.downstream import start_deployment
from tasks.flow_runs import is_living, read_runs, records_of, references_of
from tasks.orphans.find import Orphan, Records
from tasks.parameters import MAX_WAIT_S
from tasks.run_state import UNKNOWN_STATE

#: What to do with an orphan: report it, start `wait-for-jobs` for it, or cancel it at the provider.
Action = Literal["report", "adopt", "cancel"]
#: A row of the table, as plain JSON.
ReportRow = dict[str, str | None]

#: The artifact's key.
ARTIFACT = "orphans"
SENSOR = "wait-for-jobs/wait-for-jobs"
#: Our choice: a cancel reads its job for up to 10 s.
_AT_ONCE = 10


async def settle(
    client: JobClient,
    orphans: Sequence[Orphan],
    action: Action,
    *,
    dry_run: bool,
    credentials: str,
    cancel_if_run_is_gone: bool = False,
    downstream: Sequence[str] = (),
) -> list[ReportRow]:
    """Do `action` for each orphan, or say what a dry run would do. Return a row for each, also for errors."""
    checks = asyncio.Semaphore(_AT_ONCE)

    async def settled(orphan: Orphan) -> ReportRow:
        async with checks:
            if action == "report":
                return _orphan_row(client, orphan, "reported")
            if not isinstance(orphan.seen, Job):
                return _orphan_row(client, orphan, f"left, since it could not be read: {orphan.seen}")
            if action == "cancel":
                return _orphan_row(client, orphan, await _cancel(client, orphan, cancel_if_run_is_gone, dry_run))
            return _orphan_row(client, orphan, await _adopt(client, orphan, credentials, downstream, dry_run))

    return await asyncio.gather(*map(settled, orphans))


async def unknown_submissions(
    troubled: Mapping[UUID, FlowRun], records: Records, since: float, until: float, client: JobClient | None
) -> list[ReportRow]:
    """Return a row for each submission of unknown outcome in the failed runs.

    If the provider lists labelled jobs, a submission whose job would be in the list is omitted: the list decides.
    """
    references = await references_of(troubled.keys())
    elsewhere = await records_of({home for homes in references.values() for home in homes.values()})
    found: dict[str, ReportRow] = {}
    for run_id, run in troubled.items():
        adopted = {key: elsewhere[home][key] for key, home in references[run_id].items() if key in elsewhere[home]}
        unclear = {key: record for key, record in {**records[run_id], **adopted}.items() if _is_unclear(record, until)}
        for key, record in unclear.items():
            if not _is_listed(record, client, since):
                found.setdefault(key, _unknown_row(run, key, record))
        if not unclear and run.state_name == UNKNOWN_STATE:
            words = (run.state.message if run.state else "") or "the run does not say which."
            found[str(run_id)] = _row("", "", "", run_id, "", str(run.end_time), words, "reported")
    return list(found.values())


async def publish(rows: Sequence[ReportRow], description: str) -> None:
    """Log the rows and publish them as an artifact, which the UI shows with the run and in the artifact's history.

    It is Markdown: the UI cuts the texts of a table artifact, and shows no links in it.
    """
    logger = get_run_logger()
    for row in rows:
        about = f"{job_name(str(row['provider']), row['job_id'])}, {row['status']}" if row["job_id"] else row["what"]
        logger.warning("%s of run %s: %s Done: %s", about, row["run"], row["why"], row["done"])
    logger.info("%s", description)
    runs = await read_runs({UUID(str(row["run"])) for row in rows})
    await acreate_markdown_artifact(
        orphans_report(rows, {run_id: run.name for run_id, run in runs.items()}, description), ARTIFACT, description
    )


async def _cancel(client: JobClient, orphan: Orphan, if_gone: bool, dry_run: bool) -> str:
    if reason := _why_not_cancel(orphan, if_gone):
        return f"left running: {reason}"
    if dry_run:
        return "would be cancelled"
    if not orphan.owner_goes_on and is_living((await read_runs([orphan.owner])).get(orphan.owner)):
        return "left running: its run was started again meanwhile."
    try:
        return (await client.cancel(orphan.job_id)).message
    except CancelRefused as refusal:
        return f"not cancelled: {refusal.detail}"
    except JobNotFound:
        return "gone meanwhile."
    except GraphqlJobsError as failure:
        return f"it is not known whether it was cancelled: {failure}"


def _why_not_cancel(orphan: Orphan, if_gone: bool) -> str:
    """Return why `reap-orphans` must not cancel this job, or an empty text."""
    if orphan.has_callers_key:
        return "its key is a caller's, and any run with that key adopts this job. Cancel it by hand."
    if orphan.may_be_anothers:
        return "only its container is labelled, so a person may have started the job. Cancel it by hand."
    if orphan.owner_is_gone and not if_gone:
        return "its run is not known here, but another server may have it. Allow this with cancel_if_run_is_gone."
    return ""


async def _adopt(client: JobClient, orphan: Orphan, credentials: str, downstream: Sequence[str], dry_run: bool) -> str:
    """Start `wait-for-jobs` for the job, once for all calls."""
    if dry_run:
        return "would be adopted"
    parameters: dict[str, Any] = {
        "provider": client.provider,
        "job_ids": [orphan.job_id],
        "credentials": credentials,
        "downstream": list(downstream),
    }
    if orphan.created_at:  # give_up_after_s starts there, and the job may be older than its default
        age_s = client.session.clock.now() - orphan.created_at.timestamp()
        parameters["give_up_after_s"] = min(max(age_s, 0) + DAY_S, MAX_WAIT_S)
    text = f"{client.session.url}\n{orphan.job_id}"
    key = f"graphql-jobs-adopt-{hashlib.sha256(text.encode()).hexdigest()[:40]}"
    try:
        run_id = await start_deployment(SENSOR, parameters, key)
    except Exception as error:  # any error of Prefect's client: deleted, refused, unreachable
        return f"not adopted: {SENSOR}: {type(error).__name__}: {str(error)[:200]}"
    run = (await read_runs([run_id])).get(run_id)
    if run is None or is_living(run):
        return f"adopted: run {run_id} waits for it."
    return f"not adopted again: run {run_id} waited for it before and ended: {run.state_name}. Run that one again."


def _is_unclear(record: Record, until: float) -> bool:
    return bool(record.unknown) or (record.is_open and not record.has_no_job and record.at <= until)


def _is_listed(record: Record, client: JobClient | None, since: float) -> bool:
    """Whether the job would be in the list of labelled jobs."""
    if client is None or record.provider != client.provider or record.at < since:
        return False
    return client.evidence(record.operation, record.location or {}) is not Evidence.NONE


def _orphan_row(client: JobClient, orphan: Orphan, done: str) -> ReportRow:
    seen = orphan.seen
    status = seen.describe() if isinstance(seen, Job) else f"could not be read: {seen}"
    at = orphan.created_at.isoformat(timespec="seconds") if orphan.created_at else None
    return _row(client.provider, orphan.job_id, status, orphan.owner, orphan.key, at, orphan.why, done)


def _unknown_row(run: FlowRun, key: str, record: Record) -> ReportRow:
    at = instant(record.at).isoformat(timespec="seconds")
    unknown = record.unknown or {
        "sent_at": at,
        "cause": "the process that sent it ended before it recorded the answer.",
    }
    words = str(
        SubmissionUnknown(record.provider, record.operation, record.subject, unknown["sent_at"], unknown["cause"])
    )
    return _row(record.provider, "", "", run.id, key, unknown["sent_at"], words, "reported")


def _row(
    provider: str, job_id: str, status: str, run: UUID, key: str, at: str | None, why: str, done: str
) -> ReportRow:
    kind = "orphan" if job_id else "submission of unknown outcome"
    return {
        "what": kind,
        "provider": provider,
        "job_id": job_id,
        "status": status,
        "run": str(run),
        "key": key,
        "at": at,
        "why": why,
        "done": done,
    }
