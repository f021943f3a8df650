"""A flow run that is run again continues with its job, and hands over once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow

from blocks.load import load_credentials
from graphql_jobs.emulator import Emulator, Fault, JobFault, ManualClock
from graphql_jobs.providers.aiware import EngineJobSpec
from graphql_jobs.providers.datasaur import ExportSpec
from tasks import submit_job
from tests.clocks import use_clock
from tests.conftest import aiware_credentials, driven
from tests.flows.conftest import ADOPTED, ENGINE_ID, SUBMITTING, MakeRun, jobs, made

if TYPE_CHECKING:
    from tests.conftest import Deploy, RunsOf

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("saved")]

ENGINE_JOB = EngineJobSpec(engine_id=ENGINE_ID, upload_url="https://media.example.invalid/a.mp4")


@pytest.mark.parametrize("name", SUBMITTING)
async def test_failed_job_is_submitted_again(
    name: str, make_run: MakeRun, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """The job fails, a person clicks "Retry": a second job, which succeeds and is handed over; the first is not."""
    case = SUBMITTING[name]
    downstream = await deploy(f"after-a-second-{name.replace(' ', '-')}")
    run = await make_run(case, downstream=[downstream])
    emulator.faults.add(JobFault("job_fails"))
    assert (await run()).name == "JobFailed"
    assert made(emulator) == case.makes
    again = await run()
    assert again.name == "Completed", again.message
    assert made(emulator) == case.makes * 2
    first, second = jobs(emulator)
    assert first != second
    [started] = await runs_of(downstream)
    assert [entry["job_id"] for entry in started.parameters["jobs"]] == [second]


async def test_two_failed_jobs_make_a_third(make_run: MakeRun, emulator: Emulator) -> None:
    """Each attempt after a failed job submits exactly one more job; all have the same key."""
    run = await make_run(SUBMITTING["aiware tasks"])
    emulator.faults.add(JobFault("job_fails", times=2))
    assert [(await run()).name for _ in range(3)] == ["JobFailed", "JobFailed", "Completed"]
    assert list(emulator.ledger.jobs_by_key().values()) == [jobs(emulator)]
    assert len(jobs(emulator)) == 3


@pytest.mark.parametrize("name", ADOPTED)
async def test_retry_after_a_timeout_adopts_the_job(
    name: str, make_run: MakeRun, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """Given up after 2 s, the job ends later: the retry succeeds with it; one submission, one downstream run."""
    case = SUBMITTING[name]
    downstream = await deploy(f"after-late-{name.replace(' ', '-')}")
    run = await make_run(case, downstream=[downstream], give_up_after_s=2)
    state = await run()
    assert (state.name, "may still finish" in str(state.message)) == ("TimedOut", True)
    assert (await run()).name == "TimedOut"  # the deadline counts from the submission, not from the attempt
    assert await runs_of(downstream) == []
    emulator.clock.advance(600)
    again = await run()
    assert again.name == "Completed", again.message
    assert made(emulator) == case.makes
    assert emulator.ledger.cancels == []
    [started] = await runs_of(downstream)
    assert [entry["job_id"] for entry in started.parameters["jobs"]] == jobs(emulator)


@pytest.mark.parametrize("name", ADOPTED)
async def test_retry_after_success_submits_nothing(
    name: str, make_run: MakeRun, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """Completed twice with the same job: no second job, and no second downstream run."""
    case = SUBMITTING[name]
    downstream = await deploy(f"after-success-{name.replace(' ', '-')}")
    run = await make_run(case, downstream=[downstream])
    outcomes = []
    for _ in range(2):
        state = await run()
        assert state.name == "Completed", state.message
        outcomes.append(await state.result())
    assert outcomes[0]["job_id"] == outcomes[1]["job_id"]
    assert made(emulator) == case.makes
    assert len(await runs_of(downstream)) == 1


async def test_retry_sends_an_export_again(
    make_run: MakeRun, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """The file's address is a secret and is not kept: a second export, which does no harm; one downstream run."""
    downstream = await deploy("after-an-export-again")
    run = await make_run(SUBMITTING["export"], downstream=[downstream])
    assert [(await run()).name for _ in range(2)] == ["Completed", "Completed"]
    assert made(emulator) == ["exportTextProject"] * 2
    assert len(await runs_of(downstream)) == 1


