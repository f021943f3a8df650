"""Waiting for many jobs, and the ways in which such a wait ends."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest
from prefect import flow
from prefect.runtime import flow_run
from pydantic import SecretStr

import tasks
from blocks import AiwareCredentials, DatasaurCredentials
from graphql_jobs import Deadlines, Job, JobState, WaitPolicy
from graphql_jobs.emulator import Emulator, Fault, JobFault
from graphql_jobs.errors import CheckRefused, InvalidInput, JobNotFound, ProviderLost, WaitTimedOut
from tasks.until import succeeded
from tests.clocks import use_clock
from tests.conftest import driven
from tests.tasks.task_runs import task_run_names

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]


@flow
async def waiting(block: Any, job_ids: list[str], policy: WaitPolicy, until: Any = "all ended") -> Any:
    """A user's own flow."""
    return await tasks.wait_for_jobs(block, job_ids, policy, until)


# The parameters are objects, which pydantic does not check.
waiting.should_validate_parameters = False


async def test_each_job_ends_by_itself(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """Succeeded, failed, cancelled, stuck and unknown jobs together: each id has its own end."""
    plant = emulator.aiware.plant
    ids = {
        "good": plant().id,
        "failed": plant(fault=JobFault("job_fails")).id,
        "cancelled": plant(status="cancelled", tasks=[]).id,
        "stuck": plant(fault=JobFault("stuck")).id,
        "unknown": "no-such-job",
    }
    ended = await waiting(aiware, list(ids.values()), WaitPolicy(not_found_grace_s=5))
    how = {name: ended[job_id] for name, job_id in ids.items()}
    assert [how[name].state for name in ("good", "failed", "cancelled")] == [
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.CANCELLED,
    ]
    assert isinstance(how["stuck"], WaitTimedOut)
    assert isinstance(how["unknown"], JobNotFound)


async def test_first_failure_ends_the_wait(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """One of three fails at 7 s, another is stuck: with "first failure" the wait ends then, without the stuck job."""
    plant = emulator.aiware.plant
    good, failed, stuck = (
        plant(status="complete", tasks=[]).id,
        plant(fault=JobFault("job_fails")).id,
        plant(fault=JobFault("stuck")).id,
    )
    began_at = emulator.clock.now()
    ended = await waiting(aiware, [good, failed, stuck], WaitPolicy(), "first failure")
    assert list(ended) == [good, failed]
    assert emulator.clock.now() - began_at < 60


async def test_first_success_ends_the_wait(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """One of three failed before, one succeeds at 7 s, one is stuck: with "first success" the wait ends then."""
    plant = emulator.aiware.plant
    failed, good, stuck = plant(status="failed", tasks=[]).id, plant().id, plant(fault=JobFault("stuck")).id
    ended = await waiting(aiware, [failed, good, stuck], WaitPolicy(), "first success")
    assert list(ended) == [failed, good]


async def test_jobs_that_ended_are_returned_beside_those_that_timed_out(
    aiware: AiwareCredentials, emulator: Emulator
) -> None:
    """Two of 30 jobs are stuck: after the deadline 28 outcomes and two `WaitTimedOut`, in one task run."""
    good = [emulator.aiware.plant().id for _ in range(28)]
    stuck = [emulator.aiware.plant(fault=JobFault("stuck")).id for _ in range(2)]
    ended = await waiting(aiware, [*good, *stuck], WaitPolicy(deadlines=Deadlines(total_s=600)))
    assert {job_id for job_id, how in ended.items() if isinstance(how, WaitTimedOut)} == set(stuck)
    assert {job_id for job_id, how in ended.items() if succeeded(how)} == set(good)


async def test_ends_are_yielded_as_they_come_in_one_task_run(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """A flow processes each job when it has ended, while the others run, in one task run with a complete log."""
    early, late = emulator.aiware.plant(status="complete", tasks=[]).id, emulator.aiware.plant().id
    seen: list[tuple[str, float]] = []

    @flow
    async def mine() -> Any:
        began_at = emulator.clock.now()
        async for job_id, ended in tasks.jobs_as_they_end(aiware, [late, early]):
            assert succeeded(ended)
            seen.append((job_id, emulator.clock.now() - began_at))
        return flow_run.get_id()

    run_id = await mine()
    assert [job_id for job_id, _ in seen] == [early, late]
    assert seen[0][1] == 0 < seen[1][1]
    [name] = await task_run_names(run_id, 1)
    assert name == "wait for 2 aiWARE jobs"


async def test_flow_may_leave_the_loop_early(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """`break` after the first end: the task run completes, and the stuck job is polled no more."""
    early = emulator.aiware.plant(status="complete", tasks=[]).id
    stuck = emulator.aiware.plant(fault=JobFault("stuck")).id

    @flow
    async def mine() -> Any:
        async with aclosing(tasks.jobs_as_they_end(aiware, [early, stuck])) as ends:
            async for job_id, _ in ends:
                assert job_id == early
                break
        return flow_run.get_id(), len(emulator.ledger.requests)

    run_id, asked = await mine()
    assert len(await task_run_names(run_id, 1)) == 1
    assert len(emulator.ledger.requests) == asked


async def test_bad_input_is_raised_from_the_loop(aiware: AiwareCredentials) -> None:
    """An empty list: `InvalidInput`, as from `wait_for_jobs`."""

    @flow
    async def mine() -> None:
        async for _ in tasks.jobs_as_they_end(aiware, []):
            pass

    with pytest.raises(InvalidInput, match="the list is empty"):
        await mine()


async def test_unknown_job_is_a_failure_too(datasaur: DatasaurCredentials, emulator: Emulator) -> None:
    """ "first failure" with an unknown id: the wait ends after the grace, without the stuck job."""
    stuck = emulator.datasaur.plant(fault=JobFault("stuck")).id
    ended = await waiting(datasaur, [stuck, "nobody"], WaitPolicy(not_found_grace_s=5), "first failure")
    assert list(ended) == ["nobody"]


async def test_job_that_shows_late_is_not_lost(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """Not visible for 10 s after its submission, with a grace of 30 s: it succeeds."""
    job_id = emulator.aiware.plant(fault=JobFault("not_visible", delay_s=10)).id
    ended = await waiting(aiware, [job_id], WaitPolicy())
    assert ended[job_id].state is JobState.SUCCEEDED


@pytest.mark.parametrize("kind", ["server_error", "drop_before", "drop_after", "truncate", "garbage", "data_null"])
@pytest.mark.parametrize("provider", ["aiware", "datasaur"])
async def test_failed_poll_is_no_failed_job(
    kind: Any, provider: str, aiware: AiwareCredentials, datasaur: DatasaurCredentials, emulator: Emulator
) -> None:
    """Twenty polls in a row fail, more than one request's retries: the wait continues and the job succeeds."""
    block: Any = {"aiware": aiware, "datasaur": datasaur}[provider]
    world: Any = getattr(emulator, provider)
    job_id = world.plant().id
    for operation in ("job", "getJob", "getJobs"):
        emulator.faults.add(Fault(kind, operation=operation, times=20, status=503))
    ended = await waiting(block, [job_id], WaitPolicy())
    assert isinstance(ended[job_id], Job)
    assert ended[job_id].state is JobState.SUCCEEDED
    assert sum(record.fault == kind for record in emulator.ledger.requests) >= 20


async def test_outage_longer_than_its_budget_is_provider_lost(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """The provider always answers 503: `ProviderLost` after outage_budget_s, not a failed job."""
    job_id = emulator.aiware.plant().id
    emulator.faults.add(Fault("server_error", operation="job", times=None, status=503))
    began_at = emulator.clock.now()
    ended = await waiting(aiware, [job_id], WaitPolicy(outage_budget_s=300))
    assert isinstance(ended[job_id], ProviderLost)
    assert "may still finish" in str(ended[job_id])
    assert 300 <= emulator.clock.now() - began_at < 300 + 120


async def test_rejected_token_ends_the_wait_immediately(emulator: Emulator, secrets: set[str]) -> None:
    """The provider rejects the token: `CheckRefused` after one request, and no token in its text."""
    block = AiwareCredentials(base_url=emulator.url, token=SecretStr("not-the-right-token"))
    use_clock(block.get_client().session, driven(emulator))
    ended = await waiting(block, [emulator.aiware.plant().id], WaitPolicy())
    [failure] = ended.values()
    assert isinstance(failure, CheckRefused)
    assert "not-the-right-token" not in str(failure)
    assert len(emulator.ledger.requests) == 1


async def test_poll_of_a_thousand_jobs_takes_two_requests(datasaur: DatasaurCredentials, emulator: Emulator) -> None:
    """1,000 jobs that have all ended: one poll, which is two requests and one sign-in."""
    job_ids = [emulator.datasaur.plant(status="DELIVERED").id for _ in range(1000)]
    ended = await waiting(datasaur, job_ids, WaitPolicy())
    assert len(ended) == 1000
    assert emulator.ledger.count("getJobs") == 2
    assert len(emulator.ledger.requests) == 3
