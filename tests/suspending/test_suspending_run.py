"""The run's side: when a run suspends itself, and how it goes on after it was resumed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prefect import flow
from prefect.flow_runs import asuspend_flow_run
from prefect.states import Suspended

from blocks import AiwareCredentials
from blocks.load import load_credentials
from graphql_jobs import JobHandle, require_success
from graphql_jobs.emulator import Fault, JobFault
from graphql_jobs.providers.aiware import EngineJobSpec
from tasks import submit_job, wait_for_job
from tasks.suspending import suspend
from tasks.suspending.watcher import Watcher
from tests.conftest import aiware_credentials
from tests.suspending.conftest import ENGINE, clock_of, finish, running_job, watch

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator
    from graphql_jobs.emulator.aiware.model import Job
    from tests.suspending.conftest import Runs

pytestmark = pytest.mark.prefect

#: What the flows of these tests have returned.
RETURNED: list[Any] = []
#: Credentials that are not saved. A token must not be a parameter.
UNSAVED: list[AiwareCredentials] = []


@flow(name="one wait")
async def one_wait(job_id: str) -> None:
    """A flow of a user's own."""
    credentials = await load_credentials("aiware", "aiware")
    handle = credentials.get_client().handle(job_id)
    RETURNED.append(require_success(await wait_for_job(credentials, handle, suspend=True, suspend_after_s=0)))


@flow(name="two waits")
async def two_waits(first: str, second: str) -> None:
    """One after the other."""
    await one_wait.fn(first)
    await one_wait.fn(second)


@flow(name="side by side")
async def side_by_side(first: str, second: str) -> None:
    """Two waits at the same time."""
    credentials = await load_credentials("aiware", "aiware")
    client = credentials.get_client()
    jobs = await asyncio.gather(
        *(wait_for_job(credentials, client.handle(one), suspend=True, suspend_after_s=0) for one in (first, second))
    )
    RETURNED.append([job.job_id for job in jobs])


@flow(name="sync")
def sync_flow(endpoint: str, job_id: str) -> None:
    """The wait is submitted to a thread."""
    credentials: Any = AiwareCredentials.load("aiware", _sync=True)  # type: ignore[call-arg]
    handle = JobHandle(provider="aiware", endpoint=endpoint, job_id=job_id)
    waiting: Any = wait_for_job.submit(credentials, handle, suspend=True, suspend_after_s=0)
    RETURNED.append(require_success(waiting.result()))


@flow(name="inner")
async def with_inner_flow(job_id: str) -> None:
    """The wait is in an inner flow."""
    await one_wait(job_id)


@flow(name="unsaved")
async def with_unsaved_block(job_id: str) -> None:
    """The watcher could not load the block."""
    credentials = UNSAVED[-1]
    for _ in range(2):
        await wait_for_job(credentials, credentials.get_client().handle(job_id), suspend=True, suspend_after_s=0)


@flow(name="retried", retries=1)
async def retried(upload_url: str) -> None:
    """The user's own retries."""
    credentials = await load_credentials("aiware", "aiware")
    spec = EngineJobSpec.of(engine_id=ENGINE["engine_id"], upload_url=upload_url)
    handle = await submit_job(credentials, spec)
    require_success(await wait_for_job(credentials, handle, suspend=True, suspend_after_s=0))


@pytest.fixture(autouse=True)
def returned() -> list[Any]:
    RETURNED.clear()
    return RETURNED


