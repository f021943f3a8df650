"""What a clean-up does where several runs use one key, or the run is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Cancelling, Crashed

from blocks import memory
from blocks.memory import memory_of
from graphql_jobs.errors import InvalidInput
from tasks.cancellation import cancel_jobs_of, clean_up_after
from tests.tasks.cancelled_runs import (
    TASKS,
    end,
    key_of,
    new_run,
    submit,
)

if TYPE_CHECKING:
    from blocks import AiwareCredentials
    from graphql_jobs.emulator import Emulator

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("saved")]


async def test_a_job_of_another_living_run_is_that_runs(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """A caller's own key: the run that submitted goes on, so its job does; once it has ended, the job is cancelled."""
    owner, guest = await new_run(), await new_run()
    job_id = await submit(aiware, TASKS, owner, "shared", await memory_of(key_of("shared"), owner.id))
    assert await submit(aiware, TASKS, guest, "shared", await memory_of(key_of("shared"), guest.id)) == job_id
    await end(guest)
    [sentence] = await clean_up_after(guest.id)
    assert f"left running, since run {owner.name!r} ({owner.id}) waits for it too" in sentence
    assert emulator.ledger.cancels == []
    await end(owner, Crashed())
    assert await clean_up_after(guest.id) == [f"aiware job {job_id}: cancelled (status 'aborted')."]


async def test_a_job_that_another_guest_waits_for_is_left_to_it(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """The run that submitted has ended, two others wait: the first to be cancelled leaves it, the second does not."""
    owner, first, second = [await new_run() for _ in range(3)]
    for run in (owner, first, second):
        job_id = await submit(aiware, TASKS, run, "guests", await memory_of(key_of("guests"), run.id))
    await end(owner, Crashed())
    await end(first)
    [sentence] = await clean_up_after(first.id)
    assert sentence == f"aiware job {job_id}: left running, since run {second.name!r} ({second.id}) waits for it too."
    assert emulator.ledger.cancels == []
    await end(second, Cancelling())
    assert await cancel_jobs_of(second.id) == [f"aiware job {job_id}: cancelled (status 'aborted')."]


async def test_runs_that_are_cancelled_together_leave_the_job_to_none(
    aiware: AiwareCredentials, emulator: Emulator
) -> None:
    """Both are Cancelling: neither waits any more, and whichever cleans up first cancels."""
    first, second = await new_run(), await new_run()
    for run in (first, second):
        job_id = await submit(aiware, TASKS, run, "both", await memory_of(key_of("both"), run.id))
    for run in (first, second):
        await end(run, Cancelling())
    assert await cancel_jobs_of(second.id) == [f"aiware job {job_id}: cancelled (status 'aborted')."]


async def test_a_late_clean_up_leaves_the_job_that_another_run_submitted_since(
    aiware: AiwareCredentials, emulator: Emulator
) -> None:
    """The first run of a key is cancelled, its job too; the next submits anew; then the first's clean-up comes."""
    first, second = await new_run(), await new_run()
    old = await submit(aiware, TASKS, first, "again", await memory_of(key_of("again"), first.id))
    await end(first, Cancelling())
    await cancel_jobs_of(first.id)
    new = await submit(aiware, TASKS, second, "again", await memory_of(key_of("again"), second.id))
    await end(first)
    [sentence] = await clean_up_after(first.id)
    assert f"aiware job {new}: left running" in sentence
    assert [cancel.job_id for cancel in emulator.ledger.cancels] == [old]
    await end(second)
    assert await clean_up_after(second.id) == [f"aiware job {new}: cancelled (status 'aborted')."]


async def test_of_a_run_that_was_deleted_nothing_is_known() -> None:
    """`InvalidInput`: its memory went with it."""
    run = await new_run()
    async with get_client() as api:
        await api.delete_flow_run(run.id)
    with pytest.raises(InvalidInput, match="there is no flow run"):
        await clean_up_after(run.id)


async def test_a_key_whose_runs_were_all_deleted_is_not_looked_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each home of the key is gone: the next one counts, up to a bound, and then the key has to be another."""
    monkeypatch.setattr(memory, "_MAX_HOMES", 2)
    key, guest = key_of("deleted"), await new_run()
    async with get_client() as api:
        guest = await new_run()
        for _ in range(2):
            home = await new_run()
            assert (await memory_of(key, home.id)).flow_run_id == home.id
            await api.delete_flow_run(home.id)
        with pytest.raises(InvalidInput, match="2 runs kept what is known"):
            await memory_of(key, guest.id)
