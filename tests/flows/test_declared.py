"""A declared provider in Prefect: block, flow, sensor and clean-up, on a small server with the API of Dagster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from pydantic import SecretStr, ValidationError

from blocks import GraphqlJobProvider
from blocks.load import load_block
from flows.cancel_remote_jobs import cancel_remote_jobs
from flows.check_connection import check_connection
from flows.run_graphql_job import run_graphql_job
from flows.wait_for_jobs import wait_for_jobs
from tests.clocks import FakeClock, use_clock
from tests.graphql_jobs.providers.declared.runs_server import Runs
from tests.served import served
from tests.tasks.cancelled_runs import end, message_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from prefect.client.schemas.objects import FlowRun, State

    from tests.conftest import Deploy, RunsOf

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

DECLARATION = Path(__file__).parents[1] / "graphql_jobs" / "providers" / "declared" / "dagster.yaml"
TOKEN = "t0k3n-of-a-declared-provider"
VALUES = {"values": ["job=etl", "location=repo.py"], "credentials": "dagster"}


@pytest.fixture
async def dagster(secrets: set[str]) -> AsyncIterator[Runs]:
    """Dagster's server, and the saved block for it."""
    secrets.add(TOKEN)
    runs = Runs()
    async with served(runs.handle) as url:
        block = GraphqlJobProvider(base_url=url, declaration=DECLARATION.read_text(), token=SecretStr(TOKEN))
        await block.asave("dagster", overwrite=True)
        use_clock((await load_block(GraphqlJobProvider, "dagster", "credentials")).get_client().session, FakeClock())
        yield runs


async def ended(flow: Any, **parameters: Any) -> State[Any]:
    """The state in which the flow ends."""
    state: State[Any] = await flow(**parameters, return_state=True)
    return state


async def last_run(flow: Any) -> FlowRun:
    """The newest run of the flow."""
    async with get_client() as client:
        runs = await client.read_flow_runs()
    return max((run for run in runs if run.name.startswith(flow)), key=lambda run: run.created or 0)


async def test_flow_submits_once_waits_and_hands_over(dagster: Runs, deploy: Deploy, runs_of: RunsOf) -> None:
    """The answer to the create is lost: one run, found by its key. A second flow run with the key adopts it."""
    downstream = await deploy("after-dagster")
    dagster.fault = "lost"
    state = await ended(run_graphql_job, **VALUES, key="tonight", downstream=[downstream])
    outcome = await state.result()
    assert (outcome["provider"], outcome["state"]) == ("dagster", "SUCCEEDED")
    assert state.message is not None
    assert "Dagster job" in state.message
    [job_id] = dagster.runs
    assert dagster.runs[job_id]["values"]["job"] == "etl"
    assert [run.parameters["jobs"][0]["job_id"] for run in await runs_of(downstream)] == [job_id]
    assert (await (await ended(run_graphql_job, **VALUES, key="tonight")).result())["job_id"] == job_id
    assert list(dagster.runs) == [job_id]


async def test_failure_outage_and_wrong_values_end_in_their_states(dagster: Runs) -> None:
    """The word FAILURE, a refusal inside data, and a value that the declaration does not have."""
    dagster.words = ["STARTED", "FAILURE"]
    assert (await ended(run_graphql_job, **VALUES)).name == "JobFailed"
    dagster.fault = "refused"
    refused = await ended(run_graphql_job, **VALUES)
    assert (refused.name, "no such op" in str(refused.message)) == ("RequestFailed", True)
    wrong = await ended(run_graphql_job, credentials="dagster", values=["jobs=etl"])
    assert (wrong.name, wrong.message) == (
        "InvalidInput",
        "values.jobs: Dagster takes job, repository, location, config. Nothing was sent.",
    )


async def test_sensor_and_check_use_the_block_by_the_name_of_its_provider(dagster: Runs) -> None:
    """Two jobs that another submitted; another provider's name is refused."""
    client = (await load_block(GraphqlJobProvider, "dagster", "credentials")).get_client()
    async with client:
        spec = client.spec({"job": "etl", "location": "repo.py"})
        job_ids = [(await client.submit(spec)).job_id for _ in range(2)]
    dagster.calls.clear()
    state = await ended(wait_for_jobs, provider="dagster", job_ids=job_ids)
    assert {outcome["state"] for outcome in await state.result()} == {"SUCCEEDED"}
    assert dagster.calls == {"Runs": 3}
    assert (await ended(check_connection, provider="dagster")).name == "Completed"
    state = await ended(wait_for_jobs, provider="films", job_ids=job_ids, credentials="dagster")
    assert state.message == (
        "credentials: the block 'dagster' declares the provider dagster, not 'films'. Nothing was sent."
    )


async def test_clean_up_cancels_the_job_of_a_cancelled_run(dagster: Runs) -> None:
    """A run stopped waiting and was cancelled by hand: its job is cancelled at Dagster, and its state says so."""
    dagster.words = ["STARTED"]
    state = await ended(run_graphql_job, **VALUES, give_up_after_s=1)
    assert state.name == "TimedOut"
    run = await last_run("job of dagster")
    await end(run)
    await ended(cancel_remote_jobs, cancelled_run=str(run.id))
    assert [one["status"] for one in dagster.runs.values()] == ["CANCELED"]
    assert "cancelled" in str(await message_of(run))


async def test_wrong_declaration_is_refused_when_the_block_is_made(tmp_path: Path) -> None:
    """With the file, the line, the setting and what to write; a missing file and two declarations are refused, too."""
    text = DECLARATION.read_text()
    file = tmp_path / "dagster.yaml"
    file.write_text(text.replace("status: status", "status: state"))

    def refused(**fields: Any) -> str:
        with pytest.raises(ValidationError) as raised:
            GraphqlJobProvider(base_url="https://dagster.example.com", token=SecretStr(TOKEN), **fields)
        assert TOKEN not in str(raised.value)
        return str(raised.value)

    assert f"{file}, line 25: check.status: the document does not select runsOrError.results.state." in refused(
        declaration_file=str(file)
    )
    assert "declaration: give either the text or the file." in refused()
    assert "declaration: give either the text or the file." in refused(declaration=text, declaration_file=str(file))
    assert "declaration_file: it cannot be read: FileNotFoundError." in refused(declaration_file=str(tmp_path / "no"))
    assert "client_id: the sign-in of Dagster does not use it." in refused(declaration=text, client_id="me")
