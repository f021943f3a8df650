"""Both providers with the emulator's faults: how a wait reads incomplete answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from graphql_jobs import errors
from graphql_jobs.emulator import Emulator, Fault, PlantedTask
from graphql_jobs.job import Job, JobState
from tests.clocks import use_clock
from tests.conftest import aiware_credentials, datasaur_credentials, driven

if TYPE_CHECKING:
    from graphql_jobs.emulator import FaultKind
    from graphql_jobs.handle import Seen
    from graphql_jobs.providers.base import JobClient

ODD: list[FaultKind] = ["data_null", "no_fields", "partial", "denied_member"]


def clients(emulator: Emulator) -> dict[str, tuple[JobClient, list[str]]]:
    """A client of each provider, and three jobs there."""
    found: dict[str, tuple[JobClient, list[str]]] = {
        "aiware": (aiware_credentials(emulator).get_client(), [emulator.aiware.plant().id for _ in range(3)]),
        "datasaur": (datasaur_credentials(emulator).get_client(), [emulator.datasaur.plant().id for _ in range(3)]),
    }
    for client, _ in found.values():
        use_clock(client.session, driven(emulator))
    return found


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", ["aiware", "datasaur"])
@pytest.mark.parametrize("kind", ODD)
async def test_odd_answer_is_never_an_absent_job(kind: FaultKind, name: str, count: int, emulator: Emulator) -> None:
    """With any shape of an answer, each job is read, or its poll failed."""
    emulator.faults.add(Fault(kind, times=None))
    client, job_ids = clients(emulator)[name]
    async with client:
        seen = await client.check(job_ids[:count])
    assert all(isinstance(one, Job | errors.RequestFailed) for one in seen.values())
    if kind == "denied_member" and count > 1:
        assert [type(seen[job_id]) for job_id in job_ids[1:count]] == [Job] * (count - 1)


@pytest.mark.parametrize("name", ["aiware", "datasaur"])
@pytest.mark.parametrize("kind", ["side_error", "cut_list"])
async def test_whole_answers_are_read_whatever_stands_beside_them(
    kind: FaultKind, name: str, emulator: Emulator
) -> None:
    """An error without a field, or truncated lists: all jobs are read, one at a time and together."""
    emulator.faults.add(Fault(kind, times=None))
    client, job_ids = clients(emulator)[name]
    async with client:
        for count in (1, 3):
            seen = await client.check(job_ids[:count])
            assert [type(one) for one in seen.values()] == [Job] * count


@pytest.mark.parametrize("bad", [None, 20, 40, 69])
@pytest.mark.parametrize(
    "fault",
    [
        Fault("cut_list", times=None),
        *(Fault("moved_list", skip=skip) for skip in range(4)),
    ],
)
async def test_failed_task_is_seen_however_the_lists_behave(fault: Fault, bad: int | None, emulator: Emulator) -> None:
    """Seventy tasks: truncated or shifted pages hide no failed task, and fail no job without one."""
    tasks = [PlantedTask("failed" if number == bad else "complete") for number in range(70)]
    job_id = emulator.aiware.plant(status="complete", tasks=tasks).id
    client = aiware_credentials(emulator).get_client()
    use_clock(client.session, driven(emulator))
    emulator.faults.add(fault)
    seen: Seen | None = None
    async with client:
        for _ in range(5):
            seen = (await client.check([job_id]))[job_id]
            if isinstance(seen, Job):
                break
            assert isinstance(seen, errors.BadReply)
    assert isinstance(seen, Job)
    assert seen.state is (JobState.SUCCEEDED if bad is None else JobState.FAILED)
    assert len(seen.tasks) == 70
