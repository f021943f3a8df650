"""Lists of jobs: those on one target, to find a lost job, and those with our label in a time window."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphql_jobs import errors
from graphql_jobs.clock import instant
from graphql_jobs.job import JobState
from graphql_jobs.label import Label
from graphql_jobs.parsing import MAX_ANSWER_ID_CHARACTERS, Entry, instant_or_none, text_or_none
from graphql_jobs.providers.aiware import documents
from graphql_jobs.providers.aiware.documents import CREATE_JOB
from graphql_jobs.providers.aiware.reader import STATES, is_readable, may_be_ours
from graphql_jobs.providers.paging import PagedRead
from graphql_jobs.providers.recovery import Undecided
from graphql_jobs.titles import some

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from graphql_jobs.handle import JobHandle
    from graphql_jobs.providers.base import JobClient
    from graphql_jobs.providers.recovery import Location
    from graphql_jobs.transport.operation import Operation

logger = logging.getLogger(__name__)

#: Our choice: a page includes each job's free JSON, so its size is halved if the server refuses it.
PAGE = 100
#: Our choices: the limits of a list for `reap-orphans`: a thousand pages, or twice as many if the server caps them.
LIST_S, MAX_PAGES = 1800.0, 2_000
#: Our choices: the limits of lists that a server never ends.
MAX_JOBS = 100_000
MAX_JOBS_ON_TARGET = 1_500
# A smaller page may succeed: caps on pages are not published (docs/providers/aiware.md).
_MAY_BE_THE_SIZE = (errors.TooMuchAtOnce, errors.RequestRefused)


@dataclass(frozen=True, slots=True)
class LabelledJob:
    """A job in a list. `state` is only the provider's word; a check proves it (guarantee 4)."""

    job_id: str
    label: Label
    state: JobState
    raw_status: str
    created_at: datetime | None = None
    #: Only the job's container has the label, so a person may have started the job in it.
    by_container: bool = False

    @classmethod
    def of_handle(cls, handle: JobHandle, label: Label) -> LabelledJob:
        """Return the job of a handle, for a job that cannot have a label."""
        return cls(handle.job_id, label, JobState.UNKNOWN, "", handle.submitted_at)


async def labelled_jobs(client: JobClient, since: float, until: float) -> list[LabelledJob]:
    """Return the jobs with our label created between two instants (epoch seconds), oldest first, without duplicates.

    A launch on a caller's target has no label and is not included. Raises `RequestFailed`.
    """
    subject, window = "jobs by time", {"from": _iso(since), "to": _iso(until)}
    found: dict[str, LabelledJob] = {}
    offset, size = 0, PAGE
    pages = PagedRead(client.session, "jobs", subject, LIST_S, "our limit", MAX_PAGES)
    while offset < MAX_JOBS:
        pages.next_page()
        try:
            records = await _page(client, documents.LIST_JOBS, window | {"offset": offset, "limit": size}, subject)
        except _MAY_BE_THE_SIZE:
            if size == 1:
                raise
            size //= 2
            continue
        # Read to an empty page: a server that silently caps pages returns fewer records than requested.
        if not records:
            return list(found.values())
        offset += len(records)
        for record in records:
            if (job := read_labelled(record, client.session.redact)) and _is_usable(client, job.job_id):
                found.setdefault(job.job_id, job)
    raise client.session.bad_answer("jobs", subject, f"more than {MAX_JOBS} jobs. Choose a smaller window.")


async def jobs_on_target(client: JobClient, target_id: str, since: float | None) -> list[Entry]:
    """Return the records of all jobs on a target, or of those created since an instant (epoch seconds), with ids.

    Raises `RequestFailed`, also for a list that may lack a job: if it counted as complete, the job might be sent
    again.
    """
    subject = f"jobs on target {target_id}"
    variables = {"targetId": target_id, "from": None if since is None else _iso(since), "limit": documents.TASK_PAGE}
    pages = PagedRead(client.session, "jobs", subject, client.session.limits.submission_s, "submission_s")
    found, count = await _whole_list(client, variables, subject, pages)
    if count > 1 and since is not None:
        # A job that disappears between two pages moves another job to a page that was already read.
        again, _ = await _whole_list(client, variables, subject, pages)
        if again.keys() != found.keys():
            raise client.session.bad_answer("jobs", subject, "the list changed while it was read.")
    return list(found.values())


