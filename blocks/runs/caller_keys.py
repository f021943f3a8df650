"""Callers' keys: which flow run keeps the entries of a key that several runs use.

A key outlives one run. A Prefect Variable, whose name only one run can create, names the run that keeps the entries.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import VariableCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from blocks.api import ask
from blocks.runs.root_run import TAG
from blocks.runs.store import RunStore
from graphql_jobs.errors import InvalidInput

#: Our choice: the maximum number of deleted runs that kept the entries of one key.
_MAX_HOMES = 1_000
#: The server's limit for one page of a list.
_BATCH = 200


async def homes_of(keys: Iterable[str]) -> dict[str, list[UUID]]:
    """Return the callers' keys among `keys`, each with the runs that have kept its entries, oldest first."""
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
    """Return the store with the entries of a caller's key: that of the first existing run that used the key.

    This records in the store that `run_id` also waits for the job. Each variable is created once and never changed: if
    its run was deleted, the variable with the next number counts.
    """
    home = await _home_of(key, run_id)
    store = RunStore(home)
    await store.add_user(key, run_id)
    if home != run_id:
        await RunStore(run_id).point_to(key, home)
    return store


async def _home_of(key: str, run_id: UUID) -> UUID:
    """Return the run that keeps the entries of a caller's key: `run_id` if there is none yet."""
    for number in range(_MAX_HOMES):
        if home := await ask(partial(_claim, _variable_of(key, number), run_id)):
            return home
    raise InvalidInput("key", f"{_MAX_HOMES} runs kept its entries, and all were deleted. Use another key.")


async def _claim(name: str, run_id: UUID, client: PrefectClient) -> UUID | None:
    """Return the run in the variable `name`, which is created with `run_id` if missing. None if the run was deleted."""
    while True:
        try:
            await client.create_variable(VariableCreate(name=name, value=str(run_id), tags=[TAG]))
            return run_id
        except ObjectAlreadyExists:
            variable = await client.read_variable_by_name(name)
        if variable:  # else it was deleted in between
            break
    home = UUID(str(variable.value))
    try:
        await client.read_flow_run(home)
    except ObjectNotFound:
        return None
    return home
