"""Read aiWARE jobs: many per request, with proof that a job with the status "complete" lacks no task.

Guarantee 4: such a job is accepted only after all its tasks were read. The documented end of a list is a page with
fewer records than requested (docs/providers/aiware.md), but a server may silently cap its pages, and a list
may change between two pages. So the end is an empty page, ids are distinct, and a page of a longer list begins with the
last task of the page before.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from graphql_jobs import errors
from graphql_jobs.handle import MAX_ID_CHARACTERS
from graphql_jobs.parsing import text_or_none
from graphql_jobs.providers.aiware import documents, reader
from graphql_jobs.providers.aiware.task_pages import SUCCEEDED, Listing, Page, are_same, is_distinct
from graphql_jobs.providers.batching import Deferred
from graphql_jobs.providers.cleaning import cleaned
from graphql_jobs.transport.responses import log_bug

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphql_jobs.handle import Seen
    from graphql_jobs.parsing import Entry
    from graphql_jobs.transport.responses import Response
    from graphql_jobs.transport.session import Session

#: Our choice: the maximum number of tasks, in case a server never ends its list.
MAX_TASKS = 10_000
MAX_PAGES = 1_000
#: Our choice: the time limit for one poll of one job's tasks. The next such job and the deadline wait for it.
READ_S = 1800.0
#: Our choice: the maximum number of readings per poll of a list of tasks that changes while it is read.
READINGS = 3


class Client(Protocol):
    """The part of a client that this module uses."""

    session: Session
    #: Whether a job with the status "complete" is accepted although a task failed.
    lenient: bool

    def not_found(self, job_id: str) -> errors.JobNotFound:
        """Return the error for a job that the provider does not know."""
        ...


async def check_batch(client: Client, job_ids: Sequence[str]) -> Mapping[str, Seen | Deferred]:
    """Implement `JobClient.check_batch`. Jobs with more than one page of tasks are deferred."""
    seen: dict[str, Seen] = {}
    ended: dict[str, Page] = {}
    longer: dict[str, Page | None] = {}
    for job_id, page in await _pages(client, job_ids, 0, seen):
        if page.is_full:
            longer[job_id] = page
        elif page.says_complete and page.records and not page.failure:
            ended[job_id] = page
        else:
            seen[job_id] = _read(client, job_id, page.entry, page.records, page.failure)
    if ended:
        longer |= dict.fromkeys(await _prove(client, ended, seen))
    return seen | {job_id: Deferred(partial(_read_all, client, job_id, page)) for job_id, page in longer.items()}


async def _prove(client: Client, ended: Mapping[str, Page], seen: dict[str, Seen]) -> list[str]:
    """Request the next page of short lists of complete jobs. Return the jobs whose lists are incomplete.

    All jobs use one offset: a longer list repeats its end, in a page shorter than the server's previous one.
    """
    offset = min(len(page.records) for page in ended.values())
    open_ids, repeating = list[str](), list[str]()
    try:
        for job_id, behind in await _pages(client, list(ended), offset, seen):
            if is_distinct(ended[job_id]) and are_same(behind.records, ended[job_id].records[offset:]):
                seen[job_id] = _read_page(client, job_id, ended[job_id], behind)
            else:
                (repeating if are_same(behind.records, ended[job_id].records) else open_ids).append(job_id)
        if repeating:  # the server ignores the offset or a task was added: another reading decides
            for job_id, again in await _pages(client, repeating, 0, seen):
                if is_distinct(again) and are_same(again.records, ended[job_id].records):
                    seen[job_id] = _read_page(client, job_id, ended[job_id], again)
                else:
                    open_ids.append(job_id)
    except errors.RequestFailed as failure:  # the batch's other jobs are read
        seen.update(dict.fromkeys(ended.keys() - seen.keys() - set(open_ids), failure))
    return open_ids


async def _read_all(client: Client, job_id: str, page: Page | None) -> Seen:
    """Return a job with all its tasks. The first page's status counts: its tasks are older than a later status.

    A list that changes while it is read is read again. If it is never complete, a job with the status "complete" is
    `BadReply`; other jobs keep their status.
    """
    seen: dict[str, Seen] = {}
    pages_left, readings_left, clock = MAX_PAGES, READINGS, client.session.clock
    end_at = clock.monotonic() + READ_S
    while True:
        readings_left -= 1
        page = page or await _page(client, job_id, 0, seen)
        if page is None:
            return seen[job_id]
        listing, page = Listing(page), None
        while not listing.is_whole and not listing.has_moved and len(listing.records) < MAX_TASKS and pages_left:
            if clock.monotonic() >= end_at:
                break
            more = await _page(client, job_id, listing.offset, seen)
            if more is None:
                return seen[job_id]
            pages_left -= 1
            listing.add(more)
        if not listing.has_moved or not readings_left:
            break
    problem = (
        f"the list of its tasks changed during each of {READINGS} readings."
        if listing.has_moved
        else f"it has over {MAX_TASKS} tasks or {MAX_PAGES} pages, or reading them took over {READ_S:g} s."
    )
    failure = listing.failure if listing.is_whole else client.session.bad_answer("job", f"job {job_id}", problem)
    return _read(client, job_id, listing.entry, listing.records, failure)


def _read_page(client: Client, job_id: str, page: Page, proof: Page) -> Seen:
    return _read(client, job_id, page.entry, page.records, page.failure or proof.failure)


def _read(
    client: Client, job_id: str, entry: Entry, records: list[object], failure: errors.RequestFailed | None
) -> Seen:
    """Return the job, unless its status is "complete" and a task could not be read (guarantee 4)."""
    try:
        job = reader.read_job(entry, records, lenient=client.lenient, clean=client.session.redact)
        job = cleaned(job, client.session.kept_secrets)
    except Exception as bug:
        return client.session.bad_answer("job", f"job {job_id}", log_bug(bug))
    if job.raw_status not in SUCCEEDED:
        return job
    if failure:
        return failure
    if len(job.tasks) < len(records) or not all(task.task_id and task.raw_status for task in job.tasks):
        detail = "its status is complete, but a task of it cannot be read."
        return client.session.bad_answer("job", f"job {job_id}", detail)
    return job


async def _page(client: Client, job_id: str, offset: int, seen: dict[str, Seen]) -> Page | None:
    """Return one page of one job, or None with the reason in `seen`."""
    return next((page for _, page in await _pages(client, [job_id], offset, seen)), None)


async def _pages(
    client: Client, job_ids: Sequence[str], offset: int, seen: dict[str, Seen]
) -> Iterator[tuple[str, Page]]:
    """Return each job with its page of tasks at `offset`, and put errors of single jobs into `seen`."""
    size = next(size for size in documents.ALIAS_SIZES if size >= len(job_ids))
    padded = [*job_ids, *[job_ids[-1]] * (size - len(job_ids))]
    variables: dict[str, object] = {f"id{number}": job_id for number, job_id in enumerate(padded)}
    variables |= {"offset": offset, "limit": documents.TASK_PAGE}
    subject = f"job {job_ids[0]}" + (f" and {len(job_ids) - 1} more" if len(job_ids) > 1 else "")
    response = await client.session.read(documents.check_jobs(size), variables, subject)
    return _entries(client, response, job_ids, seen)


def _entries(
    client: Client, response: Response, job_ids: Sequence[str], seen: dict[str, Seen]
) -> Iterator[tuple[str, Page]]:
    strangers = response.object_errors.keys() - set(job_ids)
    for number, job_id in enumerate(job_ids):
        alias = f"j{number}"
        is_present = alias in response.data
        # Removed, so that its memory is freed before the next one is read.
        entry = response.data.pop(alias, None)
        if entry is None:
            seen[job_id] = _absent(client, response, alias, job_id, is_certain=is_present and not strangers)
        elif not isinstance(entry, dict) or text_or_none(entry, "id", MAX_ID_CHARACTERS) != job_id:
            seen[job_id] = _bad(client, job_id, "the answer is about another job.")
        elif failure := _status_failure(client, response, alias, job_id, entry):
            seen[job_id] = failure
        else:
            yield job_id, _as_page(client, response, alias, job_id, entry)


def _absent(client: Client, response: Response, alias: str, job_id: str, *, is_certain: bool) -> Seen:
    """Return why there is no entry. A job is not found if aiWARE says so, or returns null without a reason."""
    own, general = response.field_errors.get((alias,)), response.field_errors.get(())
    if general is None or isinstance(general, errors.NotFound):  # any other error may be the reason
        own = own or response.object_errors.get(job_id)
    if isinstance(own, errors.NotFound):
        return client.not_found(job_id)
    failure = own or response.error_at(alias)
    if failure and not isinstance(failure, errors.NotFound):
        return failure
    if is_certain and not response.error_below(alias):
        return client.not_found(job_id)
    return _bad(client, job_id, f"it is not in the answer{f': {failure.detail}' if failure else '.'}")


def _status_failure(
    client: Client, response: Response, alias: str, job_id: str, entry: Entry
) -> errors.RequestFailed | None:
    """Return why there is no status. Null without a reason is an unknown status, as the schema allows."""
    status = entry.get("status", ...)
    if isinstance(status, str):
        return None
    failure = response.error_below(alias, "status")
    if failure is None and status is None:
        return None
    return _bad(client, job_id, f"its status cannot be read{f': {failure.detail}' if failure else '.'}")


def _as_page(client: Client, response: Response, alias: str, job_id: str, entry: Entry) -> Page:
    tasks = entry.get("tasks")
    records = tasks.get("records") if isinstance(tasks, dict) else None
    failure = response.error_below(alias, "tasks", but_for=reader.SHOWN_ALONE)
    if not isinstance(tasks, dict) or not isinstance(records, list):
        if failure is None or isinstance(failure, errors.NotFound):
            failure = _bad(client, job_id, "the list of its tasks is missing.")
        return Page(entry, [], False, failure)
    if len(records) > MAX_TASKS:
        return Page(entry, [], False, _bad(client, job_id, f"a page of its tasks holds more than {MAX_TASKS}."))
    if isinstance(failure, errors.NotFound):  # a deleted standby; a missing task is null itself
        failure = None
    return Page(entry, records, reader.is_full(tasks), failure)


def _bad(client: Client, job_id: str, detail: str) -> errors.RequestFailed:
    return client.session.bad_answer("job", f"job {job_id}", detail)
