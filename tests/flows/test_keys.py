"""A caller's own key: all runs with the key and the same spec share one job."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client

from blocks.load import load_credentials
from graphql_jobs.emulator import Emulator, JobFault
from graphql_jobs.errors import InvalidInput
from graphql_jobs.providers.datasaur import ExportSpec
from tasks import submit_job
from tests.conftest import aiware_credentials, datasaur_credentials
from tests.flows.conftest import ADOPTED, SUBMITTING, MakeRun, Run, jobs, made

if TYPE_CHECKING:
    from tests.conftest import Deploy, RunsOf

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("saved")]

LABEL = SUBMITTING["auto-label"]


@pytest.mark.parametrize("name", ADOPTED)
async def test_two_runs_with_one_key_share_one_job(
    name: str, run: Run, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """The second run continues with the first's job: one submission, both complete, one downstream run."""
    case, key = SUBMITTING[name], f"shared {name}"
    downstream = await deploy(f"after-shared-{name.replace(' ', '-')}")
    outcomes = []
    for given in (key, f"  {key} "):
        state = await run(case, key=given, downstream=[downstream])
        assert state.name == "Completed", state.message
        outcomes.append(await state.result())
    assert made(emulator) == case.makes
    assert [outcome["job_id"] for outcome in outcomes] == jobs(emulator) * 2
    assert len(await runs_of(downstream)) == 1


async def test_export_with_a_key_is_repeated_for_each_run(run: Run, emulator: Emulator) -> None:
    """Each run needs its own file, and an export does no harm: two exports."""
    for _ in range(2):
        assert (await run(SUBMITTING["export"], key="shared export")).name == "Completed"
    assert made(emulator) == ["exportTextProject"] * 2


