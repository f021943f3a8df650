"""The package of docs/how-to/add-a-provider.md in Prefect: no file of this project knows its provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.types import SecretDict
from pydantic import SecretStr

from blocks.connection import ConnectionSettings
from blocks.load import load_credentials
from flows.cancel_remote_jobs import cancel_remote_jobs
from flows.check_connection import check_connection
from flows.wait_for_jobs import wait_for_jobs
from graphql_jobs.errors import InvalidInput
from tests.acme_page import installed
from tests.clocks import FakeClock, use_clock
from tests.graphql_jobs.providers.acme_server import Acme
from tests.served import served
from tests.tasks.cancelled_runs import end, message_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from prefect.client.schemas.objects import State

    from tests.conftest import Deploy, RunsOf

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

TOKEN = "t0k3n-of-an-installed-provider"
HEADER = "h3ader-of-an-installed-provider"


@pytest.fixture
async def server(secrets: set[str]) -> AsyncIterator[Acme]:
    """Acme's server, and the saved block `acme` for it."""
    secrets |= {TOKEN, HEADER}
    acme = Acme()
    async with served(acme.handle) as url:
        connection = ConnectionSettings(headers=SecretDict({"X-Gateway": HEADER}), read_s=45)
        block = installed().AcmeCredentials(base_url=url, token=SecretStr(TOKEN), connection=connection)
        await block.asave("acme", overwrite=True)
        use_clock((await load_credentials("acme", "acme")).get_client().session, FakeClock())
        yield acme


async def ended(flow: Any, **parameters: Any) -> State[Any]:
    """The state in which the flow ends."""
    state: State[Any] = await flow(**parameters, return_state=True)
    return state


async def test_installed_provider_needs_no_change_here(server: Acme, deploy: Deploy, runs_of: RunsOf) -> None:
    """Its block signs in, its flow adopts the job of a lost answer and hands it over, and the sensor waits for jobs."""
    assert (await load_credentials("acme", "acme")).get_client().session.limits.read_s == 45
    assert "answers as acme" in str((await ended(check_connection, provider="acme")).message)
    downstream = await deploy("after-acme")
    server.fault = "lost"
    state = await ended(installed().render_film, film="f-1", key="tonight", downstream=[downstream])
    outcome = await state.result()
    assert (outcome["provider"], outcome["job_id"], outcome["state"]) == ("acme", "r-0", "SUCCEEDED")
    assert str(state.message).startswith("Acme job r-0")
    assert [run.parameters["jobs"][0]["result"] for run in await runs_of(downstream)] == ['{"result_id": "file-1"}']
    assert (await (await ended(installed().render_film, film="f-1", key="tonight")).result())["job_id"] == "r-0"
    server.fault, server.words = "", ["WAITING", "BROKEN"]
    failed = await ended(installed().render_film, film="f-2")
    assert (failed.name, "film too long" in str(failed.message)) == ("JobFailed", True)
    sensed = await ended(wait_for_jobs, provider="acme", job_ids=["r-0", "r-1"])
    assert (sensed.name, list(server.renders)) == ("JobFailed", ["r-0", "r-1"])
    assert server.gateway == {HEADER}
    known = r"^provider: .*'films' is not built in or installed \(known: acme, aiware, datasaur\), and there is no"
    with pytest.raises(InvalidInput, match=known):
        await load_credentials("films", "films")


async def test_clean_up_cancels_the_job_of_an_installed_provider(server: Acme) -> None:
    """A run stopped waiting and was cancelled by hand: its render is stopped, and its state says so."""
    server.words = ["WAITING"]
    state = await ended(installed().render_film, film="f-3", give_up_after_s=1)
    assert state.name == "TimedOut"
    assert state.state_details.flow_run_id is not None
    async with get_client() as client:
        run = await client.read_flow_run(state.state_details.flow_run_id)
    await end(run)
    await ended(cancel_remote_jobs, cancelled_run=str(run.id))
    assert [render["status"] for render in server.renders.values()] == ["STOPPED"]
    assert "cancelled" in str(await message_of(run))