@pytest.fixture(autouse=True)
def short_time_after_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driven clock passes hours in a second."""
    monkeypatch.setattr(suspend, "_AFTER_RESUME_S", 1.0)


@pytest.mark.parametrize("case", ["no deployment", "inner flow", "unsaved block"])
async def test_run_that_cannot_be_suspended_waits_in_its_process(
    runs: Runs, emulator: Emulator, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    """Its log says why, once."""
    job_id = emulator.aiware.plant().id
    if case == "no deployment":
        await one_wait(job_id)
    elif case == "inner flow":
        assert (await runs.execute(await runs.create(with_inner_flow, {"job_id": job_id}))).name == "Completed"
    else:
        UNSAVED.append(aiware_credentials(emulator))
        assert (await runs.execute(await runs.create(with_unsaved_block, {"job_id": job_id}))).name == "Completed"
    told = [line for line in caplog.text.splitlines() if "waits in its process" in line]
    assert len(told) == 1
    assert {"no deployment": "no deployment", "inner flow": "an inner flow", "unsaved block": "not saved"}[
        case
    ] in told[0]


async def test_flow_with_two_waits_is_suspended_twice(runs: Runs, emulator: Emulator) -> None:
    """The second wait has a suspension of its own, and does not stay in the process."""
    ids = {"first": emulator.aiware.plant().id, "second": emulator.aiware.plant().id}
    run = await runs.create(two_waits, ids)
    for _ in range(2):
        assert (await runs.execute(run)).name == "Suspended"
        await watch(Watcher(clock=clock_of(emulator)))
    assert (await runs.execute(run)).name == "Completed"
    assert (await runs.names(run)).count("Suspended") == 2


async def test_waits_side_by_side_end_both(runs: Runs, emulator: Emulator) -> None:
    """The run is resumed as often as needed, and returns both jobs."""
    first, second = running_job(emulator), running_job(emulator)
    run = await runs.create(side_by_side, {"first": first.id, "second": second.id})
    assert (await runs.execute(run)).name == "Suspended"
    finish(first)
    finish(second)
    for _ in range(2):
        await watch(Watcher(clock=clock_of(emulator)))
        if (await runs.execute(run)).name == "Completed":
            break
    assert [[first.id, second.id]] == RETURNED


async def test_sync_flow_is_suspended_and_resumed(runs: Runs, emulator: Emulator, job: Job) -> None:
    """With `.submit(...).result()`: the code after the wait runs once."""
    endpoint = aiware_credentials(emulator).get_client().session.url
    run = await runs.create(sync_flow, {"endpoint": endpoint, "job_id": job.id})
    assert (await runs.execute(run)).name == "Suspended"
    assert RETURNED == []
    finish(job)
    await watch(Watcher(clock=clock_of(emulator)))
    assert (await runs.execute(run)).name == "Completed"
    assert [one.job_id for one in RETURNED] == [job.id]


async def test_run_resumed_by_hand_polls_and_suspends_itself_again(runs: Runs, watcher: Watcher, job: Job) -> None:
    """Before its job is done; after it, the run needs no watcher."""
    run = await runs.create(one_wait, {"job_id": job.id})
    assert (await runs.execute(run)).name == "Suspended"
    await runs.client.resume_flow_run(run.id)
    assert (await runs.execute(run)).name == "Suspended"
    await runs.client.resume_flow_run(run.id)
    finish(job)
    assert (await runs.execute(run)).name == "Completed"


async def test_job_that_ends_before_the_suspension_is_found_by_the_watcher(
    runs: Runs, watcher: Watcher, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends between the run's last poll and its suspension."""

    async def after_the_end(**options: Any) -> None:
        finish(job)
        await asuspend_flow_run(**options)

    monkeypatch.setattr(suspend, "asuspend_flow_run", after_the_end)
    run = await runs.create(one_wait, {"job_id": job.id})
    assert (await runs.execute(run)).name == "Suspended"
    await watch(watcher)
    assert (await runs.execute(run)).name == "Completed"


async def test_suspension_whose_response_is_lost_ends_the_process(
    runs: Runs, watcher: Watcher, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is sent again, and Prefect says that the run is suspended: the flow does not go on."""
    lost: list[bool] = []

    async def lose_one(**options: Any) -> None:
        if not lost:
            lost.append(True)
            suspended: Any = Suspended(pause_key=options["key"], timeout_seconds=99)
            await runs.client.set_flow_run_state(options["flow_run_id"], suspended)
            raise httpx.ReadError("lost")
        await asuspend_flow_run(**options)

    monkeypatch.setattr(suspend, "asuspend_flow_run", lose_one)
    run = await runs.create(one_wait, {"job_id": job.id})
    assert (await runs.execute(run)).name == "Suspended"
    assert RETURNED == []
    finish(job)
    await watch(watcher)
    assert (await runs.execute(run)).name == "Completed"


async def test_resumed_run_that_fails_is_retried_as_often_as_its_flow_says(runs: Runs, emulator: Emulator) -> None:
    """With retries=1 and a job that fails: the retry submits a second job, and suspends itself for it."""
    emulator.faults.add(JobFault("job_fails", times=1))
    run = await runs.create(retried, {"upload_url": ENGINE["upload_url"]})
    for _ in range(2):
        assert (await runs.execute(run)).name == "Suspended"
        await watch(Watcher(clock=clock_of(emulator)))
    assert (await runs.execute(run)).name == "Completed"
    made = [one for one in emulator.ledger.submissions if one.job_id]
    assert len(made) == 2


@pytest.mark.parametrize("answers_again", [True, False])
async def test_run_whose_provider_was_lost_polls_once_more(
    runs: Runs, emulator: Emulator, watcher: Watcher, job: Job, answers_again: bool
) -> None:
    """It goes on if the provider answers again; otherwise it ends with the watcher's detail, which names the budget."""
    run = await runs.sensor(job.id)
    emulator.faults.add(Fault("server_error", times=None))
    await watch(watcher)
    assert (await runs.state(run)).name == "Resuming"
    if answers_again:
        emulator.faults.clear()
        finish(job)
        assert (await runs.execute(run)).name == "Completed"
        return
    state = await runs.execute(run)
    assert state.name == "ProviderLost"
    assert "outage_budget_s=3600" in (state.message or "")


async def test_provider_lost_in_the_outcomes_names_the_watchers_budget(
    runs: Runs, emulator: Emulator, watcher: Watcher
) -> None:
    """Two jobs of the sensor: the message of the run names the outage budget, and not the shorter one."""
    run = await runs.sensor(running_job(emulator).id, running_job(emulator).id)
    emulator.faults.add(Fault("server_error", times=None))
    await watch(watcher)
    state = await runs.execute(run)
    assert state.name == "ProviderLost"
    assert (state.message or "").count("outage_budget_s=3600") == 2
