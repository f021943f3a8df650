"""Bad input that only Prefect's API or a client detects: an error names the parameter, and nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.flows.conftest import SUBMITTING, WAITING, Case, Run

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator
    from tests.conftest import Deploy

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

LABEL, EXPORT = SUBMITTING["auto-label"], SUBMITTING["export"]
FLOWS = {
    "engine": SUBMITTING["aiware engine"],
    "label": LABEL,
    "export": EXPORT,
    "project": SUBMITTING["project"],
    "wait": WAITING,
}


async def assert_refused(run: Run, emulator: Emulator, case: Case, changed: dict[str, Any], parameter: str) -> None:
    """The run is InvalidInput, its message names the parameter, and nothing was sent."""
    state = await run(case, **changed)
    assert state.is_failed(), state
    assert state.name == "InvalidInput"
    assert state.message is not None
    assert parameter in state.message
    assert "Traceback" not in state.message
    assert emulator.ledger.requests == []


@pytest.mark.parametrize("job_id", ["  ", "../bad id"])
async def test_malformed_job_id_is_refused(job_id: str, run: Run, emulator: Emulator) -> None:
    """Blanks or a path among valid ids: no request, not even for the valid ids."""
    await assert_refused(run, emulator, WAITING, {"job_ids": ["good", job_id]}, "job_ids")


async def test_all_wrong_parameters_are_named_together(run: Run) -> None:
    """Two mistakes in one form: the message of one run names both."""
    state = await run(EXPORT, role="BOSS", give_up_after_s=-1)
    assert state.message is not None
    assert "role: " in state.message
    assert "give_up_after_s: " in state.message


@pytest.mark.parametrize("case", FLOWS.values(), ids=FLOWS)
async def test_unknown_credentials_block_is_refused(case: Case, run: Run, emulator: Emulator) -> None:
    """A typo in the block's name: the message has the parameter, the name, and the saved blocks."""
    await assert_refused(run, emulator, case, {"credentials": "typo"}, "credentials: there is no")


async def test_unknown_model_is_refused(run: Run, emulator: Emulator) -> None:
    """The same for the block of the model that labels."""
    await assert_refused(run, emulator, LABEL, {"target_api": "typo"}, "target_api: there is no")


@pytest.mark.parametrize("case", FLOWS.values(), ids=FLOWS)
async def test_wrong_downstream_deployment_is_refused(case: Case, run: Run, emulator: Emulator, deploy: Deploy) -> None:
    """Missing, not in the form flow/deployment, or without the parameter `jobs`: refused before a job is submitted."""
    deaf = await deploy("deaf-to-jobs", {"type": "object", "properties": {"other": {"type": "string"}}})
    for name in ("not/there", "no-slash", deaf):
        await assert_refused(run, emulator, case, {"downstream": [name]}, "downstream: ")