@pytest.mark.parametrize("kind", ["redirect", "body_too_large"])
@pytest.mark.parametrize("name", SUBMITTING)
async def test_refused_submission_is_sent_by_the_next_attempt(
    name: str, kind: Any, make_run: MakeRun, emulator: Emulator
) -> None:
    """Refused, so nothing was started: RequestFailed; the next attempt submits one job."""
    case = SUBMITTING[name]
    emulator.faults.add(Fault(kind, operation=case.operation))
    run = await make_run(case)
    assert [(await run()).name for _ in range(2)] == ["RequestFailed", "Completed"]
    assert len(jobs(emulator)) == 1


@flow
async def twice() -> list[str]:
    """A user's own flow that submits two jobs."""
    credentials = await load_credentials("aiware", "aiware")
    return [(await submit_job(credentials, ENGINE_JOB)).job_id for _ in range(2)]


async def test_same_spec_twice_in_one_run_is_two_jobs(make_run: MakeRun, emulator: Emulator) -> None:
    """Two calls with one spec: two jobs under two keys; run again, the same two in the same order."""
    run = await make_run(twice)
    first, again = [await (await run()).result() for _ in range(2)]
    assert first == again == jobs(emulator)
    assert made(emulator) == ["createTDOWithAsset", "launchSingleEngineJob"] * 2
    assert list(emulator.ledger.jobs_by_key().values()) == [[job_id] for job_id in first]


async def test_retry_after_one_of_two_submissions_sends_only_the_second(make_run: MakeRun, emulator: Emulator) -> None:
    """The second of two is refused: the next attempt continues with the first and submits the second."""
    emulator.faults.add(Fault("forbidden", operation="launchSingleEngineJob", skip=1))
    run = await make_run(twice)
    assert (await run()).is_failed()
    [only] = jobs(emulator)
    first, second = await (await run()).result()
    assert (first, [first, second]) == (only, jobs(emulator))


async def test_two_runs_of_the_same_flow_are_two_jobs(make_run: MakeRun, emulator: Emulator) -> None:
    """Without a key, a job belongs to its run: the same parameters in another run give another job."""
    for _ in range(2):
        assert (await (await make_run(SUBMITTING["aiware engine"]))()).name == "Completed"
    assert [len(ids) for ids in emulator.ledger.jobs_by_key().values()] == [1, 1]


async def test_providers_in_another_order_keep_their_jobs(make_run: MakeRun, emulator: Emulator) -> None:
    """One spec to two installations, concurrently, so in any order: each attempt finds the same job at each."""
    order = ["here", "there"]

    @flow
    async def both() -> dict[str, str]:
        handles = {name: await submit_job(await load_credentials("aiware", name), ENGINE_JOB) for name in order}
        return {name: handle.job_id for name, handle in handles.items()}

    async with Emulator(clock=ManualClock(), seed=8) as other:
        for name, where in (("here", emulator), ("there", other)):
            credentials = aiware_credentials(where)
            use_clock(credentials.get_client().session, driven(where))
            await credentials.asave(name, overwrite=True)
        run = await make_run(both)
        first = await (await run()).result()
        order.reverse()
        assert await (await run()).result() == first
        assert (jobs(emulator), jobs(other)) == ([first["here"]], [first["there"]])


async def test_two_operations_on_one_project_are_two_jobs(make_run: MakeRun, emulator: Emulator) -> None:
    """Two exports in one run that differ only in their format: two submissions, each with its own key."""

    @flow
    async def formats() -> list[str]:
        credentials = await load_credentials("datasaur", "datasaur")
        specs = [ExportSpec(project_ids=["HvdyIL2iwZn"], file_name="all", format=word) for word in ("CSV", "TSV")]
        return [(await submit_job(credentials, spec)).job_id for spec in specs]

    run = await make_run(formats)
    assert await (await run()).result() == jobs(emulator)
    assert len({name.rpartition("-")[0] for name in await run.inputs()}) == 2
