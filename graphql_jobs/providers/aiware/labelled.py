"""The jobs of a time window that carry our label, whoever runs them: what a clean-up starts from."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphql_jobs import errors
from graphql_jobs.clock import instant
from graphql_jobs.job import JobState
from graphql_jobs.label import Label
from graphql_jobs.providers.aiware import documents
from graphql_jobs.providers.aiware.reader import STATES
from graphql_jobs.reading import MAX_ANSWER_ID_CHARACTERS, Entry, instant_or_none, text_or_none

if TYPE_CHECKING:
    from datetime import datetime

    from graphql_jobs.job import JobHandle
    from graphql_jobs.providers.aiware.client import AiwareClient

logger = logging.getLogger(__name__)

#: Our choice: a page brings each job's free JSON along, so it is halved when the server finds it too much.
PAGE = 100
#: Our choice: a server that never ends its list is not followed for ever.
MAX_JOBS = 100_000
# A smaller page may pass: caps on pages are not published (reference/aiware.md 4.6).
_MAY_BE_THE_SIZE = (errors.TooMuchAtOnce, errors.RequestRefused)


@dataclass(frozen=True, slots=True)
class LabelledJob:
    """A job in a list. `state` is by the provider's word alone: what matters is read by a check (law 4)."""

    job_id: str
    label: Label
    state: JobState
    raw_status: str
    created_at: datetime | None = None
    #: The label stands on the job's container alone, where somebody else may have started another job by hand.
    by_container: bool = False

    @classmethod
    def of_handle(cls, handle: JobHandle, label: Label) -> LabelledJob:
        """The job of a handle, for one that could carry no label."""
        return cls(handle.job_id, label, JobState.UNKNOWN, "", handle.submitted_at)


async def labelled_jobs(client: AiwareClient, since: float, until: float) -> list[LabelledJob]:
    """The jobs with our label that were created between two instants (epoch seconds), oldest first, each once.

    A launch on a target of the caller's own carries no label, and is not among them. Raises `RequestFailed`.
    """
    window = {"from": _iso(since), "to": _iso(until)}
    found: dict[str, LabelledJob] = {}
    offset, size = 0, PAGE
    while offset < MAX_JOBS:
        try:
            records = await _page(client, window | {"offset": offset, "limit": size})
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
            if (job := read_labelled(record)) and _is_usable(client, job.job_id):
                found.setdefault(job.job_id, job)
    raise client.session.bad_reply("jobs", "jobs by time", f"more than {MAX_JOBS} jobs. Choose a smaller window.")


def read_labelled(record: object) -> LabelledJob | None:
    """The job of a record; None for one without a label, which is somebody else's.

    The label stands in the job's own JSON, or, where a launch has none, in that of the container made for it.
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
    created_at = instant_or_none(record.get("createdDateTime"))
    return LabelledJob(job_id, label, STATES[raw_status], raw_status, created_at, own is None)


async def _page(client: AiwareClient, variables: dict[str, Any]) -> list[Entry | None]:
    """As many records as there are, also those that are null: they count in the offset."""
    reply = await client.session.read(documents.LIST_JOBS, variables, "jobs by time")
    value = reply.data.get("jobs")
    records = value.get("records") if isinstance(value, dict) else None
    if isinstance(records, list):  # a target that nobody may read is an error at its field, and spoils no list
        return records
    missing = client.session.bad_reply("jobs", "jobs by time", "the answer holds no list of jobs.")
    raise reply.error_at("jobs") or missing


def _is_usable(client: AiwareClient, job_id: str) -> bool:
    try:
        client.handle(job_id)
    except errors.InvalidInput:
        logger.warning("A labelled job is passed over: its id cannot be used.")
        return False
    return True


def _iso(epoch_s: float) -> str:
    return instant(epoch_s).isoformat(timespec="seconds")
