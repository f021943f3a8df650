"""The flow that tries a credentials block out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from blocks import AiwareCredentials
from flows.check_connection import check_connection
from tests.flows.conftest import Case

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator
    from tests.flows.conftest import Run

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]


async def test_connection_of_a_saved_block_is_checked(run: Run, emulator: Emulator) -> None:
    """The state says as whom; an unknown block and a refused token end the run with what to change."""
    state = await run(Case(check_connection, "", {"provider": "aiware"}))
    assert state.name == "Completed"
    assert "answers as Emulator user of Emulator organization" in str(state.message)
    told = {"provider": "datasaur", "credentials": "typo"}
    state = await run(Case(check_connection, "", told))
    assert (state.name, "Saved ones: " in str(state.message)) == ("InvalidInput", True)
    await AiwareCredentials(base_url=emulator.url, token=SecretStr("of-yesterday")).asave("refused", overwrite=True)
    state = await run(Case(check_connection, "", {"provider": "aiware", "credentials": "refused"}))
    assert (state.name, "Renew the token" in str(state.message)) == ("RequestFailed", True)
    assert emulator.ledger.submissions == []
