"""Read Datasaur jobs: one by `getJob`, several by `getJobs`, and a project instead of the job that made it.

A job is absent if `getJob` gives null, or if `getJobs` gives null for it or leaves it out (docs/providers/datasaur.md).
An answer of any other shape is a failed poll. After an answer to `getJobs` without a list, a null of `getJob` is not
believed before `getJobs` says the same.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from graphql_jobs import errors
from graphql_jobs.job import Job, JobState
from graphql_jobs.parsing import text_or_none
from graphql_jobs.providers.batching import Deferred
from graphql_jobs.providers.cleaning import cleaned
from graphql_jobs.providers.datasaur import documents, reader
from graphql_jobs.transport.responses import log_bug

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from graphql_jobs.handle import Seen
    from graphql_jobs.parsing import Entry
    from graphql_jobs.providers.batching import BatchSize
    from graphql_jobs.transport.responses import Response
    from graphql_jobs.transport.session import Session

#: Stands before a project's id in the handle of a project whose job nobody knows.
PROJECT = "project:"
_RUNS = (JobState.PENDING, JobState.RUNNING)


class Client(Protocol):
    """What is needed of the client here."""

    session: Session
    #: Whether the last answer to `getJobs` was no list.
    had_no_list: bool

    @property
    def batches(self) -> BatchSize: ...

    def not_found(self, job_id: str) -> errors.JobNotFound:
        """The error for a job that the provider does not know."""
        ...


async def check_batch(client: Client, job_ids: Sequence[str]) -> Mapping[str, Seen | Deferred]:
    """As `JobClient.check_batch`. Projects take requests of their own: they are deferred if there are jobs."""
    projects = [job_id for job_id in job_ids if job_id.startswith(PROJECT)]
    jobs = [job_id for job_id in job_ids if not job_id.startswith(PROJECT)] if projects else job_ids
    deferred = {job_id: Deferred(partial(_check_project, client, job_id)) for job_id in projects}
    if not jobs:  # a poll without any request would count as an answer
        return deferred | {projects[0]: await _check_project(client, projects[0])}
    return deferred | (await _check_one(client, jobs[0]) if len(jobs) == 1 else await _check_many(client, jobs))


async def _check_one(client: Client, job_id: str) -> dict[str, Seen]:
    response = await client.session.read(documents.GET_JOB, {"jobId": job_id}, f"job {job_id}")
    entry = response.data.get("result", ...)
    if entry is None:
        if client.had_no_list and not response.error_at("result"):  # null may be its answer to whatever is asked
            return await _check_many(client, [job_id])
        return {job_id: response.error_at("result") or client.not_found(job_id)}
    if not isinstance(entry, dict) or text_or_none(entry, "id") != job_id:
        return {job_id: _bad(client, "getJob", job_id, "the answer holds no such job.")}
    job = _read(client, response, ("result",), entry)
    if not isinstance(job, Job) or not job.state.is_terminal:
        return {job_id: job}
    # The page's query has no errors and no result id; they matter once, at the end.
    in_full = (await _check_many(client, [job_id]))[job_id]
    if isinstance(in_full, errors.JobNotFound):
        in_full = _bad(client, "getJobs", job_id, "the list lacks the job, which getJob has just given.")
    return {job_id: in_full}


async def _check_many(client: Client, job_ids: Sequence[str]) -> dict[str, Seen]:
    """Ask again for jobs that a list leaves out, as long as that brings any: the server may cut the list silently."""
    seen: dict[str, Seen] = {}
    left = job_ids
    while left:
        subject = f"job {left[0]}" + (f" and {len(left) - 1} more" if len(left) > 1 else "")
        response = await client.session.read(documents.GET_JOBS, {"jobIds": list(left)}, subject)
        listed = _JobList(client, response, left, frozenset(job_ids).difference(left))
        for job_id, (number, entry) in listed.entries.items():
            seen[job_id] = _read(client, response, ("result", number), entry)
        if listed.is_short and listed.entries:
            if left is not job_ids:  # what was left out is there: so many are too many
                client.batches.shrink(len(job_ids), listed.bad("the list is shorter than what was asked for."))
            left = listed.missing
        else:
            seen |= {job_id: listed.absence(job_id) for job_id in listed.missing}
            left = ()
    return seen


def _read(client: Client, response: Response, at: tuple[str | int, ...], entry: Entry) -> Seen:
    """The job, or the failure if its status or result id cannot be read. Any other part may be missing."""
    session = client.session
    if not isinstance(entry.get("status"), str):
        detail = f"the status of job {entry['id']} cannot be read."
        return response.error_below(*at, "status") or _bad(client, "getJobs", entry["id"], detail)
    if response.field_errors and entry.get("resultId") is None and (failure := response.error_below(*at, "resultId")):
        return failure
    try:
        job = reader.read_job(entry, session.redact)
        # A job that runs shows nothing but a status that is in the table.
        return job if job.state in _RUNS else cleaned(job, session.kept_secrets)
    except Exception as bug:
        return _bad(client, "getJobs", entry["id"], log_bug(bug))


class _JobList:
    """The jobs in an answer to `getJobs`, by their ids, since the order of the list is not documented.

    Raises `RequestFailed` if the answer has no list. If a job is listed twice, the first entry counts. Jobs that were
    read `before` may be listed again.
    """

    def __init__(self, client: Client, response: Response, job_ids: Sequence[str], before: Container[str]) -> None:
        self._client, self._response, self._job_ids = client, response, job_ids
        items = response.data.get("result")
        client.had_no_list = not isinstance(items, list)
        if not isinstance(items, list):
            raise response.error_at("result") or self.bad("the answer holds no list of jobs.")
        #: Each listed job, with its index in the list.
        self.entries: dict[str, tuple[int, Entry]] = {}
        missing = dict.fromkeys(job_ids)
        nulls = odd = 0
        for number, item in enumerate(items):
            job_id = text_or_none(item, "id") if isinstance(item, dict) else None
            if job_id in missing:
                del missing[job_id]
                self.entries[job_id] = number, item
            elif item is None:
                nulls += 1
            elif job_id is None or job_id not in before:
                odd += 1
        self.missing = list(missing)
        in_order = (job_ids[number] == job_id for job_id, (number, _) in self.entries.items())
        self._is_in_place = bool(missing) and len(items) == len(job_ids) and all(in_order)
        self._is_odd = bool(odd)
        #: Whether the list has no entry at all for a job, not even null.
        self.is_short = not odd and nulls < len(self.missing) and not response.error_at("result")

    def absence(self, job_id: str) -> Seen:
        """What it means that a job is missing: with an error for it, its poll has failed."""
        errors_at = self._response.field_errors
        if failure := errors_at.get(()) or errors_at.get(("result",)):
            return failure
        if self._is_in_place:
            failure = self._response.error_below("result", self._job_ids.index(job_id))
        else:
            failure = self._response.error_at("result")
        if failure:
            return failure
        return self.bad("an entry of the list is no such job.") if self._is_odd else self._client.not_found(job_id)

    def bad(self, detail: str) -> errors.RequestFailed:
        """The error for an answer that is no list of these jobs."""
        return _bad(self._client, "getJobs", self._job_ids[0], detail)


async def _check_project(client: Client, job_id: str) -> Seen:
    """A project whose job nobody knows: if the project exists, the job has succeeded."""
    project_id = job_id.removeprefix(PROJECT)
    response = await client.session.read(documents.GET_PROJECT, {"id": project_id}, f"project {project_id}")
    entry = response.data.get("result", ...)
    if entry is None:
        return response.error_at("result") or client.not_found(job_id)
    if not isinstance(entry, dict) or text_or_none(entry, "id") != project_id:
        return client.session.bad_answer("getProject", f"project {project_id}", "the answer holds no such project.")
    return Job(reader.PROVIDER, job_id, JobState.SUCCEEDED, "DELIVERED", result_id=project_id)


def _bad(client: Client, operation: str, job_id: str, detail: str) -> errors.RequestFailed:
    return client.session.bad_answer(operation, f"job {job_id}", detail)
