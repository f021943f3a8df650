"""Read Datasaur jobs: one by `getJob`, several by `getJobs`, and a project instead of the job that created it.

A job is absent if `getJob` returns null, or if `getJobs` returns null for it or omits it (docs/providers/datasaur.md).
An answer of any other shape is a failed poll. After an answer to `getJobs` without a list, a null of `getJob` is
accepted only if `getJobs` confirms it.
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

#: The prefix of a project's id in the handle of a project whose job is not known.
PROJECT = "project:"
_RUNS = (JobState.PENDING, JobState.RUNNING)


class Client(Protocol):
    """The part of a client that this module uses."""

    session: Session
    #: Whether the last answer to `getJobs` had no list.
    had_no_list: bool

    @property
    def batches(self) -> BatchSize: ...

    def not_found(self, job_id: str) -> errors.JobNotFound:
        """Return the error for a job that the provider does not know."""
        ...


async def check_batch(client: Client, job_ids: Sequence[str]) -> Mapping[str, Seen | Deferred]:
    """Implement `JobClient.check_batch`. Each project needs a request, so projects are deferred if there are jobs."""
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
        if client.had_no_list and not response.error_at("result"):  # the server may answer null to every request
            return await _check_many(client, [job_id])
        return {job_id: response.error_at("result") or client.not_found(job_id)}
    if not isinstance(entry, dict) or text_or_none(entry, "id") != job_id:
        return {job_id: _bad(client, "getJob", job_id, "the answer lacks this job.")}
    job = _read(client, response, ("result",), job_id, entry)
    if not isinstance(job, Job) or not job.state.is_terminal:
        return {job_id: job}
    # The documented query has no errors and no result id; they matter only at the end.
    in_full = (await _check_many(client, [job_id]))[job_id]
    if isinstance(in_full, errors.JobNotFound):
        in_full = _bad(client, "getJobs", job_id, "the list lacks the job, which getJob has just returned.")
    return {job_id: in_full}


async def _check_many(client: Client, job_ids: Sequence[str]) -> dict[str, Seen]:
    """Request omitted jobs again, as long as that returns any: the server may silently cut the list."""
    seen: dict[str, Seen] = {}
    left = job_ids
    while left:
        subject = f"job {left[0]}" + (f" and {len(left) - 1} more" if len(left) > 1 else "")
        response = await client.session.read(documents.GET_JOBS, {"jobIds": list(left)}, subject)
        listed = _JobList(client, response, left, frozenset(job_ids).difference(left))
        for job_id, number in listed.numbers.items():
            seen[job_id] = _read(client, response, ("result", number), job_id, listed.items[number])
        if listed.is_short and listed.numbers:
            if left is not job_ids:  # the omitted jobs exist, so the batch was too large
                client.batches.shrink(len(job_ids), listed.bad("the list is shorter than requested."))
            left = listed.missing
        else:
            seen |= {job_id: listed.absence(job_id) for job_id in listed.missing}
            left = ()
    return seen


def _read(client: Client, response: Response, at: tuple[str | int, ...], job_id: str, entry: Entry) -> Seen:
    """Return the job, or the failure if its status or result id cannot be read. Other parts may be missing."""
    if not isinstance(entry.get("status"), str):
        detail = f"the status of job {job_id} cannot be read."
        return response.error_below(*at, "status") or _bad(client, "getJobs", job_id, detail)
    if response.field_errors and entry.get("resultId") is None and (failure := response.error_below(*at, "resultId")):
        return failure
    try:
        job = reader.read_job(entry, client.session.redact)
        # A running job shows only a status from the table.
        return job if job.state in _RUNS else cleaned(job, client.session.kept_secrets)
    except Exception as bug:
        return _bad(client, "getJobs", job_id, log_bug(bug))


class _JobList:
    """The jobs in an answer to `getJobs`, by their ids, since the order of the list is not documented.

    Raises `RequestFailed` if the answer has no list. If a job is listed twice, the first entry counts. Jobs read
    `before` may be listed again.
    """

    def __init__(self, client: Client, response: Response, job_ids: Sequence[str], before: Container[str]) -> None:
        self._client, self._response, self._job_ids = client, response, job_ids
        items = response.data.get("result")
        client.had_no_list = not isinstance(items, list)
        if not isinstance(items, list):
            raise response.error_at("result") or self.bad("the answer has no list of jobs.")
        self.items = items
        #: The index of each listed job.
        self.numbers: dict[str, int] = {}
        missing = dict.fromkeys(job_ids)
        nulls = odd = 0
        for number, item in enumerate(items):
            job_id = text_or_none(item, "id") if isinstance(item, dict) else None
            if job_id in missing:
                del missing[job_id]
                self.numbers[job_id] = number
            elif item is None:
                nulls += 1
            elif job_id is None or job_id not in before:
                odd += 1
        self.missing = list(missing)
        in_order = (job_ids[number] == job_id for job_id, number in self.numbers.items())
        self._is_in_place = bool(missing) and len(items) == len(job_ids) and all(in_order)
        self._is_odd = bool(odd)
        #: Whether the list has no entry for a job, not even null.
        self.is_short = not odd and nulls < len(self.missing) and not response.error_at("result")

    def absence(self, job_id: str) -> Seen:
        """Return why a job is missing. If there is an error for it, its poll has failed."""
        errors_at = self._response.field_errors
        if failure := errors_at.get(()) or errors_at.get(("result",)):
            return failure
        if self._is_in_place:
            failure = self._response.error_below("result", self._job_ids.index(job_id))
        else:
            failure = self._response.error_at("result")
        if failure:
            return failure
        return self.bad("an entry is not one of these jobs.") if self._is_odd else self._client.not_found(job_id)

    def bad(self, detail: str) -> errors.RequestFailed:
        """Return the error for an answer that is not a list of these jobs."""
        return _bad(self._client, "getJobs", self._job_ids[0], detail)


async def _check_project(client: Client, job_id: str) -> Seen:
    """Check a project whose job is not known: if the project exists, the job has succeeded."""
    project_id = job_id.removeprefix(PROJECT)
    response = await client.session.read(documents.GET_PROJECT, {"id": project_id}, f"project {project_id}")
    entry = response.data.get("result", ...)
    if entry is None:
        return response.error_at("result") or client.not_found(job_id)
    if not isinstance(entry, dict) or text_or_none(entry, "id") != project_id:
        return client.session.bad_answer("getProject", f"project {project_id}", "the answer lacks this project.")
    return Job(reader.PROVIDER, job_id, JobState.SUCCEEDED, "DELIVERED", result_id=project_id)


def _bad(client: Client, operation: str, job_id: str, detail: str) -> errors.RequestFailed:
    return client.session.bad_answer(operation, f"job {job_id}", detail)
