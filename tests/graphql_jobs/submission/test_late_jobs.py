"""Jobs that appear late, disappear, belong to another submission or are superseded: each key still has one job."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import Label, LocalStore, errors
from graphql_jobs.emulator import Fault, JobFault
from tests.graphql_jobs.submitting import (
    ENGINE,
    EXPORT,
    LABEL,
    LAUNCH,
    PROJECT,
    TASKS,
    jobs,
    kinds,
    on_target,
    recorded,
    shared_target,
    submitted,
)

if TYPE_CHECKING:
    from blocks import AiwareCredentials, DatasaurCredentials
    from graphql_jobs import JobClient, JobSpec
    from graphql_jobs.emulator import Emulator
    from graphql_jobs.store import Entry

OTHER = Label("gqj-another", "run-1")


async def cancelled(store: LocalStore, **more: Any) -> None:
    """A clean-up recorded the result of a person's cancel."""
    entry: Entry = {"kind": "cancelled", "of": "run-1/1", "message": "...", "by": "a clean-up", **more}
    assert await store.append(LABEL.key, len(await store.read(LABEL.key)), entry)


async def test_cancelled_job_that_is_gone_is_submitted_again(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """aiWARE no longer shows a cancelled job: the same run, run again, submits a new job and continues with it."""
    client, store = aiware.get_client(), LocalStore()
    first = await submitted(client, TASKS, store)
    await cancelled(store, confirmed=True)
    del emulator.aiware.jobs[first.job_id]
    second = await submitted(client, TASKS, store)
    assert second.job_id != first.job_id
    assert (await submitted(client, TASKS, store)).job_id == second.job_id
    assert len(jobs(emulator)) == 2


@pytest.mark.parametrize("more", [None, {}, {"confirmed": False}, {"confirmed": "yes"}])
@pytest.mark.parametrize("after_s", [0, 3600])
async def test_job_that_is_gone_without_a_cancel_is_not_submitted_again(
    after_s: float, more: dict[str, Any] | None, emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """No cancel, or a refused or unconfirmed one: the job may have run to its end. The error says what to do."""
    client, store = aiware.get_client(), LocalStore()
    first = await submitted(client, TASKS, store)
    if more is not None:
        await cancelled(store, **more)
    del emulator.aiware.jobs[first.job_id]
    emulator.clock.advance(after_s)
    assert await submitted(client, TASKS, store) == first
    assert len(jobs(emulator)) == 1
    async with client:
        assert "force_resubmit" in str((await client.check([first.job_id]))[first.job_id])


async def test_job_that_was_cancelled_and_started_again_by_hand_is_adopted(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """`retryJob` keeps the id: a running job is not submitted a second time."""
    client, store = aiware.get_client(), LocalStore()
    first = await submitted(client, TASKS, store)
    async with client:
        await client.cancel(first.job_id)
        await cancelled(store, confirmed=True)
        await client.retry(first.job_id)
    assert await submitted(client, TASKS, store) == first
    assert len(jobs(emulator)) == 1


@pytest.mark.parametrize("name", ["own container", "launch by address", "shared target"])
async def test_job_that_becomes_visible_after_it_was_given_up_is_adopted(
    name: str, emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """The answer is lost, the job is hidden too long and the next create is refused: the retry finds the job."""
    client, store = aiware.get_client(), LocalStore()
    spec = {"own container": TASKS, "launch by address": LAUNCH}.get(name)
    spec = spec or on_target("createJob", await shared_target(client))
    emulator.faults.add(
        Fault("drop_after", operation=spec.operation),
        Fault("body_too_large", operation=spec.operation),
        JobFault("not_visible", delay_s=100),
    )
    with pytest.raises(errors.RequestFailed):
        await submitted(client, spec, store)
    emulator.clock.advance(100)
    handle = await submitted(client, spec, store)
    assert [job.job_id for job in jobs(emulator)] == [handle.job_id]
    record = await recorded(store)
    assert record.handle == handle
    assert not record.void


async def test_project_that_becomes_visible_after_it_was_given_up_is_adopted(
    emulator: Emulator, datasaur: DatasaurCredentials
) -> None:
    """The same for a project, which is found by its name."""
    client, store = datasaur.get_client(), LocalStore()
    emulator.faults.add(
        Fault("drop_before", operation="createProject"), Fault("body_too_large", operation="createProject")
    )
    with pytest.raises(errors.RequestFailed):
        await submitted(client, PROJECT, store)
    late = emulator.datasaur.plant_project(name="mine")
    assert (await submitted(client, PROJECT, store)).job_id == f"project:{late.id}"
    assert jobs(emulator) == []


async def test_labelled_job_beside_one_that_failed_is_adopted(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """The first job appears only after the second was submitted and failed: the retry adopts the first."""
    client, store = aiware.get_client(), LocalStore()
    spec = on_target("createJob", await shared_target(client))
    emulator.faults.add(Fault("drop_after", operation="createJob"), JobFault("not_visible", delay_s=200))
    emulator.faults.add(JobFault("job_fails"))
    second = await submitted(client, spec, store)
    emulator.clock.advance(1000)
    first = await submitted(client, spec, store)
    assert [job.job_id for job in jobs(emulator)] == [first.job_id, second.job_id]
    assert (await recorded(store)).handled == {first.job_id, second.job_id}
    assert await submitted(client, spec, store) == first


async def test_hidden_launch_is_not_confused_with_another(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """The answer is lost and the job hidden; a job of another caller on the same target is visible and not adopted."""
    client = aiware.get_client()
    spec = on_target("launch", await shared_target(client))
    emulator.faults.add(Fault("drop_after", operation=spec.operation), JobFault("not_visible", delay_s=20))
    async with client:
        ours = asyncio.create_task(submitted(client, spec))
        while not jobs(emulator):  # noqa: ASYNC110 (the emulator has no event for it)
            await asyncio.sleep(0)
        await client.submit(spec)
        with pytest.raises(errors.SubmissionUnknown, match="it is not known which"):
            await ours
    assert len(jobs(emulator)) == 2


async def test_launch_is_adopted_only_when_no_other_can_hide(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """A visible job is adopted only after the visibility delay; a shorter wait names the job in its error."""
    client = aiware.get_client()
    spec = on_target("launch", await shared_target(client))
    clock: Any = client.session.clock
    emulator.faults.add(Fault("drop_after", operation=spec.operation, times=2))
    handle = await submitted(client, spec)
    assert clock.slept_s == pytest.approx(client.visibility_s)
    assert [job.job_id for job in jobs(emulator)] == [handle.job_id]
    with pytest.raises(errors.SubmissionUnknown, match=r"may be it, but it may .* longer than this wait"):
        await submitted(client, spec, wait_at_most_s=10)


async def test_another_process_launch_is_not_adopted_before_its_lease_ends(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """The launching process was killed: its job is adopted after lease and visibility delay, not at once."""
    client, store = aiware.get_client(), LocalStore()
    target_id = await shared_target(client)
    spec = on_target("launch", target_id)
    clock: Any = client.session.clock
    intent = {"kind": "intent", "by": "dead", "at": clock.now(), "provider": "aiware", "operation": spec.operation}
    intent |= {"key": LABEL.key, "spec": spec.summary(LABEL.key)}
    await store.append(LABEL.key, 0, intent | {"location": {"target_id": target_id, "engine_id": ENGINE}})
    async with client:
        launched = await client.submit(spec)
    assert (await submitted(client, spec, store)).job_id == launched.job_id
    assert clock.slept_s == pytest.approx(130 + client.visibility_s)
    assert len(jobs(emulator)) == 1


async def test_job_of_another_submission_in_the_store_is_not_adopted(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """A run launches two jobs on one target and one answer is lost: its job is the one that the other did not get."""
    client, store = aiware.get_client(), LocalStore()
    spec = on_target("launch", await shared_target(client))
    emulator.faults.add(Fault("drop_after", operation=spec.operation))
    await store.append("gqj-edited", 0, {"kind": "odd"})
    async with client:
        ours = asyncio.create_task(submitted(client, spec, store))
        while not jobs(emulator):  # noqa: ASYNC110 (the emulator has no event for it)
            await asyncio.sleep(0)
        other = await submitted(client, spec, store, label=OTHER)
        handle = await ours
    assert {handle.job_id, other.job_id} == {job.job_id for job in jobs(emulator)}
    assert handle.job_id != other.job_id


@pytest.mark.parametrize("spec", [TASKS, PROJECT, EXPORT], ids=["createJob", "project", "export"])
async def test_record_keeps_superseded_jobs(
    spec: JobSpec,
    emulator: Emulator,
    aiware: AiwareCredentials,
    datasaur: DatasaurCredentials,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Two runs force a new job each: the record names both superseded jobs, and the log says what to do."""
    client: JobClient = (aiware if spec is TASKS else datasaur).get_client()
    store = LocalStore()
    handles = [await submitted(client, spec, store)]
    assert (await recorded(store)).superseded == ()
    for run in ("run-2", "run-3"):
        caplog.clear()
        handles.append(await submitted(client, spec, store, force_resubmit=True, label=replace(LABEL, owner=run)))
        [warning] = [one for one in caplog.records if "superseded" in one.getMessage()]
        assert warning.levelname == "WARNING"
        assert handles[-2].job_id in warning.getMessage()
        assert "cancel it" in warning.getMessage()
    assert (await recorded(store)).superseded == tuple(handle.job_id for handle in handles[:2])


async def test_visible_job_of_unknown_outcome_is_superseded(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """A hidden job was given up, then a new one was forced: the old job appears and is recorded as superseded."""
    client, store = aiware.get_client(), LocalStore()
    emulator.faults.add(Fault("drop_after", operation="createJob"), JobFault("not_visible", delay_s=20))
    with pytest.raises(errors.SubmissionUnknown):
        await submitted(client, TASKS, store, wait_at_most_s=10)
    emulator.clock.advance(20)
    forced = await submitted(client, TASKS, store, force_resubmit=True)
    [hidden, new] = [job.job_id for job in jobs(emulator)]
    assert forced.job_id == new
    assert (await recorded(store)).superseded == (hidden,)


class SlowStore(LocalStore):
    """The first write takes `late_s` of the emulator's time."""

    def __init__(self, emulator: Emulator, late_s: float) -> None:
        super().__init__()
        self.emulator = emulator
        self.late_s = late_s
        self.sent: list[int] = []

    async def append(self, key: str, number: int, entry: Entry) -> bool:
        """Write slowly."""
        written = await super().append(key, number, entry)
        self.sent.append(len(self.emulator.ledger.submissions))
        late_s, self.late_s = self.late_s, 0.0
        self.emulator.clock.advance(late_s)
        return written


@pytest.mark.parametrize("late_s", [120, 3600])
async def test_nothing_is_sent_after_the_lease_has_ended(
    late_s: float, emulator: Emulator, datasaur: DatasaurCredentials
) -> None:
    """The machine was suspended while it wrote the intent: the intent is void, and a new one is written first."""
    store = SlowStore(emulator, late_s)
    await submitted(datasaur.get_client(), EXPORT, store)
    assert kinds(await store.read(LABEL.key)) == ["intent", "void", "intent", "handle"]
    assert store.sent == [0, 0, 0, 1]


async def test_refused_create_has_no_late_job(emulator: Emulator, datasaur: DatasaurCredentials) -> None:
    """The create is refused, and another caller makes a project with the name before the retry: it is not adopted."""
    client, store = datasaur.get_client(), LocalStore()
    emulator.faults.add(Fault("body_too_large", operation="createProject"))
    with pytest.raises(errors.RequestFailed):
        await submitted(client, PROJECT, store)
    theirs = emulator.datasaur.plant_project(name="mine")
    handle = await submitted(client, PROJECT, store)
    assert handle.job_id != f"project:{theirs.id}"
    assert len(jobs(emulator)) == 1


async def test_cancel_of_one_job_does_not_count_for_a_late_one(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """Job 1 was cancelled and job 2 appears late: if job 2 is hidden for a moment, no new job is submitted."""
    client, store = aiware.get_client(), LocalStore()
    spec = on_target("createJob", await shared_target(client))
    emulator.faults.add(Fault("drop_after", operation="createJob"), JobFault("not_visible", delay_s=200))
    second = await submitted(client, spec, store)
    await cancelled(store, confirmed=True)
    del emulator.aiware.jobs[second.job_id]
    emulator.clock.advance(1000)
    first = await submitted(client, spec, store)
    del emulator.aiware.jobs[first.job_id]
    assert await submitted(client, spec, store) == first
    assert len(jobs(emulator)) == 2