async def _whole_list(
    client: JobClient, variables: dict[str, Any], subject: str, pages: PagedRead
) -> tuple[dict[str, Entry], int]:
    """Return the records by their ids, up to an empty page, and the number of pages that were not empty."""
    found: dict[str, Entry] = {}
    count = 0
    while len(found) < MAX_JOBS_ON_TARGET:
        pages.next_page()
        records = await _page(client, documents.FIND_JOBS, variables | {"offset": len(found)}, subject, whole=True)
        if not records:
            return found, count
        count += 1
        for record in records:
            job_id = text_or_none(record, "id", MAX_ANSWER_ID_CHARACTERS) if record else None
            if not record or not job_id:
                raise client.session.bad_answer("jobs", subject, "a job in the answer has no id.")
            if job_id in found:
                raise client.session.bad_answer(
                    "jobs", subject, f"job {job_id} is listed twice, so one may be missing."
                )
            found[job_id] = record | {"id": job_id}
    raise client.session.bad_answer("jobs", subject, f"more than {MAX_JOBS_ON_TARGET} jobs.")


async def candidates(
    client: JobClient, operation: str, location: Location, label: Label, since: float | None
) -> list[Entry]:
    """Return the records of the jobs at `location` that our submission may have created.

    A launch has no label, and a rule of the organisation may start jobs in every new container. In an exclusive
    container, a job of our engine is ours only if it is the only one since the launch. Otherwise raises `Undecided`.
    """
    there = await jobs_on_target(client, location["target_id"], since)
    left = [record for record in there if record["id"] not in location.get("foreign_ids", ())]
    if not all(map(is_readable, left)):
        detail = "it is not known whether one of them is ours."
        raise client.session.bad_answer("jobs", f"jobs on target {location['target_id']}", detail)
    ours = [record for record in left if may_be_ours(record, operation, location, label)]
    if not ours or operation == CREATE_JOB.field or not location.get("exclusive"):
        return ours
    strangers = [record["id"] for record in left if record not in ours and not Label.in_json(record.get("jobConfig"))]
    if len(ours) > 1 or strangers:
        shown = some([record["id"] for record in ours])
        were = "was" if len(strangers) == 1 else "were"
        why = f"{some(strangers)} {were} started there by someone else" if strangers else "it is not known which"
        raise Undecided(f"On target {location['target_id']}, {shown} may be it, but {why}.")
    return ours


def read_labelled(record: object, clean: Callable[[str], str] = str) -> LabelledJob | None:
    """Return the job of a record, or None for a job without a label, which is someone else's.

    The label is in the job's JSON or, for a launch, in the JSON of the container that was created for it.
    """
    if not isinstance(record, dict):
        return None
    target = record.get("target")
    details = target.get("details") if isinstance(target, dict) else None
    own = Label.in_json(record.get("jobConfig"))
    label = own or Label.in_json(details)
    job_id = text_or_none(record, "id", MAX_ANSWER_ID_CHARACTERS)
    if label is None or job_id is None:
        return None
    raw_status = text_or_none(record, "status") or ""
    if raw_status not in STATES:
        raw_status = clean(raw_status)
    created_at = instant_or_none(record.get("createdDateTime"))
    return LabelledJob(job_id, label, STATES[raw_status], raw_status, created_at, own is None)


async def _page(
    client: JobClient, document: Operation, variables: dict[str, Any], subject: str, *, whole: bool = False
) -> list[Entry | None]:
    """Return the records of one page, with null for an invalid one, since it counts in the offset.

    An error below a field, such as for a target without access, fails the list only if it must be `whole`.
    """
    response = await client.session.read(document, variables, subject)
    value, failure = response.data.get("jobs"), response.error_at("jobs")
    records = value.get("records") if isinstance(value, dict) else None
    if isinstance(records, list) and not (whole and failure):
        return [record if isinstance(record, dict) else None for record in records]
    raise failure or client.session.bad_answer("jobs", subject, "the answer has no list of jobs.")


def _is_usable(client: JobClient, job_id: str) -> bool:
    try:
        client.handle(job_id)
    except errors.InvalidInput:
        logger.warning("A labelled job is ignored: its id cannot be used.")
        return False
    return True


def _iso(epoch_s: float) -> str:
    return instant(epoch_s).isoformat(timespec="seconds")
