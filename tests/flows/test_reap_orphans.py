"""`reap-orphans` finds each orphan and no other job, changes nothing in a dry run, and acts once if it runs twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import State, StateType
from prefect.states import Cancelled, Cancelling, Completed, Crashed, Failed, Paused, Pending, Running
from prefect.utilities.callables import parameter_schema

from blocks.runs.store import RunStore
from flows.wait_for_jobs import wait_for_jobs
from graphql_jobs import Label
from graphql_jobs.emulator import JobFault
from graphql_jobs.emulator.aiware.model import PlantedTask
from tasks.flow_runs import read_runs
from tasks.orphans.act import settle
from tasks.orphans.find import find_orphans
from tests.flows.orphans import (
    YOUNG_S,
    delete,
    ending,
    finding,
    new_key,
    plant,
    reap,
    run_in,
    store_job,
)
from tests.flows.orphans import emulator as emulator

if TYPE_CHECKING:
    from blocks import AiwareCredentials
    from graphql_jobs.emulator import Emulator
    from tests.conftest import Deploy, RunsOf

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("one_prefect_client", "saved")]


async def plant_orphans(emulator: Emulator) -> set[str]:
    """Create twenty orphans, of each kind."""
    orphans: set[str] = set()
    ends: list[State[Any]] = [Failed(), Crashed(), Cancelled(), Completed(), Failed(name="TimedOut")]
    for state in ends:
        run = await run_in(state)
        orphans |= {plant(emulator, run) for _ in range(2)} | {plant(emulator, run, status="running")}
    gone = await run_in(Running())
    await delete(gone)
    orphans |= {plant(emulator, gone), plant(emulator, gone, status="reprocessing"), plant(emulator, uuid4())}
    living, key = await run_in(Running()), new_key()
    await store_job(living, key, emulator, plant(emulator, living, key))
    return orphans | {plant(emulator, living, key), plant(emulator, living, key)}


async def plant_healthy(emulator: Emulator) -> None:
    """Create 499 healthy jobs, in addition to the one with two surplus jobs: of active runs, ended ones, and no run."""
    ended = [await run_in(Failed()), await run_in(Completed())]
    retried: State[Any] = State(type=StateType.SCHEDULED, name="AwaitingRetry")
    states = [Running(), Pending(), Paused(), Cancelling(), retried]
    living = [await run_in(state) for state in states]
    for number in range(400):
        plant(emulator, living[number % len(living)], status=["queued", "running"][number % 2])
    for number in range(69):
        plant(emulator, ended[number % 2], status=["complete", "failed", "cancelled", "aborted"][number % 4])
    for owner in ["", "not a run", *[""] * 8]:
        plant(emulator, owner)
    for number in range(20):  # another user's job
        emulator.aiware.plant(config=[None, {"graphql_jobs": "x"}][number % 2], fault=JobFault("stuck"))
    assert len(emulator.aiware.jobs) == 499 + 1  # the emulator has a sample job


async def everything(emulator: Emulator) -> dict[UUID, Any]:
    """Everything that `reap-orphans` could change in the runs that own jobs: their states and stores."""
    labels = [Label.in_json(job.config) for job in emulator.aiware.jobs.values()]
    owners = {UUID(label.owner) for label in labels if label and label.owner.count("-") == 4}
    runs = await read_runs(owners)
    return {run_id: (run.state_id, await RunStore(run_id).read_all("")) for run_id, run in runs.items()}


@pytest.mark.parametrize("action", ["report", "adopt", "cancel"])
async def test_twenty_orphans_are_found_among_five_hundred_healthy_jobs(
    action: str, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """All orphans and no other job, in a dry run with each action: nothing is changed, and the requests are few."""
    sensor = await deploy("wait-for-jobs", parameter_schema(wait_for_jobs).model_dump_for_openapi())
    started = {run.id for run in await runs_of(sensor)}
    await plant_healthy(emulator)
    orphans = await plant_orphans(emulator)
    assert (len(orphans), len(emulator.aiware.jobs) - 1) == (20, 520)
    before = await everything(emulator)
    found = await reap(emulator, action=action)
    assert Counter(row["job_id"] for row in found) == Counter(orphans)
    assert emulator.ledger.cancels == []
    assert emulator.ledger.submissions == []
    assert await everything(emulator) == before
    assert {run.id for run in await runs_of(sensor)} == started
    # Six pages of a hundred, an empty one, and one check.
    operations = Counter(record.operation[0] for record in emulator.ledger.requests)
    assert operations == {"jobs": 7, "job": 1}


@pytest.mark.walk
async def test_only_jobs_that_may_be_cancelled_are_cancelled(emulator: Emulator) -> None:
    """Twelve of the twenty are cancelled; running jobs are refused, those of unknown runs are left."""
    await plant_healthy(emulator)
    orphans = await plant_orphans(emulator)
    found = await reap(emulator, action="cancel", dry_run=False)
    done = {row["job_id"]: row["done"] for row in found}
    assert done.keys() == orphans
    cancelled = {cancel.job_id for cancel in emulator.ledger.cancels if cancel.accepted}
    refused = {cancel.job_id for cancel in emulator.ledger.cancels if not cancel.accepted}
    assert (len(cancelled), len(refused)) == (12, 5)
    assert {done[job_id] for job_id in cancelled} == {"cancelled (status 'aborted')."}
    assert all("refused by the provider" in done[job_id] for job_id in refused)
    assert all("another server may have it" in done[job_id] for job_id in orphans - cancelled - refused)
    again = await reap(emulator, action="report")
    assert {row["job_id"] for row in again} == orphans - cancelled


async def test_jobs_of_unknown_runs_are_cancelled_only_if_allowed(emulator: Emulator) -> None:
    """Allowed only if no other Prefect server uses the account, since the run may be there."""
    gone = plant(emulator, uuid4())
    [row] = await reap(emulator, action="cancel", dry_run=False, cancel_if_run_is_gone=True)
    assert (row["job_id"], row["why"]) == (gone, "its run was deleted, or belongs to another server.")
    assert [cancel.job_id for cancel in emulator.ledger.cancels] == [gone]


async def test_concurrent_runs_cancel_each_job_once(emulator: Emulator) -> None:
    """Ten orphans, three concurrent runs: ten accepted cancels, and no contrary finding."""
    run = await run_in(Crashed())
    orphans = {plant(emulator, run) for _ in range(10)}
    emulator.clock.advance(YOUNG_S + 60)
    both = await asyncio.gather(*[finding(action="cancel", dry_run=False) for _ in range(3)])
    accepted = Counter(cancel.job_id for cancel in emulator.ledger.cancels if cancel.accepted)
    assert accepted == Counter(orphans)
    done = {row["done"] for found in both for row in found if row["job_id"]}
    assert done == {"cancelled (status 'aborted')."}


async def test_concurrent_runs_adopt_each_job_once(emulator: Emulator, deploy: Deploy, runs_of: RunsOf) -> None:
    """Five orphans, three concurrent runs: five runs of the sensor, which the next run recognises."""
    sensor = await deploy("wait-for-jobs", parameter_schema(wait_for_jobs).model_dump_for_openapi())
    before = {run.id for run in await runs_of(sensor)}
    run = await run_in(Crashed())
    orphans = [plant(emulator, run) for _ in range(5)]
    emulator.clock.advance(YOUNG_S + 60)
    await asyncio.gather(*[finding(action="adopt", dry_run=False) for _ in range(3)])
    started = [one for one in await runs_of(sensor) if one.id not in before]
    assert sorted(one.parameters["job_ids"][0] for one in started) == sorted(orphans)
    assert {(one.parameters["provider"], one.parameters["credentials"]) for one in started} == {("aiware", "aiware")}
    # give_up_after_s counts from the job's creation.
    assert all(one.parameters["give_up_after_s"] > 24 * 3600 + YOUNG_S for one in started)
    assert await reap(emulator) == []
    async with get_client() as client:
        await client.set_flow_run_state(started[0].id, Failed(name="TimedOut"), force=True)
    [row] = await reap(emulator, action="adopt", dry_run=False)
    assert row["job_id"] == started[0].parameters["job_ids"][0]
    assert "ended: TimedOut" in row["done"]


async def test_adopting_run_hands_over(emulator: Emulator, deploy: Deploy, runs_of: RunsOf) -> None:
    """`downstream` is passed to the sensor; an unknown deployment is refused before anything starts."""
    sensor = await deploy("wait-for-jobs", parameter_schema(wait_for_jobs).model_dump_for_openapi())
    following = await deploy("after-adoption")
    job_id = plant(emulator, await run_in(Crashed()))
    refused = await ending(action="adopt", dry_run=False, downstream=["no/such"])
    assert refused.name == "InvalidInput"
    await reap(emulator, action="adopt", dry_run=False, downstream=[following])
    [one] = [one for one in await runs_of(sensor) if one.parameters["job_ids"] == [job_id]]
    assert one.parameters["downstream"] == [following]


async def test_missing_sensor_deployment_is_reported(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The orphan is found, with the reason why it could not be adopted."""
    monkeypatch.setattr("tasks.orphans.act.SENSOR", "never/deployed")
    plant(emulator, await run_in(Crashed()))
    [row] = await reap(emulator, action="adopt", dry_run=False)
    assert row["done"].startswith("not adopted: never/deployed: ObjectNotFound")


