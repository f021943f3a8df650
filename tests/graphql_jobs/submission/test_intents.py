"""A handle belongs to one intent: the handle of an older attempt does not become the job of a newer intent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from graphql_jobs import Label, LocalStore
from tests.graphql_jobs.submitting import LABEL, TASKS, jobs, recorded, submitted

if TYPE_CHECKING:
    import pytest

    from blocks import AiwareCredentials
    from graphql_jobs.emulator import Emulator
    from graphql_jobs.store import Entry

OTHER = Label(LABEL.key, "run-2")


class Held(LocalStore):
    """Delays the n-th handle until the test releases it."""

    def __init__(self, nth: int) -> None:
        super().__init__()
        self.nth = nth
        self.reached, self.may_go = asyncio.Event(), asyncio.Event()

    async def append(self, key: str, number: int, entry: Entry) -> bool:
        """Write the entry; the n-th handle only after its release."""
        if entry["kind"] == "handle":
            self.nth -= 1
            if self.nth == 0:
                self.reached.set()
                await self.may_go.wait()
        return await super().append(key, number, entry)


async def test_forced_job_is_not_replaced_by_the_handle_of_an_older_attempt(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """The older attempt writes between the forced intent and its handle: the key has the forced job."""
    client, store = aiware.get_client(), Held(2)
    older = Held(1)
    older._entries = store._entries
    first = asyncio.create_task(submitted(client, TASKS, older))
    await older.reached.wait()
    second = asyncio.create_task(submitted(client, TASKS, store, label=OTHER, force_resubmit=True))
    store.nth = 1
    await store.reached.wait()
    older.may_go.set()
    old = await first
    store.may_go.set()
    new = await second
    assert [old.job_id, new.job_id] == [one.job_id for one in jobs(emulator)]
    record = await recorded(store)
    assert (record.handle.job_id, record.owner, record.superseded) == (new.job_id, "run-2", (old.job_id,))
    assert (await submitted(client, TASKS, store, label=OTHER)).job_id == new.job_id


async def test_handle_of_an_older_attempt_after_the_forced_one_is_only_noted(
    emulator: Emulator, aiware: AiwareCredentials, caplog: pytest.LogCaptureFixture
) -> None:
    """The forced job is recorded first: the older attempt continues with its own, which the record keeps as late."""
    client, older, store = aiware.get_client(), Held(1), LocalStore()
    store._entries = older._entries
    first = asyncio.create_task(submitted(client, TASKS, older))
    await older.reached.wait()
    new = await submitted(client, TASKS, store, label=OTHER, force_resubmit=True)
    older.may_go.set()
    old = await first
    record = await recorded(store)
    assert record.handle.job_id == new.job_id
    assert [(handle.job_id, owner) for handle, owner in record.late] == [(old.job_id, "run-1")]
    assert f"job {old.job_id} became visible late" in caplog.text
    assert len(jobs(emulator)) == 2


async def test_handle_of_a_job_that_ended_badly_does_not_end_the_next_submission(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """Job 1 failed and job 2 is being submitted when a slow attempt records job 1 again: job 2 is kept."""
    client, store = aiware.get_client(), LocalStore()
    first = await submitted(client, TASKS, store)
    handle: Any = first.to_json()
    emulator.aiware.jobs[first.job_id].cancelled_at = emulator.clock.now()
    held = Held(1)
    held._entries = store._entries
    second = asyncio.create_task(submitted(client, TASKS, held))
    await held.reached.wait()
    count = len(await store.read(LABEL.key))
    assert await store.append(LABEL.key, count, {"kind": "handle", "handle": handle, "intent": 0, "by": "slow"})
    held.may_go.set()
    new = await second
    assert new.job_id != first.job_id
    assert (await recorded(store)).handle.job_id == new.job_id


async def test_record_names_the_owners_of_a_job(aiware: AiwareCredentials) -> None:
    """Owner 2 adopts owner 1's job, then forces a new one: owner 1 has the old job until it adopts the new one."""
    client, store = aiware.get_client(), LocalStore()
    await submitted(client, TASKS, store)
    await submitted(client, TASKS, store, label=OTHER)
    assert (await recorded(store)).holders == {"run-1", "run-2"}
    await submitted(client, TASKS, store, label=OTHER, force_resubmit=True)
    record = await recorded(store)
    assert (record.holders, record.left_behind) == ({"run-2"}, {"run-1"})
    await submitted(client, TASKS, store)
    record = await recorded(store)
    assert (record.holders, record.left_behind) == ({"run-1", "run-2"}, set())
