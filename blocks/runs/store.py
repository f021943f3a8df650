"""What a flow run remembers of its jobs: kept in Prefect's own database, by the API that every worker reaches.

Entries are inputs of the flow run (`POST /flow_runs/{id}/input`), each written once; they go when the run is deleted. A
caller's own key outlives one run: a Variable, whose name only one can create, says which run keeps its entries.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import VariableCreate
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError
from prefect.runtime import flow_run

from blocks.api import ask
from blocks.runs.entries import read_entries
from graphql_jobs.errors import InvalidInput
from graphql_jobs.label import KEY_PREFIX
from graphql_jobs.waiting.checkpoints import Checkpoints

#: Our choice: so many runs, of which each was deleted, may have kept the entries of one key.
_MAX_HOMES = 1_000
_TAG = "graphql-jobs"
#: The server's own bound for one page of a list.
_BATCH = 200
_REFERENCE = "elsewhere"
#: How the names of those begin that wait for the job of a caller's own key; otherwise than a submission's entries.
_USER_PREFIX = "gqu-"
_HTTP_CONFLICT = 409
_HTTP_NOT_FOUND = 404


class RunStore:
    """The store of one flow run."""

    def __init__(self, flow_run_id: UUID) -> None:
        self.flow_run_id = flow_run_id

    async def read(self, key: str) -> Sequence[Mapping[str, Any]]:
        """All entries under `key`, in order."""
        return (await self.read_all(f"{key}-")).get(key, [])

    async def read_all(self, prefix: str = KEY_PREFIX) -> dict[str, list[dict[str, Any]]]:
        """The entries of all keys, in order; an empty one, of which no record can be made, for what cannot be read."""
        return _by_key(await read_entries(self.flow_run_id, prefix))

    async def append(self, key: str, number: int, entry: Mapping[str, Any]) -> bool:
        """Write one entry. False if the number is taken by another's."""
        name, text = f"{key}-{number}", json.dumps(entry)

        async def write(client: PrefectClient) -> bool:
            try:
                await client.create_flow_run_input(self.flow_run_id, name, text)
            except PrefectHTTPStatusError as error:
                if error.response.status_code != _HTTP_CONFLICT:
                    raise
                # It is sent again when an answer is lost: what is there may be ours.
                there = json.loads(await client.read_flow_run_input(self.flow_run_id, name))
                return bool(there == json.loads(text))
            return True

        return await ask(write)

    async def point_to(self, key: str, home: UUID) -> None:
        """Note that the entries of `key`, which this run uses, are kept by the run `home`."""
        await self._note(f"{key}-{_REFERENCE}", home)

    async def add_user(self, key: str, run_id: UUID) -> None:
        """Note that the run `run_id` waits for the job of the caller's own key `key`, whose entries this run keeps."""
        await self._note(f"{_USER_PREFIX}{key}-{run_id}", run_id)

    async def remove_user(self, key: str, run_id: UUID) -> None:
        """Note that it does not wait for that job any more, until it is run again."""
        name = f"{_USER_PREFIX}{key}-{run_id}"
        try:
            await ask(lambda client: client.delete_flow_run_input(self.flow_run_id, name))
        except PrefectHTTPStatusError as error:
            if error.response.status_code != _HTTP_NOT_FOUND:
                raise

    async def users_of(self, key: str) -> set[UUID]:
        """The runs that go, or went, on with the job of a caller's own key whose entries this run keeps."""
        prefix = f"{_USER_PREFIX}{key}-"
        found = set()
        for name in await read_entries(self.flow_run_id, prefix):
            with suppress(ValueError):  # edited by hand
                found.add(UUID(name.removeprefix(prefix)))
        return found

    async def _note(self, name: str, run_id: UUID) -> None:
        text = json.dumps(str(run_id))
        try:
            await ask(lambda client: client.create_flow_run_input(self.flow_run_id, name, text))
        except PrefectHTTPStatusError as error:
            if error.response.status_code != _HTTP_CONFLICT:  # it is there
                raise

    async def references(self) -> dict[str, UUID]:
        """The keys of which other runs keep the entries, and which runs."""
        return _references(await read_entries(self.flow_run_id, KEY_PREFIX))

    async def read_with_references(self) -> tuple[dict[str, list[dict[str, Any]]], dict[str, UUID]]:
        """What `read_all` and `references` give, read once."""
        values = await read_entries(self.flow_run_id, KEY_PREFIX)
        return _by_key(values), _references(values)