async def test_jobs_outside_of_the_window_are_left(emulator: Emulator) -> None:
    """Created 3 h, 1 h and 1 min ago; a window from 2 h to 10 min ago: only the second is found."""
    run, made = await run_in(Crashed()), []
    for pause_s in (7200, 3540, 60):
        made.append(plant(emulator, run))
        emulator.clock.advance(pause_s)
    found = await finding(from_hours_ago=2)
    assert [row["job_id"] for row in found if row["job_id"]] == [made[1]]
    found = await finding(from_hours_ago=4, to_minutes_ago=0)
    assert [row["job_id"] for row in found if row["job_id"]] == made


async def test_window_that_ends_before_it_begins_is_refused() -> None:
    """From one hour ago to two hours ago."""
    state = await ending(from_hours_ago=1, to_minutes_ago=120)
    assert (state.name, "from_hours_ago" in str(state.message)) == ("InvalidInput", True)


async def test_job_that_ended_or_was_deleted_is_no_orphan(emulator: Emulator) -> None:
    """The store names three jobs that no list shows: one has ended, one was deleted, one is still running."""
    run = await run_in(Crashed())
    ended = emulator.aiware.plant(status="complete", tasks=[PlantedTask()])
    left = emulator.aiware.plant(fault=JobFault("stuck"))
    for job_id in (ended.id, "job-that-nobody-knows", left.id):
        await store_job(run, new_key(), emulator, job_id)
    assert [row["job_id"] for row in await reap(emulator)] == [left.id]


