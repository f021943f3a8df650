"""The flow runs that own remote jobs and their submission records, read in as few requests as Prefect's API allows.

The API lists up to 200 runs per request. It has no such list for the stores of runs, so each needs one request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun, StateType

from blocks.api import ask
from blocks.runs.caller_keys import homes_of
from blocks.runs.root_run import TAG
from blocks.runs.store import RunStore
from graphql_jobs.errors import InvalidInput
from graphql_jobs.submission.record import Record, read_record
from tasks.run_state import UNKNOWN_STATE

logger = logging.getLogger(__name__)

T = TypeVar("T")

_BATCH = 200
#: Our choice: the number of concurrent requests that a small server can serve beside its runs.
_AT_ONCE = 10


def is_living(run: FlowRun | None) -> bool:
    """Whether the run exists and is not in a final state."""
    return run is not None and (run.state is None or not run.state.is_final())


async def read_runs(run_ids: Iterable[UUID]) -> dict[UUID, FlowRun]:
    """Return the runs by id, without deleted ones."""
    wanted = list(dict.fromkeys(run_ids))
    found: dict[UUID, FlowRun] = {}
    for start in range(0, len(wanted), _BATCH):
        only = FlowRunFilter(id=FlowRunFilterId(any_=wanted[start : start + _BATCH]))
        found |= {run.id: run for run in await ask(partial(_page, only))}
    return found


@dataclass(frozen=True, slots=True)
class Submission:
    """One submission that a run made or adopted."""

    key: str
    #: The store with its entries: that of the run or, for a caller's key, of another run.
    store: RunStore
    #: None if the entries cannot be parsed.
    record: Record | None
    #: Whether the key is a caller's, so other runs may use it too.
    is_shared: bool


async def submissions_of(run_id: UUID) -> list[Submission]:
    """Return all submissions that the run made or adopted, sorted by key."""
    store = RunStore(run_id)
    entries_of, references = await store.read_with_references()
    own = {key: entries for key, entries in entries_of.items() if key not in references}
    shared = await homes_of(own)
    found = [Submission(key, store, _record(entries), key in shared) for key, entries in own.items()]
    for home_id in set(references.values()):
        home, keys = RunStore(home_id), [key for key, its_home in references.items() if its_home == home_id]
        found += [
            Submission(key, home, _record(entries), True) for key, entries in (await _entries(home, keys)).items()
        ]
    return sorted(found, key=lambda submission: submission.key)


async def _entries(home: RunStore, keys: Sequence[str]) -> dict[str, Sequence[Mapping[str, Any]]]:
    if len(keys) == 1:
        return {keys[0]: await home.read(keys[0])}
    everything = await home.read_all()
    return {key: everything.get(key, []) for key in keys}


def _record(entries: Sequence[Mapping[str, Any]]) -> Record | None:
    try:
        return read_record(entries)
    except InvalidInput:  # edited by hand
        return None


async def who_waits_too(submission: Submission, run_id: UUID) -> str:
    """Return, as the end of a sentence, another run that waits for the job of a caller's key, or an empty text.

    Check this before you cancel for one run: runs with the same key share the job, even if one of them submitted it.
    """
    if not submission.is_shared:
        return ""
    others = await read_runs(await submission.store.users_of(submission.key) - {run_id})
    for run in others.values():
        if is_living(run) and not (run.state and run.state.is_cancelling()):
            return f"run {run.name!r} ({run.id}) waits for it too"
    return ""


async def living_runs() -> dict[UUID, FlowRun]:
    """Return all runs of the server that are not in a final state."""
    return await _all(state=_types(set(StateType) - TERMINAL_STATES))


def runs_in_state(name: str, tag: str) -> AsyncGenerator[list[FlowRun]]:
    """Yield all runs with a tag in the state of this name, page by page: ten thousand at once take 80 MB."""
    state = FlowRunFilterState(name=FlowRunFilterStateName(any_=[name]))
    return _pages(state=state, tags=FlowRunFilterTags(any_=[tag]))


async def troubled_runs(since: datetime, until: datetime) -> dict[UUID, FlowRun]:
    """Return the runs that failed between two instants and may have left jobs running.

    These are the runs in the state `SubmissionUnknown`, and all failed runs with the project's tag.
    """
    ended = FlowRunFilterEndTime.model_validate({"after_": since, "before_": until})
    unwell = _types(TERMINAL_STATES - {StateType.COMPLETED})
    named = FlowRunFilterState(name=FlowRunFilterStateName(any_=[UNKNOWN_STATE]))
    tagged = await _all(end_time=ended, state=unwell, tags=FlowRunFilterTags(any_=[TAG]))
    return tagged | await _all(end_time=ended, state=named)


async def records_of(run_ids: Collection[UUID]) -> dict[UUID, dict[str, Record]]:
    """Return the submission records of each run, by key; none for deleted runs and entries that cannot be parsed."""
    return await _of_each(run_ids, _records)


async def references_of(run_ids: Collection[UUID]) -> dict[UUID, dict[str, UUID]]:
    """Return each run's callers' keys whose entries are in another run's store, with that run."""
    return await _of_each(run_ids, _references)


def texts_in(value: Any) -> Iterator[str]:
    """Yield all strings in plain JSON, such as a run's parameters."""
    unread = [value]
    while unread:
        one = unread.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            unread += one.values()
        elif isinstance(one, list):
            unread += one


async def _records(run_id: UUID) -> dict[str, Record]:
    try:
        return {key: read_record(entries) for key, entries in (await RunStore(run_id).read_all()).items()}
    except InvalidInput as error:
        logger.warning("The store of run %s cannot be read: %s", run_id, error)
        return {}


async def _references(run_id: UUID) -> dict[str, UUID]:
    try:
        return await RunStore(run_id).references()
    except (TypeError, ValueError):  # edited by hand
        logger.warning("The references in the store of run %s cannot be read.", run_id)
        return {}


async def _of_each(run_ids: Collection[UUID], read: Callable[[UUID], Awaitable[T]]) -> dict[UUID, T]:
    calls = asyncio.Semaphore(_AT_ONCE)

    async def one(run_id: UUID) -> T:
        async with calls:
            return await read(run_id)

    ids = list(dict.fromkeys(run_ids))
    return dict(zip(ids, await asyncio.gather(*map(one, ids)), strict=True))


async def _page(only: FlowRunFilter, client: PrefectClient) -> list[FlowRun]:
    return await client.read_flow_runs(flow_run_filter=only, limit=_BATCH)


async def _all(**criteria: Any) -> dict[UUID, FlowRun]:
    """Return all runs that match, by id."""
    return {run.id: run async for page in _pages(**criteria) for run in page}


async def _pages(**criteria: Any) -> AsyncGenerator[list[FlowRun]]:
    """Yield all runs that match, page by page.

    Each page excludes the runs that were read. With an offset, a run whose state changes between two pages would make
    the next page skip another run, whose jobs would then look like orphans.
    """
    found: list[UUID] = []
    while True:
        more = FlowRunFilter(id=FlowRunFilterId(not_any_=found) if found else None, **criteria)
        page = await ask(partial(_page, more))
        if not page:
            return
        found += [run.id for run in page]
        yield page


def _types(types: set[StateType]) -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=sorted(types)))