def _by_key(values: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """The entries of each key, in order; an empty one, of which no record can be made, where one cannot be read."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for name, value in values.items():
        key, _, number = name.rpartition("-")
        if not number.isdigit():
            continue
        try:
            entry = dict(json.loads(value))
        except (ValueError, TypeError):  # edited by hand; it must not hide the other keys' entries
            entry = {}
        found.setdefault(key, {})[int(number)] = entry
    return {key: [entries.get(number, {}) for number in range(len(entries))] for key, entries in found.items()}


def _references(values: Mapping[str, str]) -> dict[str, UUID]:
    ending = f"-{_REFERENCE}"
    found = {}
    for name, value in values.items():
        if name.endswith(ending):
            with suppress(ValueError, TypeError):  # edited by hand: then it leads nowhere
                found[name.removesuffix(ending)] = UUID(str(json.loads(value)))
    return found


async def root_run_id() -> UUID | None:
    """The flow run that is run by itself and that this is called in, None if in none.

    A flow that another one calls as a function gets a new id in each attempt, so that it counts as its caller.
    """
    if flow_run.id is None:
        return None
    run_id = UUID(flow_run.id)
    context = FlowRunContext.get()
    if context and context.flow_run and context.flow_run.id == run_id and _is_of_its_own(context.flow_run):
        return run_id
    while caller_id := await ask(partial(_caller_of, run_id)):
        run_id = caller_id
    return run_id


async def _caller_of(run_id: UUID, client: PrefectClient) -> UUID | None:
    """The flow run that called this one as a function, if any did."""
    run = await client.read_flow_run(run_id)
    if _is_of_its_own(run):
        return None
    return (await client.read_task_run(cast(UUID, run.parent_task_run_id))).flow_run_id


def _is_of_its_own(run: FlowRun) -> bool:
    """Whether the run is waited for, cancelled and run again by itself.

    Prefect links also what `run_deployment`, or a flow sent to a work pool, starts to a task run of its starter. But
    those have a process of their own, which may outlive the starter's: a flow that is called has neither.
    """
    return run.parent_task_run_id is None or run.deployment_id is not None or run.work_queue_id is not None


async def checkpoints_of_this_run() -> Checkpoints | None:
    """What the waits of this flow run saw in earlier attempts; None outside a flow run."""
    run_id = await root_run_id()
    return Checkpoints(RunStore(run_id)) if run_id else None


async def homes_of(keys: Iterable[str]) -> dict[str, list[UUID]]:
    """Which of the keys are callers' own, each with the runs that have kept its entries, the first one first."""
    homes: dict[str, list[UUID]] = {}
    asked = list(dict.fromkeys(keys))
    while asked:
        names = {_variable_of(key, len(homes.get(key, ()))): key for key in asked[:_BATCH]}
        asked = asked[_BATCH:]
        for variable in await ask(partial(_variables, list(names))):
            key = names[variable["name"]]
            homes.setdefault(key, []).append(UUID(str(variable["value"])))
            asked.append(key)  # there may be a next one
    return homes


async def _variables(names: list[str], client: PrefectClient) -> list[dict[str, Any]]:
    answer = await client.request("POST", "/variables/filter", json={"variables": {"name": {"any_": names}}})
    answer.raise_for_status()
    return list(answer.json())


def _variable_of(key: str, number: int) -> str:
    return f"{key}-{number}".replace("-", "_")


async def store_of(key: str, run_id: UUID) -> RunStore:
    """The store in which the entries of a caller's own key are kept: that of the first run which used it and is there.

    It knows from then on that this run waits for the job too. Each variable is created once and never changed: when
    its run is gone, the next number counts.
    """
    home = await _home_of(key, run_id)
    store = RunStore(home)
    await store.add_user(key, run_id)
    if home != run_id:
        await RunStore(run_id).point_to(key, home)
    return store


async def _home_of(key: str, run_id: UUID) -> UUID:
    """The run that keeps the entries of a caller's own key: from now on `run_id`, if there is none."""
    for number in range(_MAX_HOMES):
        if home := await ask(partial(_claim, _variable_of(key, number), run_id)):
            return home
    raise InvalidInput("key", f"{_MAX_HOMES} runs kept what is known of it, and all were deleted. Use another key.")


async def _claim(name: str, run_id: UUID, client: PrefectClient) -> UUID | None:
    """The run that the variable `name` says, from now on `run_id` if there is no such variable. None: it is deleted."""
    while True:
        try:
            await client.create_variable(VariableCreate(name=name, value=str(run_id), tags=[_TAG]))
            return run_id
        except ObjectAlreadyExists:
            variable = await client.read_variable_by_name(name)
        if variable:  # else it was removed in between
            break
    home = UUID(str(variable.value))
    try:
        await client.read_flow_run(home)
    except ObjectNotFound:
        return None
    return home
