"""A submission whose answer is lost, for each operation: the job is found, the create is repeated, or it is unknown."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import Label, LocalStore, errors
from graphql_jobs.emulator import Fault, JobFault, ManualClock
from graphql_jobs.providers.aiware import AiwareJobSpec, EngineJobSpec, EngineTask
from tests.clocks import DrivenClock, use_clock
from tests.graphql_jobs.submitting import (
    AUTO_LABEL,
    ENGINE,
    EXPORT,
    LABEL,
    LAUNCH,
    LOST,
    PROJECT,
    TASKS,
    jobs,
    kinds,
    submitted,
)

if TYPE_CHECKING:
    from blocks import AiwareCredentials, DatasaurCredentials
    from graphql_jobs import JobSpec
    from graphql_jobs.emulator import Emulator


class WrongClock(DrivenClock):
    """The clock of a machine that differs from the provider's."""

    def __init__(self, emulator: Emulator, ahead_s: float) -> None:
        assert isinstance(emulator.clock, ManualClock)
        super().__init__(emulator.clock)
        self.ahead_s = ahead_s

    def now(self) -> float:
        """Seconds since the epoch by this machine's clock."""
        return super().now() + self.ahead_s


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("spec", [TASKS, LAUNCH], ids=["createJob", "launch"])
async def test_lost_answer_of_aiware_is_found_again(
    spec: JobSpec, fault: Any, emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """The job is created but the answer is lost. The job is found on its target and adopted."""
    emulator.faults.add(Fault(fault, operation=spec.operation))
    handle = await submitted(aiware.get_client(), spec)
    assert [job.job_id for job in jobs(emulator)] == [handle.job_id]


@pytest.mark.parametrize("operation", ["createTDO", "createTDOWithAsset"])
async def test_container_with_a_lost_answer_is_made_again(
    operation: str, emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """The container is created twice, which does no harm. There is one job."""
    emulator.faults.add(Fault("drop_after", operation=operation))
    await submitted(aiware.get_client(), TASKS if operation == "createTDO" else LAUNCH)
    assert len(jobs(emulator)) == 1


@pytest.mark.parametrize("spec", ["createJob", "launchSingleEngineJob"])
async def test_lost_answer_on_a_shared_target_is_found_again(
    spec: str, emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """Other callers have jobs on the caller's own target: these are not adopted."""
    client = aiware.get_client()
    async with client:
        target_id = await client.create_target(startDateTime=1, stopDateTime=2)
    emulator.aiware.plant(target_id=target_id)
    emulator.aiware.plant(target_id=target_id, config=Label("gqj-another").to_json())
    one = {"createJob": AiwareJobSpec.of(tasks=[EngineTask(engine_id=ENGINE)], target_id=target_id)}
    one["launchSingleEngineJob"] = EngineJobSpec.of(engine_id=ENGINE, target_id=target_id)  # type: ignore[assignment]
    emulator.faults.add(Fault("drop_after", operation=spec))
    handle = await submitted(client, one[spec])
    assert [job.job_id for job in jobs(emulator)] == [handle.job_id]


async def test_job_that_becomes_visible_within_the_delay_is_found(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """The answer is lost, and no list has the job for 25 s: the search takes half a minute and finds the one job."""
    emulator.faults.add(Fault("drop_after", operation="createJob"), JobFault("not_visible", delay_s=25))
    handle = await submitted(aiware.get_client(), TASKS)
    assert [job.job_id for job in jobs(emulator)] == [handle.job_id]


async def test_job_that_was_not_made_is_sent_again_into_the_same_container(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """The connection breaks before the work: the search finds no job, and the create is sent again."""
    emulator.faults.add(Fault("drop_before", operation="createJob"))
    store = LocalStore()
    await submitted(aiware.get_client(), TASKS, store)
    assert len(jobs(emulator)) == 1
    assert emulator.ledger.count("createTDO") == 1
    assert kinds(await store.read(LABEL.key)) == ["intent", "container", "void", "intent", "handle"]


async def test_search_shorter_than_the_visibility_delay_is_undecided(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """10 s to find a job that may be hidden for 30 s: `SubmissionUnknown`, and nothing is sent again."""
    emulator.faults.add(Fault("drop_after", operation="createJob"), JobFault("not_visible", delay_s=60))
    with pytest.raises(errors.SubmissionUnknown, match="longer than this wait"):
        await submitted(aiware.get_client(), TASKS, wait_at_most_s=10)
    assert len(jobs(emulator)) == 1


async def test_several_jobs_with_one_key_are_reported(
    emulator: Emulator, aiware: AiwareCredentials, caplog: pytest.LogCaptureFixture
) -> None:
    """Another job with the same key was submitted by hand: the oldest is adopted, and the log names the other."""
    client, store = aiware.get_client(), LocalStore()
    async with client:
        target_id = await client.create_target(startDateTime=1, stopDateTime=2)
        handles = []
        for _ in range(2):
            handles.append(await client.submit(TASKS, LABEL, {"target_id": target_id, "exclusive": True}))
            await client.session.clock.sleep(1)
    now = emulator.clock.now()
    intent = {"kind": "intent", "by": "x", "at": now - 500, "provider": "aiware", "operation": "createJob"}
    await store.append(LABEL.key, 0, intent | {"key": LABEL.key, "spec": TASKS.summary(LABEL.key), "location": None})
    location = {"target_id": target_id, "exclusive": True}
    await store.append(LABEL.key, 1, {"kind": "container", "location": location, "at": now - 500})
    assert (await submitted(client, TASKS, store)).job_id == handles[0].job_id
    assert handles[1].job_id in caplog.text


async def test_two_launches_on_a_shared_target_cannot_be_told_apart(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """Two equal launches exist, and the submission's own cannot be identified."""
    client = aiware.get_client()
    async with client:
        target_id = await client.create_target(startDateTime=1, stopDateTime=2)
        spec = EngineJobSpec.of(engine_id=ENGINE, target_id=target_id)
        emulator.faults.add(Fault("drop_after", operation="launchSingleEngineJob"))
        emulator.faults.add(Fault("server_error", operation="jobs", skip=1, times=3))
        ours = asyncio.create_task(submitted(client, spec))
        while not jobs(emulator):  # noqa: ASYNC110 (the emulator has no event for it)
            await asyncio.sleep(0)
        await client.submit(spec)
        with pytest.raises(errors.SubmissionUnknown, match="it is not known which"):
            await ours
    assert len(jobs(emulator)) == 2


async def test_project_is_found_by_its_name(emulator: Emulator, datasaur: DatasaurCredentials) -> None:
    """The answer is lost: the search ends when the project exists, and the check of its handle says succeeded."""
    emulator.faults.add(Fault("drop_after", operation="createProject"))
    client = datasaur.get_client()
    handle = await submitted(client, PROJECT)
    assert handle.job_id.startswith("project:")
    async with client:
        seen = (await client.check([handle.job_id, "project:unknown"]))[handle.job_id]
    assert seen.state == "SUCCEEDED"  # type: ignore[union-attr]
    assert len(jobs(emulator, "createProject")) == 1


async def test_older_project_of_the_same_name_is_not_adopted(emulator: Emulator, datasaur: DatasaurCredentials) -> None:
    """Names are not unique at Datasaur: a project that existed before the intent is not adopted."""
    emulator.datasaur.plant_project("old", name="mine")
    emulator.faults.add(Fault("drop_before", operation="createProject"))
    handle = await submitted(datasaur.get_client(), PROJECT)
    assert "old" not in handle.job_id
    assert len(jobs(emulator, "createProject")) == 1


@pytest.mark.parametrize("ahead_s", [-7200, 7200])
async def test_project_is_found_if_the_clock_is_wrong(
    ahead_s: float, emulator: Emulator, datasaur: DatasaurCredentials
) -> None:
    """The machine's clock is two hours ahead or behind: the project is still found by its name, and created once."""
    emulator.datasaur.plant_project("old", name="mine")
    emulator.faults.add(Fault("drop_after", operation="createProject"))
    client = datasaur.get_client()
    use_clock(client.session, WrongClock(emulator, ahead_s))
    handle = await submitted(client, PROJECT)
    assert handle.job_id not in {"project:old", ""}
    assert len(jobs(emulator, "createProject")) == 1


async def test_export_is_sent_again(emulator: Emulator, datasaur: DatasaurCredentials) -> None:
    """Only the lost answer had the file's address, so a second export is made. It does no harm."""
    emulator.faults.add(Fault("drop_after", operation="exportTextProject"))
    handle = await submitted(datasaur.get_client(), EXPORT)
    assert handle.address("file_url")
    assert len(jobs(emulator, "exportTextProject")) == 2


@pytest.mark.parametrize("fault", [*LOST, "drop_before"])
async def test_auto_label_job_is_never_sent_again(
    fault: Any, emulator: Emulator, datasaur: DatasaurCredentials
) -> None:
    """It cannot be searched for: each attempt raises `SubmissionUnknown` with what was sent, when and what to do."""
    emulator.faults.add(Fault(fault, operation=AUTO_LABEL.operation))
    store, messages = LocalStore(), []
    for _ in range(3):
        with pytest.raises(errors.SubmissionUnknown) as caught:
            await submitted(datasaur.get_client(), AUTO_LABEL, store)
        messages.append(str(caught.value))
    assert len(set(messages)) == 1
    assert "project HvdyIL2iwZn" in messages[0]
    assert "Search Datasaur" in messages[0]
    assert emulator.ledger.count(AUTO_LABEL.operation) == 1
    assert kinds(await store.read(LABEL.key)) == ["intent", "unknown"]


async def test_on_unknown_resubmit_sends_a_second_job(emulator: Emulator, datasaur: DatasaurCredentials) -> None:
    """on_unknown="resubmit": the create is sent again, and later attempts get the same handle."""
    emulator.faults.add(Fault("drop_after", operation=AUTO_LABEL.operation))
    store = LocalStore()
    first = await submitted(datasaur.get_client(), AUTO_LABEL, store, on_unknown="resubmit")
    again = await submitted(datasaur.get_client(), AUTO_LABEL, store, on_unknown="resubmit")
    assert first.job_id == again.job_id
    assert len(jobs(emulator, AUTO_LABEL.operation)) == 2
