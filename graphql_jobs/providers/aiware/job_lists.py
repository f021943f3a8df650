"""Lists of jobs: the jobs on one target, to find a lost one there, and the jobs with our label in a time window."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphql_jobs import errors
from graphql_jobs.clock import instant
from graphql_jobs.errors import some
from graphql_jobs.job import JobState
from graphql_jobs.label import Label
from graphql_jobs.parsing import MAX_ANSWER_ID_CHARACTERS, Entry, instant_or_none, text_or_none
from graphql_jobs.providers.aiware import documents
from graphql_jobs.providers.aiware.documents import CREATE_JOB
from graphql_jobs.providers.aiware.reader import STATES, is_readable, may_be_ours
from graphql_jobs.providers.paging import PagedRead
from graphql_jobs.providers.recovery import Undecided

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from graphql_jobs.handle import JobHandle
    from graphql_jobs.providers.base import JobClient
    from graphql_jobs.providers.recovery import Location
    from graphql_jobs.transport.operation import Operation

logger = logging.getLogger(__name__)

#: Our choice: a page brings each job's free JSON along, so it is halved when the server finds it too much.
PAGE = 100
#: Our choices: the list of `reap-orphans` may have a thousand pages, and twice as many if the server caps them.
LIST_S, MAX_PAGES = 1800.0, 2_000
#: Our choices: the end of a list that a server never ends.
MAX_JOBS = 100_000
MAX_JOBS_ON_TARGET = 1_500
# A smaller page may pass: caps on pages are not published (docs/providers/aiware.md).
_MAY_BE_THE_SIZE = (errors.TooMuchAtOnce, errors.RequestRefused)


@dataclass(frozen=True, slots=True)
class LabelledJob:
    """A job in a list. `state` is the provider's word alone; only a check proves it (guarantee 4)."""

    job_id: str
    label: Label
    state: JobState
    raw_status: str
    created_at: datetime | None = None
    #: Only the job's container has the label, and someone else may have started another job in it by hand.
    by_container: bool = False

    @classmethod
    def of_handle(cls, handle: JobHandle, label: Label) -> LabelledJob:
        """The job of a handle, for a job that cannot have a label."""
        return cls(handle.job_id, label, JobState.UNKNOWN, "", handle.submitted_at)


async def labelled_jobs(client: JobClient, since: float, until: float) -> list[LabelledJob]:
    """The jobs with our label that were created between two instants (epoch seconds), oldest first, each once.

    A launch on a target of the caller's own carries no label, and is not among them. Raises `RequestFailed`.
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
        # To an empty page: a server that caps pages silently gives fewer than it was asked for.
        if not records:
            return list(found.values())
        offset += len(records)
        for record in records:
            if (job := read_labelled(record, client.session.redact)) and _is_usable(client, job.job_id):
                found.setdefault(job.job_id, job)
    raise client.session.bad_answer("jobs", subject, f"more than {MAX_JOBS} jobs. Choose a smaller window.")


async def jobs_on_target(client: JobClient, target_id: str, since: float | None) -> list[Entry]:
    """The records of all jobs on a target, or of those created since an instant (epoch seconds), each with its id.

    Raises `RequestFailed`, also for a list in which a job may be hidden: taken for a whole one, it would mean that the
    job may be sent again.
    """
    subject = f"jobs on target {target_id}"
    variables = {"targetId": target_id, "from": None if since is None else _iso(since), "limit": documents.TASK_PAGE}
    pages = PagedRead(client.session, "jobs", subject, client.session.limits.submission_s, "submission_s")
    found, count = await _whole_list(client, variables, subject, pages)
    if count > 1 and since is not None:
        # A job that disappears between two pages moves another one to a page that was read before.
        again, _ = await _whole_list(client, variables, subject, pages)
        if again.keys() != found.keys():
            raise client.session.bad_answer("jobs", subject, "the list changed while it was read.")
    return list(found.values())


async def _whole_list(
    client: JobClient, variables: dict[str, Any], subject: str, pages: PagedRead
) -> tuple[dict[str, Entry], int]:
    """The records by their ids, up to an empty page, and the number of pages that were not empty."""
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
                raise client.session.bad_answer("jobs", subject, f"job {job_id} is told twice, so one may be missing.")
            found[job_id] = record | {"id": job_id}
    raise client.session.bad_answer("jobs", subject, f"more than {MAX_JOBS_ON_TARGET} jobs.")


async def candidates(
    client: JobClient, operation: str, location: Location, label: Label, since: float | None
) -> list[Entry]:
    """The records of the jobs at `location` that may have come of our submission there.

    A launch has no label, and a rule of the organisation may start jobs in each new container. In an exclusive
    container, a job of our engine is ours only if it is the only one that came after the launch: else `Undecided`.
    """
    there = await jobs_on_target(client, location["target_id"], since)
    left = [record for record in there if record["id"] not in location.get("foreign_ids", ())]
    if not all(map(is_readable, left)):
        detail = "it cannot be read whether one of them is ours."
        raise client.session.bad_answer("jobs", f"jobs on target {location['target_id']}", detail)
    ours = [record for record in left if may_be_ours(record, operation, location, label)]
    if not ours or operation == CREATE_JOB.field or not location.get("exclusive"):
        return ours
    strangers = [record["id"] for record in left if record not in ours and not Label.in_json(record.get("jobConfig"))]
    if len(ours) > 1 or strangers:
        shown = some([record["id"] for record in ours])
        why = f"{some(strangers)} was started there by somebody else" if strangers else "nothing tells which"
        raise Undecided(f"On target {location['target_id']}, {shown} may be it, but {why}.")
    return ours


def read_labelled(record: object, clean: Callable[[str], str] = str) -> LabelledJob | None:
    """The job of a record; None for a job without a label, which is someone else's.

    The label is in the job's own JSON or, for a launch, in the JSON of the container that was made for it.
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
    """The records of one page, null for a record that is none, since it counts in the offset.

    An error below a field, such as a target that may not be read, fails the list only if it has to be `whole`.
    """
    response = await client.session.read(document, variables, subject)
    value, failure = response.data.get("jobs"), response.error_at("jobs")
    records = value.get("records") if isinstance(value, dict) else None
    if isinstance(records, list) and not (whole and failure):
        return [record if isinstance(record, dict) else None for record in records]
    raise failure or client.session.bad_answer("jobs", subject, "the answer holds no list of jobs.")


def _is_usable(client: JobClient, job_id: str) -> bool:
    try:
        client.handle(job_id)
    except errors.InvalidInput:
        logger.warning("A labelled job is passed over: its id cannot be used.")
        return False
    return True


def _iso(epoch_s: float) -> str:
    return instant(epoch_s).isoformat(timespec="seconds")
