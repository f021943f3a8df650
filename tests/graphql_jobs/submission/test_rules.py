"""Jobs that a rule of the organisation starts in the submission's container are never adopted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import LocalStore, errors
from graphql_jobs.emulator import Fault, JobFault
from graphql_jobs.job import JobState
from graphql_jobs.submission.search import find_again
from tests.graphql_jobs.submitting import ENGINE, LABEL, LAUNCH, LOST, TASKS, jobs, kinds, recorded, submitted

if TYPE_CHECKING:
    from blocks import AiwareCredentials
    from graphql_jobs import JobSpec
    from graphql_jobs.emulator import Emulator

SPECS: dict[str, JobSpec] = {"createJob": TASKS, "launchSingleEngineJob": LAUNCH}
OTHER = None
LATE_S = 3.0


def theirs(emulator: Emulator) -> list[str]:
    """The ids of the jobs that a rule started."""
    ours = {one.job_id for one in jobs(emulator)}
    containers = {one.target_id for one in emulator.ledger.submissions}
    return [job.id for job in emulator.aiware.jobs.values() if job.id not in ours and job.target_id in containers]


def rule(engine: str | None = OTHER, **fields: Any) -> JobFault:
    """A rule of the organisation for new recordings."""
    return JobFault("started_by_rule", word=engine, times=None, **fields)


@pytest.mark.parametrize("engine", [OTHER, ENGINE], ids=["another engine", "the same engine"])
@pytest.mark.parametrize("name", SPECS)
async def test_job_of_a_rule_is_not_adopted(
    name: str, engine: str | None, emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """The create is cut off before the work and a rule's job exists: the create is sent again."""
    emulator.faults.add(rule(engine), Fault("drop_before", operation=name))
    handle = await submitted(aiware.get_client(), SPECS[name])
    assert [one.job_id for one in jobs(emulator)] == [handle.job_id]
    assert theirs(emulator)


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("engine", [OTHER, ENGINE], ids=["another engine", "the same engine"])
@pytest.mark.parametrize("name", SPECS)
async def test_job_is_found_beside_the_job_of_a_rule(
    name: str, engine: str | None, kind: Any, emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """The job is created but the answer is lost: the submission's own job is found and adopted."""
    emulator.faults.add(rule(engine), Fault(kind, operation=name))
    handle = await submitted(aiware.get_client(), SPECS[name])
    assert [one.job_id for one in jobs(emulator)] == [handle.job_id]
    assert handle.job_id not in theirs(emulator)


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
@pytest.mark.parametrize("engine", [OTHER, ENGINE], ids=["another engine", "the same engine"])
async def test_label_tells_a_created_job_from_a_late_job_of_a_rule(
    engine: str | None, kind: Any, emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """A rule starts a job during the search: it has no label and is not adopted."""
    emulator.faults.add(rule(engine, delay_s=LATE_S), Fault(kind, operation="createJob"))
    handle = await submitted(aiware.get_client(), TASKS)
    assert [one.job_id for one in jobs(emulator)] == [handle.job_id]


async def test_launch_beside_one_that_a_rule_starts_late_is_unknown(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """Two jobs of the same engine after the launch: the submission's cannot be identified, and none is adopted."""
    client, store = aiware.get_client(), LocalStore()
    emulator.faults.add(
        rule(ENGINE, delay_s=LATE_S),
        Fault("drop_after", operation="launchSingleEngineJob"),
        Fault("server_error", operation="jobs", skip=1, times=6),
    )
    with pytest.raises(errors.SubmissionUnknown, match="The search failed"):
        await submitted(client, LAUNCH, store)
    await client.session.clock.sleep(60)
    with pytest.raises(errors.SubmissionUnknown, match="it is not known which"):
        await submitted(client, LAUNCH, store)
    assert len(jobs(emulator)) == len(theirs(emulator)) == 1


async def test_launch_is_unknown_where_another_rule_starts_jobs_late(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """A rule started a job of another engine after the launch, so the only job of our engine may be a rule's too."""
    client, store = aiware.get_client(), LocalStore()
    emulator.faults.add(
        rule(ENGINE, delay_s=LATE_S),
        rule(OTHER, delay_s=LATE_S),
        Fault("drop_before", operation="launchSingleEngineJob"),
    )
    with pytest.raises(errors.SubmissionUnknown, match="started there by someone else"):
        await submitted(client, LAUNCH, store)
    assert jobs(emulator) == []
    async with client:
        assert all(job.state is not JobState.CANCELLED for job in (await client.check(theirs(emulator))).values())  # type: ignore[union-attr]


async def test_record_of_an_earlier_version_adopts_no_job_beside_others(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """Its location has neither engine nor earlier jobs: of two jobs there, the submission's cannot be identified."""
    client, store = aiware.get_client(), LocalStore()
    handle = await submitted(client, LAUNCH, store)
    record = await recorded(store)
    record.location = {"target_id": record.location["target_id"], "exclusive": True}
    record.handled = frozenset()
    async with client:
        assert [one.job_id for one in await find_again(client, LABEL, record)] == [handle.job_id]
        emulator.aiware.plant(target_id=record.location["target_id"])
        with pytest.raises(errors.GraphqlJobsError, match="it is not known which"):
            await find_again(client, LABEL, record)


async def test_jobs_from_before_a_launch_are_written_with_the_container(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """The entry is written before the launch is sent, so the next attempt can read it."""
    store = LocalStore()
    emulator.faults.add(rule(ENGINE))
    await submitted(aiware.get_client(), LAUNCH, store)
    assert kinds(await store.read(LABEL.key)) == ["intent", "container", "handle"]
    assert (await recorded(store)).location["foreign_ids"] == theirs(emulator)