@pytest.mark.parametrize("name", ADOPTED)
async def test_concurrent_runs_with_one_key_share_one_job(
    name: str, run: Run, live_emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """Three concurrent runs: one submits, the others adopt; one job, one downstream run."""
    await aiware_credentials(live_emulator).asave("live", overwrite=True)
    await datasaur_credentials(live_emulator).asave("live", overwrite=True)
    # The answer to the last state of a run may be lost. Prefect then sends the state again and takes the copy of the
    # server, which holds a result only if that is persisted.
    case = replace(SUBMITTING[name], flow=SUBMITTING[name].flow.with_options(persist_result=True))
    downstream = await deploy(f"after-a-race-{name.replace(' ', '-')}")
    given: dict[str, Any] = {"key": f"race {name}", "credentials": "live", "downstream": [downstream]}
    states = await asyncio.gather(*[run(case, **given) for _ in range(3)])
    assert [state.name for state in states] == ["Completed"] * 3, [state.message for state in states]
    [job_id] = jobs(live_emulator)
    assert {(await state.result())["job_id"] for state in states} == {job_id}
    assert len(await runs_of(downstream)) == 1


async def test_key_of_another_operation_is_another_key(run: Run, emulator: Emulator) -> None:
    """The same key for an engine, for tasks, a project and labels: four jobs."""
    for name in ADOPTED:
        assert (await run(SUBMITTING[name], key="one word for all")).name == "Completed"
    assert len(jobs(emulator)) == len(ADOPTED)


@pytest.mark.parametrize(
    ("name", "changed", "difference"),
    [
        ("auto-label", {"lines_per_request": 5}, "lines_per_request: 0 then, 5 now"),
        ("auto-label", {"role": "REVIEWER"}, "role: nothing then, 'REVIEWER' now"),
        ("aiware engine", {"engine_id": "another"}, "then, 'another' now"),
        ("aiware engine", {"target_id": "1", "upload_url": None}, "target_id: nothing then, '1' now"),
        ("aiware tasks", {"tasks": [{"engine_id": "another"}]}, "tasks: digest "),
        ("export", {"file_name": "another"}, "file_name: 'all' then, 'another' now"),
        ("project", {"name": "another"}, "name: 'new' then, 'another' now"),
    ],
)
async def test_key_that_was_used_for_another_job_is_refused(
    name: str, changed: dict[str, Any], difference: str, run: Run, emulator: Emulator
) -> None:
    """InvalidInput with the key, when it was used, and each field that differs, then and now. Nothing was sent."""
    key = f"conflict {name} {' '.join(changed)}"
    assert (await run(SUBMITTING[name], key=key)).name == "Completed"
    asked = len(emulator.ledger.requests)
    state = await run(SUBMITTING[name], **changed, key=key)
    message = str(state.message)
    assert (state.name, message.startswith("key: it was used at 20")) == ("InvalidInput", True)
    assert difference in message
    assert "Use another key" in message
    assert len(emulator.ledger.requests) == asked


async def test_renewed_signature_of_a_url_makes_no_other_job(run: Run, emulator: Emulator) -> None:
    """The same recording with a newly signed address is the same job; another recording is not."""
    case, address = SUBMITTING["aiware engine"], "https://media.example.invalid/b.mp4"
    for signature in ("one", "two"):
        state = await run(case, upload_url=f"{address}?signature={signature}", key="signed")
        assert state.name == "Completed", state.message
    assert made(emulator) == case.makes
    assert (await run(case, upload_url="https://media.example.invalid/c.mp4", key="signed")).name == "InvalidInput"


@pytest.mark.parametrize("key", ["", "  ", "k" * 201])
async def test_task_refuses_a_wrong_key(key: str, emulator: Emulator) -> None:
    """In a user's own flow: `InvalidInput` with the parameter's name, and nothing is sent."""

    @flow
    async def mine() -> Any:
        spec = ExportSpec(project_ids=["HvdyIL2iwZn"], file_name="x")
        return await submit_job(await load_credentials("datasaur", "datasaur"), spec, key)

    with pytest.raises(InvalidInput) as raised:
        await mine()
    assert raised.value.parameter == "key"
    assert emulator.ledger.requests == []


async def test_key_may_have_200_characters(run: Run) -> None:
    """The longest that is allowed works."""
    assert (await run(LABEL, key="k" * 200)).name == "Completed"


@pytest.mark.parametrize("name", ADOPTED)
async def test_key_survives_the_run_that_used_it_first(name: str, make_run: MakeRun, emulator: Emulator) -> None:
    """The first run is deleted with its record: the key still works, with a new job that others share."""
    case, key = SUBMITTING[name], f"outlives {name}"
    first = await make_run(case, key=key)
    assert (await first()).name == "Completed"
    async with get_client() as client:
        await client.delete_flow_run(first.id)
    for _ in range(2):
        state = await (await make_run(case, key=key))()
        assert state.name == "Completed", state.message
    assert made(emulator) == case.makes * 2


async def test_failed_job_of_a_key_is_submitted_again_by_any_run(run: Run, emulator: Emulator) -> None:
    """Run 1's job fails; run 2 with the key submits a second one, and run 3 continues with that."""
    emulator.faults.add(JobFault("job_fails"))
    states = [await run(LABEL, key="fails first") for _ in range(3)]
    assert [state.name for state in states] == ["JobFailed", "Completed", "Completed"]
    assert made(emulator) == LABEL.makes * 2


@pytest.mark.parametrize("name", ADOPTED)
async def test_forced_submission_is_a_new_job_once_per_run(name: str, make_run: MakeRun, emulator: Emulator) -> None:
    """Run 1 has a job. Run 2 forces a second one and keeps it when it is run again; run 3 continues with the second."""
    case, key = SUBMITTING[name], f"forced {name}"
    assert (await (await make_run(case, key=key))()).name == "Completed"
    forcing = await make_run(case, key=key, force_resubmit=True)
    states = [await forcing(), await forcing(), await (await make_run(case, key=key))()]
    assert [state.name for state in states] == ["Completed"] * 3, [state.message for state in states]
    assert len(jobs(emulator)) == 2
    assert made(emulator) == case.makes * 2
    assert len({(await state.result())["job_id"] for state in states}) == 1


@pytest.mark.parametrize("name", ADOPTED)
async def test_run_that_forces_in_each_attempt_has_one_job(name: str, make_run: MakeRun, emulator: Emulator) -> None:
    """There is no earlier job: its first job is the new one, and the next attempt adopts it."""
    forcing = await make_run(SUBMITTING[name], force_resubmit=True)
    assert [(await forcing()).name for _ in range(3)] == ["Completed"] * 3
    assert made(emulator) == SUBMITTING[name].makes


async def test_failed_forced_job_is_submitted_again_but_not_forced(make_run: MakeRun, emulator: Emulator) -> None:
    """The forced job fails, the next attempt submits another, and the one after that adopts it."""
    assert (await (await make_run(LABEL, key="forced and fails"))()).name == "Completed"
    emulator.faults.add(JobFault("job_fails"))
    forcing = await make_run(LABEL, key="forced and fails", force_resubmit=True)
    assert [(await forcing()).name for _ in range(3)] == ["JobFailed", "Completed", "Completed"]
    assert len(jobs(emulator)) == 3
