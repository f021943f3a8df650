"""The owner of a job: an active run that names it, the runs of a caller's key, the run of a launch without a label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Completed, Crashed, Failed, Running

from blocks.runs.caller_keys import store_of
from flows.wait_for_jobs import wait_for_jobs
from graphql_jobs import Label
from graphql_jobs.emulator import JobFault
from tests.flows.orphans import emulator as emulator
from tests.flows.orphans import new_key, plant, reap, run_in, store_job

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("one_prefect_client", "saved")]


async def test_job_in_the_parameters_of_a_living_run_is_no_orphan(emulator: Emulator) -> None:
    """Its own run has ended, and a sensor waits for it, or is scheduled."""
    ended = await run_in(Completed())
    waited_for, left = plant(emulator, ended), plant(emulator, ended)
    await run_in(Running(), wait_for_jobs, provider="aiware", job_ids=[waited_for])
    await run_in(Failed(), wait_for_jobs, provider="aiware", job_ids=[left])
    assert [row["job_id"] for row in await reap(emulator)] == [left]


async def test_callers_key_belongs_to_all_runs_that_use_it(emulator: Emulator) -> None:
    """The first run crashed, the second waits for its job: no orphan. Both crashed: one, which is not cancelled."""
    key = new_key()
    first, second = await run_in(Running()), await run_in(Running())
    job_id = plant(emulator, first, key)
    for run in (first, second):
        assert (await store_of(key, run.id)).flow_run_id == first.id
    await store_job(first, key, emulator, job_id)
    async with get_client() as client:
        await client.set_flow_run_state(first.id, Crashed(), force=True)
        assert await reap(emulator, action="cancel", dry_run=False) == []
        surplus = plant(emulator, first, key)
        [row] = await reap(emulator, action="cancel", dry_run=False)
        assert (row["job_id"], f"continues with job {job_id}" in row["why"]) == (surplus, True)
        await client.set_flow_run_state(second.id, Failed(), force=True)
    found = await reap(emulator, action="cancel", dry_run=False)
    assert {row["job_id"] for row in found} == {job_id, surplus}
    assert all("a caller's, and any run with that key" in row["done"] for row in found)
    assert emulator.ledger.cancels == []


async def test_living_run_that_uses_another_runs_key_keeps_its_job(emulator: Emulator) -> None:
    """It submitted for a key whose entries the first run keeps: the job is in that run's store, not in its own."""
    key = new_key()
    home, owner = await run_in(Running()), await run_in(Running())
    for run in (home, owner):
        await store_of(key, run.id)
    job_id, surplus = plant(emulator, owner, key), plant(emulator, owner, key)
    await store_job(home, key, emulator, job_id)
    assert [row["job_id"] for row in await reap(emulator)] == [surplus]


async def test_launch_without_a_label_is_found_by_its_run(emulator: Emulator) -> None:
    """On the caller's own target no job is labelled: the store of the run that ended badly names the job."""
    job = emulator.aiware.plant(fault=JobFault("stuck"))
    run, key = await run_in(Crashed()), new_key()
    location = {"target_id": "7", "engine_id": "e"}
    await store_job(run, key, emulator, job.id, operation="launchSingleEngineJob", location=location)
    [row] = await reap(emulator, action="cancel", dry_run=False)
    assert (row["job_id"], row["run"], row["done"]) == (job.id, str(run.id), "cancelled (status 'aborted').")


async def test_another_job_in_our_container_is_not_cancelled(emulator: Emulator) -> None:
    """A launch is labelled by its container, in which a person may start another job by hand."""
    run, key = await run_in(Crashed()), new_key()
    tdo = emulator.aiware.add_tdo({"details": Label(key, str(run.id)).to_json()})
    ours, theirs = [emulator.aiware.plant(target_id=tdo.id, fault=JobFault("stuck")).id for _ in range(2)]
    await store_job(run, key, emulator, ours, operation="launchSingleEngineJob")
    done = {row["job_id"]: row["done"] for row in await reap(emulator, action="cancel", dry_run=False)}
    assert done.keys() == {ours, theirs}
    assert "by hand" in done[theirs]
    assert [cancel.job_id for cancel in emulator.ledger.cancels] == [ours]
