"""The clean-up of a run with many jobs: few requests for each, and the state names the jobs that were left."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prefect.client.base import PrefectHttpxAsyncClient

from blocks.api import one_client
from blocks.runs.caller_keys import store_of
from graphql_jobs.emulator import Pace
from tasks.cancelling.jobs import Done
from tasks.cancelling.layers import MESSAGE_PREFIX, _summary, clean_up_after
from tests.clocks import FakeClock
from tests.tasks.cancelled_runs import TASKS, end, key_of, message_of, new_run, submit
from tests.tasks.requests import counted

if TYPE_CHECKING:
    from blocks import AiwareCredentials
    from graphql_jobs.emulator import Emulator

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("saved")]

#: More than one batch.
JOBS = 120


async def test_each_job_costs_one_cancel_and_one_note(
    aiware: AiwareCredentials, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """120 jobs: 120 cancels and a read for each batch; at Prefect's API 120 writes and a few reads."""
    emulator.aiware.pace = Pace(queued_s=3600)
    run = await new_run()
    async with one_client():
        ids = await asyncio.gather(*(submit(aiware, TASKS, run, f"{run.id} {number}") for number in range(JOBS)))
    await end(run)
    before = len(emulator.ledger.requests)
    with counted(monkeypatch) as made:
        said = await clean_up_after(run.id)
    assert sorted(said) == sorted(f"aiWARE job {job_id}: cancelled (status 'aborted')." for job_id in ids)
    assert {cancel.job_id for cancel in emulator.ledger.cancels if cancel.accepted} == set(ids)
    assert len(emulator.ledger.cancels) == JOBS
    assert len(emulator.ledger.requests) - before <= JOBS + 4
    assert sum(path.endswith("/input") for path in made) == JOBS
    assert len(made) - JOBS < 25, made
    assert await message_of(run) == f"{MESSAGE_PREFIX}{JOBS} of {JOBS} jobs were cancelled."
    with counted(monkeypatch) as made:
        assert sorted(await clean_up_after(run.id)) == sorted(said)
    assert len(made) < 20
    assert len(emulator.ledger.cancels) == JOBS


async def test_other_waiting_runs_are_read_only_for_callers_keys(
    aiware: AiwareCredentials, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of ten jobs have a caller's key: the users of each key are read once, and no others."""
    emulator.aiware.pace = Pace(queued_s=3600)
    run = await new_run()
    for number in range(8):
        await submit(aiware, TASKS, run, f"{run.id} own {number}")
    for what in (f"{run.id} a", f"{run.id} b"):
        await submit(aiware, TASKS, run, what, await store_of(key_of(what), run.id))
    await end(run)
    asked: list[str] = []
    users_of = type(await store_of(key_of(f"{run.id} a"), run.id)).users_of

    async def asking(self: object, key: str) -> object:
        asked.append(key)
        return await users_of(self, key)  # type: ignore[arg-type] # it is a RunStore

    monkeypatch.setattr("blocks.runs.store.RunStore.users_of", asking)
    assert len(await clean_up_after(run.id)) == 10
    assert sorted(asked) == sorted(key_of(f"{run.id} {name}") for name in "ab")
    assert len(emulator.ledger.cancels) == 10


async def test_clean_up_survives_an_outage_of_prefects_api(
    aiware: AiwareCredentials, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request to it is lost three times before it is answered: the job is cancelled, and the state says so."""
    emulator.aiware.pace = Pace(queued_s=3600)
    run = await new_run()
    job_id = await submit(aiware, TASKS, run)
    await end(run)
    lost: Counter[str] = Counter()
    send = PrefectHttpxAsyncClient.send

    async def sending(self: PrefectHttpxAsyncClient, request: httpx.Request, *args: Any, **kwargs: Any) -> Any:
        if lost[f"{request.method} {request.url.path}"] < 3:
            lost[f"{request.method} {request.url.path}"] += 1
            raise httpx.ConnectError("Prefect's API is away")
        return await send(self, request, *args, **kwargs)

    monkeypatch.setattr(PrefectHttpxAsyncClient, "send", sending)
    monkeypatch.setattr("blocks.api._clock", FakeClock())
    assert await clean_up_after(run.id) == [f"aiWARE job {job_id}: cancelled (status 'aborted')."]
    monkeypatch.undo()
    assert await message_of(run) == f"{MESSAGE_PREFIX}aiWARE job {job_id}: cancelled (status 'aborted')."
    assert len(lost) >= 5


def test_message_names_the_jobs_that_were_left_first() -> None:
    """198 of 200 were cancelled: the number, and a sentence for each of the other two."""
    done = [Done("job a: left running."), Done("job b: not known.")]
    done += [Done(f"job {number}: cancelled.", True, True) for number in range(198)]
    assert _summary(done) == "198 of 200 jobs were cancelled. job a: left running. job b: not known."
    assert _summary(done[:2]) == "job a: left running. job b: not known."
    assert _summary([Done(f"{number}.") for number in range(200)]).endswith(" 9. And 190 more; the log names them.")
