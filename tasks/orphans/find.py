"""Find orphans: remote jobs that continue although no run waits for them. Nothing is changed here.

A job's label names the flow run that owns it. The job is an orphan if it has not ended and its run was deleted, has
ended, or has another job with the same key. It is not an orphan if a living run has its id among its parameters, as
`wait-for-jobs` does, or uses the caller's key in the label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from blocks.runs.caller_keys import homes_of
from graphql_jobs import Job, Label
from graphql_jobs.errors import JobNotFound
from graphql_jobs.handle import Seen
from graphql_jobs.providers.aiware import AiwareClient
from graphql_jobs.providers.aiware.job_lists import LabelledJob, labelled_jobs
from graphql_jobs.submission.record import Record
from tasks.flow_runs import is_living, living_runs, read_runs, records_of, references_of, texts_in

#: The submission records of each flow run, by key.
Records = Mapping[UUID, Mapping[str, Record]]


@dataclass(frozen=True, slots=True)
class Orphan:
    """A job that no run waits for, and the reason."""

    job_id: str
    key: str
    owner: UUID
    why: str
    created_at: datetime | None = None
    #: This server does not know the run: it was deleted, or another server has it.
    owner_is_gone: bool = False
    #: Its run continues with another job.
    owner_goes_on: bool = False
    #: The key is a caller's: any run with that key adopts this job.
    has_callers_key: bool = False
    #: Only the job's container is labelled, and no store names the job.
    may_be_anothers: bool = False
    #: The job as last polled, or why it could not be read.
    seen: Seen | None = None


async def find_orphans(client: AiwareClient, since: float, until: float, troubled: Records) -> list[Orphan]:
    """Return the orphans among the labelled jobs created between two instants (epoch seconds), oldest first.

    `troubled` has the records of failed runs, with the jobs that cannot have a label. Jobs that were
    submitted outside a flow run have no owner and are omitted. Raises `RequestFailed` if the list cannot be read.
    """
    listed = await labelled_jobs(client, since, until)
    jobs = [job for job in listed if not job.state.is_terminal and _owner(job.label)]
    jobs += _unlisted(client, troubled, {job.job_id for job in listed})
    owners = await read_runs([owner for job in jobs if (owner := _owner(job.label))])
    records = await _records_of_owners(jobs, owners)
    suspects = [orphan for job in jobs if (orphan := _suspect(job, owners, records))]
    if suspects:
        suspects = await _without_those_in_use(suspects)
    seen = await client.check([orphan.job_id for orphan in suspects])
    return [replace(orphan, seen=seen[orphan.job_id]) for orphan in suspects if _goes_on(seen[orphan.job_id])]


def _owner(label: Label) -> UUID | None:
    try:
        return UUID(label.owner)
    except ValueError:
        return None


def _unlisted(client: AiwareClient, troubled: Records, listed: Iterable[str]) -> list[LabelledJob]:
    """Return the jobs that are in records but not in the list: launches on a caller's target have no label."""
    known, found = set(listed), []
    for run_id, records in troubled.items():
        for key, record in records.items():
            handle = record.handle
            if handle and handle.endpoint == client.session.url and handle.job_id not in known:
                known.add(handle.job_id)
                found.append(LabelledJob.of_handle(handle, Label(key, str(run_id))))
    return found


async def _records_of_owners(jobs: Iterable[LabelledJob], owners: Mapping[UUID, FlowRun]) -> Records:
    """Return the records that decide: those of living runs, and of runs whose job may be someone else's."""
    wanted = {
        owner for job in jobs if (owner := _owner(job.label)) and (is_living(owners.get(owner)) or job.by_container)
    }
    records = await records_of(wanted)
    silent = {
        owner
        for job in jobs
        if (owner := _owner(job.label)) and is_living(owners.get(owner)) and job.label.key not in records[owner]
    }
    references = await references_of(silent)
    elsewhere = await records_of({home for homes in references.values() for home in homes.values()})
    for run_id, homes in references.items():
        records[run_id] |= {key: elsewhere[home][key] for key, home in homes.items() if key in elsewhere[home]}
    return records


def _suspect(job: LabelledJob, owners: Mapping[UUID, FlowRun], records: Records) -> Orphan | None:
    """Return the job as an orphan by its owner, or None if the owner waits for it."""
    owner = _owner(job.label)
    assert owner is not None  # noqa: S101 (others were left out)
    run, record = owners.get(owner), records.get(owner, {}).get(job.label.key)
    has = record.handle.job_id if record and record.handle else None
    if run and is_living(run):
        if has is None or has == job.job_id:
            return None
        why = f"its run {run.name} continues with job {has} of the same key."
    elif run is None:
        why = "its run was deleted, or belongs to another server."
    else:
        why = f"its run {run.name} ended: {run.state_name}."
    doubt = job.by_container and has != job.job_id
    return Orphan(
        *(job.job_id, job.label.key, owner, why, job.created_at),
        owner_is_gone=run is None,
        owner_goes_on=is_living(run),
        may_be_anothers=doubt,
    )


async def _without_those_in_use(suspects: list[Orphan]) -> list[Orphan]:
    """Return the suspects that no living run names in its parameters or uses by a caller's key."""
    homes = await homes_of(orphan.key for orphan in suspects)
    living = await living_runs()
    named = {text for run in living.values() for text in texts_in(run.parameters)}
    users = await _users(homes, living)
    keepers = await records_of({run_id for key in users for run_id in homes[key]})
    left = []
    for orphan in suspects:
        kept = [keepers[home][orphan.key] for home in homes.get(orphan.key, ()) if orphan.key in keepers.get(home, {})]
        has = kept[0].handle.job_id if kept and kept[0].handle else None
        if orphan.job_id in named or (orphan.key in users and has in {None, orphan.job_id}):
            continue
        why = orphan.why
        if orphan.key in users:
            why = f"run {users[orphan.key].name} continues with job {has} of the same key."
        left.append(replace(orphan, why=why, has_callers_key=orphan.key in homes))
    return left


async def _users(homes: Mapping[str, list[UUID]], living: Mapping[UUID, FlowRun]) -> dict[str, FlowRun]:
    """Return a living run for each caller's key that one uses.

    They are read from the users' stores, not from the keys' home runs: a deleted home has no entries.
    """
    if not homes:
        return {}
    users = {key: living[run_id] for key, run_ids in homes.items() for run_id in run_ids if run_id in living}
    # A run that has not started has requested nothing yet.
    for run_id, keys in (await references_of([run.id for run in living.values() if run.start_time])).items():
        users |= {key: living[run_id] for key in keys if key in homes}
    return users


def _goes_on(seen: Seen) -> bool:
    """Whether the job exists and has not ended. Also True if it could not be read: the report says so."""
    if isinstance(seen, Job):
        return not seen.state.is_terminal
    return not isinstance(seen, JobNotFound)
