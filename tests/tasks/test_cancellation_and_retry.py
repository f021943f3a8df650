"""The clean-up of a run that is retried meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prefect.states import AwaitingRetry, Running

from blocks.runs.store import RunStore
from graphql_jobs.emulator import JobFault, Pace
from tasks.cancelling.layers import clean_up_after
from tests.tasks.cancelled_runs import BY_HAND, TASKS, end, meanwhile, message_of, name_of, new_run, submit

if TYPE_CHECKING:
    from blocks import AiwareCredentials
    from graphql_jobs.emulator import Emulator

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("one_prefect_client", "saved")]


async def test_run_that_is_retried_during_the_clean_up_keeps_its_jobs(
    aiware: AiwareCredentials, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person clicks Retry while the clean-up waits for the job: no cancel, and the state does not change."""
    emulator.aiware.pace = Pace(queued_s=600)
    emulator.faults.add(JobFault("not_visible", delay_s=5))
    run = await new_run()
    job_id = await submit(aiware, TASKS, run)
    await end(run)
    meanwhile(aiware, monkeypatch, lambda: end(run, AwaitingRetry()))
    assert await clean_up_after(run.id) == [
        f"aiWARE job {job_id}: left as it is, since its run was started again meanwhile."
    ]
    assert not any(cancel.accepted for cancel in emulator.ledger.cancels)
    assert await name_of(run) == "AwaitingRetry"
    await end(run)  # cancelled again before it began: no record keeps the job
    assert await clean_up_after(run.id) == [f"aiWARE job {job_id}: cancelled (status 'aborted')."]


async def test_clean_up_of_an_earlier_cancel_leaves_later_jobs(
    aiware: AiwareCredentials, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retried and cancelled again while it waits: the same state, but another attempt."""
    emulator.aiware.pace = Pace(queued_s=600)
    emulator.faults.add(JobFault("not_visible", delay_s=5))
    run = await new_run()
    job_id = await submit(aiware, TASKS, run)
    await end(run)

    async def once_more() -> None:
        await end(run, Running())
        await end(run)

    meanwhile(aiware, monkeypatch, once_more)
    assert "started again" in (await clean_up_after(run.id))[0]
    assert await message_of(run) == BY_HAND.message
    assert await clean_up_after(run.id) == [f"aiWARE job {job_id}: cancelled (status 'aborted')."]


@pytest.mark.parametrize("then", ["running", "cancelled again"])
async def test_results_of_an_earlier_attempt_are_not_reported_again(
    then: str, aiware: AiwareCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled at the provider, and retried before that was reported: the new attempt's state does not change."""
    run = await new_run()
    await submit(aiware, TASKS, run)
    await end(run)
    append = RunStore.append

    async def appending(*args: Any) -> bool:
        done = await append(*args)
        await end(run, Running())
        if then == "cancelled again":
            await end(run)
        return done

    monkeypatch.setattr(RunStore, "append", appending)
    assert "cancelled (status" in (await clean_up_after(run.id))[0]
    assert await name_of(run) == ("Running" if then == "running" else "Cancelled")
    assert await message_of(run) == (None if then == "running" else BY_HAND.message)


async def test_only_confirmed_cancels_are_recorded_as_confirmed(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """A cancelled job is `confirmed`, so it is not adopted if it disappears. A running, refused one is not."""
    cancelled, refused = await new_run(), await new_run()
    await submit(aiware, TASKS, cancelled)
    await end(cancelled)
    await clean_up_after(cancelled.id)
    await submit(aiware, TASKS, refused)
    emulator.clock.advance(3)
    await end(refused)
    await clean_up_after(refused.id)
    for run, confirmed in ((cancelled, True), (refused, None)):
        [entries] = (await RunStore(run.id).read_all()).values()
        assert (entries[-1]["kind"], entries[-1].get("confirmed")) == ("cancelled", confirmed)