async def test_run_that_is_retried_meanwhile_keeps_its_job(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """Crashed when it was read, retried before the cancel: left running."""
    run = await run_in(Crashed())
    plant(emulator, run)
    async with aiware.get_client() as client, get_client() as prefect:
        emulator.clock.advance(60)
        orphans = await find_orphans(client, emulator.clock.now() - 120, emulator.clock.now(), {})
        await prefect.set_flow_run_state(run.id, State(type=StateType.SCHEDULED, name="AwaitingRetry"), force=True)
        [row] = await settle(client, orphans, "cancel", dry_run=False, credentials="aiware")
    assert "started again" in str(row["done"])
    assert emulator.ledger.cancels == []


async def test_rows_are_published_as_an_artifact(emulator: Emulator) -> None:
    """One table under the key orphans; a row has the job, the reason, the action, and its run with a link."""
    run = await run_in(Crashed())
    job_id = plant(emulator, run)
    [row] = await reap(emulator, action="cancel")
    assert row["why"] == f"its run {run.name} ended: Crashed."
    assert (row["run"], row["done"], row["provider"]) == (str(run.id), "would be cancelled", "aiware")
    assert row["status"].startswith("PENDING (status 'queued')")
    async with get_client() as client:
        only = ArtifactFilter(key=ArtifactFilterKey(any_=["orphans"]))
        artifacts = await client.read_artifacts(artifact_filter=only)
    [mine] = [artifact for artifact in artifacts if job_id in str(artifact.data)]
    assert mine.type == "markdown"
    [shown] = [line for line in str(mine.data).splitlines() if job_id in line]
    assert f"[{run.name}](" in shown
    assert f"/runs/flow-run/{run.id})" in shown
    assert "would be cancelled" in shown
    assert "dry run" in (mine.description or "")


async def test_store_that_was_edited_by_hand_does_not_stop_the_others(emulator: Emulator) -> None:
    """An active run's entries cannot be read: its jobs are left alone, the other orphans are found."""
    strange = await run_in(Running())
    await RunStore(strange.id).append(new_key(), 0, {"kind": "nonsense"})
    plant(emulator, strange)
    left = plant(emulator, await run_in(Crashed()))
    assert [row["job_id"] for row in await reap(emulator)] == [left]


async def test_unreachable_provider_fails_the_run(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """Without a list, the run fails with the reason."""
    aiware.token = type(aiware.token)("wrong")
    await aiware.asave("aiware-wrong", overwrite=True)
    state = await ending(credentials="aiware-wrong")
    assert state.name == "RequestFailed"
