"""All entries of a run are read, in any number."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRunInput

from blocks.runs import entries
from blocks.runs.entries import read_entries
from blocks.runs.store import RunStore
from graphql_jobs.label import submission_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class FakeClient:
    """Has the entries of one run, and returns as many as are requested."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values
        self.requests = 0

    async def filter_flow_run_input(self, run_id: UUID, prefix: str, limit: int, _: set[str]) -> list[FlowRunInput]:
        """The first entries with this prefix."""
        self.requests += 1
        names = [name for name in self.values if name.startswith(prefix)][:limit]
        return [FlowRunInput(flow_run_id=run_id, key=name, value=self.values[name]) for name in names]


def pretend(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> FakeClient:
    """Prefect's API has these entries."""
    client = FakeClient(values)

    @asynccontextmanager
    async def connected() -> AsyncIterator[FakeClient]:
        yield client

    monkeypatch.setattr(entries, "get_client", connected)
    return client


def keys(count: int) -> list[str]:
    """The keys of a number of submissions."""
    return [submission_key("p", "e", "a", "o", str(number)) for number in range(count)]


@pytest.mark.parametrize(("submissions", "at_most"), [(300, 1), (5_000, 38)])
async def test_store_holds_any_number_of_submissions(
    submissions: int, at_most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5,000 submissions of three entries each: all are read, in 38 requests; 300 of them in one request."""
    client = pretend(monkeypatch, {f"{key}-{n}": "{}" for key in keys(submissions) for n in range(3)})
    assert await read_entries(uuid4(), "gqj-") == client.values
    assert client.requests <= at_most


async def test_key_may_have_more_entries_than_one_request_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """3,456 checkpoints under one key."""
    client = pretend(monkeypatch, {f"gqs-waits-{number}": "{}" for number in range(3_456)})
    assert await read_entries(uuid4(), "gqs-waits-") == client.values


@pytest.mark.prefect
@pytest.mark.usefixtures("one_prefect_client")
async def test_store_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a real server, with parts of five entries: all records, references and users of a run with 40 submissions."""
    monkeypatch.setattr(entries, "PAGE", 5)

    @flow
    async def empty() -> None:
        pass

    async with get_client() as client:
        store = RunStore((await client.create_flow_run(empty)).id)
    expected: dict[str, Any] = {key: [{"number": number} for number in range(2)] for key in keys(40)}
    for key, written in expected.items():
        for number, entry in enumerate(written):
            assert await store.append(key, number, entry)
    homes = {key: uuid4() for key in keys(60)[40:]}
    users = {uuid4() for _ in range(20)}
    for key, home in homes.items():
        await store.point_to(key, home)
    for user in users:
        await store.add_user(keys(1)[0], user)
    assert await store.read_all() == expected
    assert await store.references() == homes
    assert await store.users_of(keys(1)[0]) == users
    assert await store.read_with_references() == (expected, homes)
