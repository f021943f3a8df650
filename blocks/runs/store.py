"""The store of one flow run: the entries of its submissions and checkpoints, kept in Prefect's own database.

Entries are inputs of the flow run (`POST /flow_runs/{id}/input`). Each is written once, and is deleted with the run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.exceptions import PrefectHTTPStatusError

from blocks.api import ask
from blocks.runs.entries import read_entries
from graphql_jobs.label import KEY_PREFIX

_REFERENCE = "elsewhere"
#: The prefix of the entries' names that record the users of a caller's key. Submissions' entries have another.
_USER_PREFIX = "gqu-"
#: Our choice: an entry whose number has more digits was written by hand.
_MAX_DIGITS = 6
_HTTP_CONFLICT = 409
_HTTP_NOT_FOUND = 404


class RunStore:
    """The store of one flow run."""

    def __init__(self, flow_run_id: UUID) -> None:
        self.flow_run_id = flow_run_id

    async def read(self, key: str) -> Sequence[Mapping[str, Any]]:
        """Return all entries of `key`, in order."""
        return (await self.read_all(f"{key}-")).get(key, [])

    async def read_all(self, prefix: str = KEY_PREFIX) -> dict[str, list[dict[str, Any]]]:
        """Return the entries of all keys, in order, with an empty, invalid entry for each that cannot be parsed."""
        return _by_key(await read_entries(self.flow_run_id, prefix))

    async def append(self, key: str, number: int, entry: Mapping[str, Any]) -> bool:
        """Write one entry. Return False if another process wrote an entry with this number."""
        name, text = f"{key}-{number}", json.dumps(entry)

        async def write(client: PrefectClient) -> bool:
            try:
                await client.create_flow_run_input(self.flow_run_id, name, text)
            except PrefectHTTPStatusError as error:
                if error.response.status_code != _HTTP_CONFLICT:
                    raise
                # A request whose response is lost is sent again: the entry may be ours.
                there = json.loads(await client.read_flow_run_input(self.flow_run_id, name))
                return bool(there == json.loads(text))
            return True

        return await ask(write)

    async def point_to(self, key: str, home: UUID) -> None:
        """Record that the entries of `key`, which this run uses, are in the store of the run `home`."""
        await self._note(f"{key}-{_REFERENCE}", home)

    async def add_user(self, key: str, run_id: UUID) -> None:
        """Record that the run `run_id` waits for the job of the caller's key `key`, whose entries are here."""
        await self._note(f"{_USER_PREFIX}{key}-{run_id}", run_id)

    async def remove_user(self, key: str, run_id: UUID) -> None:
        """Remove that entry: the run no longer waits for the job, unless it is retried."""
        name = f"{_USER_PREFIX}{key}-{run_id}"
        try:
            await ask(lambda client: client.delete_flow_run_input(self.flow_run_id, name))
        except PrefectHTTPStatusError as error:
            if error.response.status_code != _HTTP_NOT_FOUND:
                raise

    async def users_of(self, key: str) -> set[UUID]:
        """Return the runs that wait, or waited, for the job of a caller's key whose entries are here."""
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
            if error.response.status_code != _HTTP_CONFLICT:  # else it already exists
                raise

    async def references(self) -> dict[str, UUID]:
        """Return the keys whose entries are in another run's store, with that run."""
        return _references(await read_entries(self.flow_run_id, KEY_PREFIX))

    async def read_with_references(self) -> tuple[dict[str, list[dict[str, Any]]], dict[str, UUID]]:
        """Return the results of `read_all` and `references` from one read."""
        values = await read_entries(self.flow_run_id, KEY_PREFIX)
        return _by_key(values), _references(values)


def _by_key(values: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Return the entries of each key, in order, with an empty entry for each that cannot be parsed."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for name, value in values.items():
        key, _, number = name.rpartition("-")
        if not (number.isdecimal() and len(number) <= _MAX_DIGITS):
            continue
        try:
            entry = dict(json.loads(value))
        except (ValueError, TypeError):  # edited by hand; it must not hide the other keys' entries
            entry = {}
        found.setdefault(key, {})[int(number)] = entry
    return {key: [entries.get(number, {}) for number in range(max(entries) + 1)] for key, entries in found.items()}


def _references(values: Mapping[str, str]) -> dict[str, UUID]:
    ending = f"-{_REFERENCE}"
    found = {}
    for name, value in values.items():
        if name.endswith(ending):
            with suppress(ValueError, TypeError):  # edited by hand: it is ignored
                found[name.removesuffix(ending)] = UUID(str(json.loads(value)))
    return found
