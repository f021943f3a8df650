"""A clean-up after a lost answer does not cancel a job that a rule of the organisation started in the container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.schemas.actions import BlockDocumentUpdate

from blocks.api import ask
from graphql_jobs import errors
from graphql_jobs.emulator import Fault, JobFault
from graphql_jobs.providers.aiware import AiwareClient, EngineJobSpec
from tasks.cancelling.layers import clean_up_after
from tests.tasks.cancelled_runs import ENGINE_ID, TASKS, Forgetful, end, new_run, submit

if TYPE_CHECKING:
    from blocks import AiwareCredentials
    from graphql_jobs import JobSpec
    from graphql_jobs.emulator import Emulator

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("one_prefect_client", "saved")]

LAUNCH = EngineJobSpec.of(engine_id=ENGINE_ID, upload_url="https://media.example.com/a.mp4")
SPECS: dict[str, JobSpec] = {"createJob": TASKS, "launchSingleEngineJob": LAUNCH}


def ours(emulator: Emulator) -> list[str]:
    return [one.job_id for one in emulator.ledger.submissions if one.job_id]


async def _away(*_: Any) -> Any:
    """The lists of jobs cannot be read while the run is active."""
    raise errors.ServerFailed("aiware", "jobs", "", "HTTP 503")


@pytest.mark.parametrize("engine", [None, ENGINE_ID], ids=["another engine", "the same engine"])
@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
@pytest.mark.parametrize("name", SPECS)
async def test_job_of_a_rule_is_not_cancelled(
    name: str,
    kind: Any,
    engine: str | None,
    emulator: Emulator,
    aiware: AiwareCredentials,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run's own job is cancelled if it exists. The rule's job continues in both cases."""
    emulator.faults.add(JobFault("started_by_rule", word=engine, times=None), Fault(kind, operation=name, times=None))
    run = await new_run()
    with monkeypatch.context() as patch:
        patch.setattr(AiwareClient, "find", _away)
        with pytest.raises(errors.SubmissionUnknown):
            await submit(aiware, SPECS[name], run)
    await end(run)
    said = await clean_up_after(run.id)
    assert {cancel.job_id for cancel in emulator.ledger.cancels} == set(ours(emulator))
    assert len(ours(emulator)) == (kind == "drop_after")
    assert said


async def test_launch_that_may_be_the_job_of_a_rule_is_left_running(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """Two jobs of the engine after the launch: the sentence names both, and neither is cancelled."""
    emulator.faults.add(JobFault("started_by_rule", word=ENGINE_ID, delay_s=3))
    run = await new_run()
    await submit(aiware, LAUNCH, run, store=Forgetful(run.id))
    await end(run)
    await aiware.get_client().session.clock.sleep(10)
    [said] = await clean_up_after(run.id)
    assert "left running" in said
    assert "it is not known which" in said
    assert emulator.ledger.cancels == []
    assert len([job for job in emulator.aiware.jobs if job in said]) == 2


async def test_wrong_credentials_block_is_named_and_leaves_the_job(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """The token was emptied after the submission: the sentence names block and field, and no secret."""
    await aiware.asave("spoilt-since", overwrite=True)
    run = await new_run()
    await submit(aiware, TASKS, run, block="spoilt-since")
    await end(run)
    document = await ask(lambda api: api.read_block_document_by_name("spoilt-since", "aiware-credentials"))
    update = BlockDocumentUpdate(data={"base_url": "nowhere", "token": "a-s3cret"}, merge_existing_data=False)
    await ask(lambda api: api.update_block_document(document.id, update))
    [said] = await clean_up_after(run.id)
    assert "left as it is" in said
    assert "block 'spoilt-since': base_url: " in said
    assert "a-s3cret" not in said
    assert emulator.ledger.cancels == []
