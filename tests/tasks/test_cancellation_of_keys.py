"""The clean-up of runs that share a key, or that were deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Cancelling, Crashed

from blocks.runs import caller_keys
from blocks.runs.caller_keys import store_of
from graphql_jobs import Label, submit_once
from graphql_jobs.emulator import JobFault, Pace
from graphql_jobs.errors import InvalidInput
from tasks.cancelling.layers import cancel_jobs_of, clean_up_after
from tests.tasks.cancelled_runs import (
    TASKS,
    Forgetful,
    end,
    key_of,
    meanwhile,
    new_run,
    submit,
)

if TYPE_CHECKING:
    from blocks import AiwareCredentials
    from graphql_jobs.emulator import Emulator

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("one_prefect_client", "saved")]


async def test_job_of_another_living_run_is_left(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """A caller's key: the submitting run is active, so its job is left; once it has ended, the job is cancelled."""
    owner, guest = await new_run(), await new_run()
    job_id = await submit(aiware, TASKS, owner, "shared", await store_of(key_of("shared"), owner.id))
    assert await submit(aiware, TASKS, guest, "shared", await store_of(key_of("shared"), guest.id)) == job_id
    await end(guest)
    [sentence] = await clean_up_after(guest.id)
    assert f"left running, since run {owner.name!r} ({owner.id}) waits for it too" in sentence
    assert emulator.ledger.cancels == []
    await end(owner, Crashed())
    assert await clean_up_after(guest.id) == [f"aiWARE job {job_id}: cancelled (status 'aborted')."]


async def test_job_that_another_run_with_the_key_waits_for_is_left(
    aiware: AiwareCredentials, emulator: Emulator
) -> None:
    """The submitting run has ended, two others wait: the first cancel leaves the job, the second cancels it."""
    owner, first, second = [await new_run() for _ in range(3)]
    for run in (owner, first, second):
        job_id = await submit(aiware, TASKS, run, "guests", await store_of(key_of("guests"), run.id))
    await end(owner, Crashed())
    await end(first)
    [sentence] = await clean_up_after(first.id)
    assert sentence == f"aiWARE job {job_id}: left running, since run {second.name!r} ({second.id}) waits for it too."
    assert emulator.ledger.cancels == []
    await end(second, Cancelling())
    assert await cancel_jobs_of(second.id) == [f"aiWARE job {job_id}: cancelled (status 'aborted')."]


async def test_runs_that_are_cancelled_together_cancel_their_job(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """Both are Cancelling: neither counts as waiting, and the first clean-up cancels the job."""
    first, second = await new_run(), await new_run()
    for run in (first, second):
        job_id = await submit(aiware, TASKS, run, "both", await store_of(key_of("both"), run.id))
    for run in (first, second):
        await end(run, Cancelling())
    assert await cancel_jobs_of(second.id) == [f"aiWARE job {job_id}: cancelled (status 'aborted')."]


async def test_late_clean_up_leaves_the_newer_job_of_another_run(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """Run 1 of a key and its job are cancelled; run 2 submits a new one; then the clean-up of run 1 runs."""
    first, second = await new_run(), await new_run()
    old = await submit(aiware, TASKS, first, "again", await store_of(key_of("again"), first.id))
    await end(first, Cancelling())
    await cancel_jobs_of(first.id)
    new = await submit(aiware, TASKS, second, "again", await store_of(key_of("again"), second.id))
    await end(first)
    [sentence] = await clean_up_after(first.id)
    assert f"aiWARE job {new}: left running" in sentence
    assert [cancel.job_id for cancel in emulator.ledger.cancels] == [old]
    await end(second)
    assert await clean_up_after(second.id) == [f"aiWARE job {new}: cancelled (status 'aborted')."]


async def test_adopted_job_is_cancelled_with_the_run_that_adopted_it(
    aiware: AiwareCredentials, emulator: Emulator
) -> None:
    """Run 1's job failed, run 2 submitted a new one and crashed, and run 1 adopted that job: it belongs to run 1."""
    first, second = await new_run(), await new_run()
    key = key_of("taken over")
    old = await submit(aiware, TASKS, first, "taken over", await store_of(key, first.id))
    async with aiware.get_client() as client:
        await client.cancel(old)
    new = await submit(aiware, TASKS, second, "taken over", await store_of(key, second.id))
    await end(second, Crashed())
    assert await submit(aiware, TASKS, first, "taken over", await store_of(key, first.id)) == new != old
    await end(first)
    assert await clean_up_after(first.id) == [f"aiWARE job {new}: cancelled (status 'aborted')."]
    assert [cancel.job_id for cancel in emulator.ledger.cancels] == [old, new]


async def test_job_of_another_run_is_left_and_reported(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """Run 1's job failed, run 2 submitted a new one and crashed; run 1 did not adopt it, and is cancelled."""
    first, second = await new_run(), await new_run()
    key = key_of("not taken over")
    old = await submit(aiware, TASKS, first, "not taken over", await store_of(key, first.id))
    async with aiware.get_client() as client:
        await client.cancel(old)
    new = await submit(aiware, TASKS, second, "not taken over", await store_of(key, second.id))
    await end(second, Crashed())
    await end(first)
    [sentence] = await clean_up_after(first.id)
    assert sentence == f"aiWARE job {new}: left running, since it is the job of run {second.id}, not of this run."
    assert [cancel.job_id for cancel in emulator.ledger.cancels] == [old]


@pytest.mark.parametrize("hidden", ["job", "id"])
async def test_run_that_starts_to_use_the_key_meanwhile_keeps_the_job(
    hidden: str, aiware: AiwareCredentials, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins while the clean-up waits for the job to appear: the users are read again before the cancel is sent."""
    emulator.aiware.pace = Pace(queued_s=600)
    emulator.faults.add(JobFault("not_visible", delay_s=20))
    owner, guest = await new_run(), await new_run()
    what = f"meanwhile {hidden}"
    store = await store_of(key_of(what), owner.id)
    job_id = await submit(aiware, TASKS, owner, what, store if hidden == "job" else Forgetful(store.flow_run_id))
    await end(owner)

    async def begin() -> None:
        await store_of(key_of(what), guest.id)

    meanwhile(aiware, monkeypatch, begin)
    [sentence] = await clean_up_after(owner.id)
    assert sentence == f"aiWARE job {job_id}: left running, since run {guest.name!r} ({guest.id}) waits for it too."
    assert not any(cancel.accepted for cancel in emulator.ledger.cancels)
    await end(guest)
    assert await clean_up_after(guest.id) == [f"aiWARE job {job_id}: cancelled (status 'aborted')."]


async def test_replaced_job_is_cancelled_with_its_own_run(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """Run 2 forced a new job before run 1 recorded its own: the cancel of each run cancels its own job."""
    first, second = await new_run(), await new_run()
    key = key_of("replaced")
    store = await store_of(key, first.id)
    old = await submit(aiware, TASKS, first, "replaced", Forgetful(store.flow_run_id))
    await store_of(key, second.id)
    async with aiware.get_client() as client:
        label = Label(key, str(second.id))
        new = await submit_once(client, TASKS, store, label, credentials="aiware", force_resubmit=True)
        late = {"kind": "handle", "handle": client.handle(old).to_json(), "intent": 0, "by": "first"}
    assert await store.append(key, len(await store.read(key)), late)
    await end(first)
    said = await clean_up_after(first.id)
    assert f"aiWARE job {old}: cancelled (status 'aborted')." in said
    assert f"aiWARE job {new.job_id}: left running, since it is the job of run {second.id}, not of this run." in said
    assert sorted(await clean_up_after(first.id)) == sorted(said)
    assert [cancel.job_id for cancel in emulator.ledger.cancels] == [old]
    await end(second)
    assert await clean_up_after(second.id) == [f"aiWARE job {new.job_id}: cancelled (status 'aborted')."]


async def test_deleted_run_cannot_be_cleaned_up() -> None:
    """`InvalidInput`: its store was deleted with it."""
    run = await new_run()
    async with get_client() as api:
        await api.delete_flow_run(run.id)
    with pytest.raises(InvalidInput, match="there is no flow run"):
        await clean_up_after(run.id)


async def test_key_whose_runs_were_all_deleted_is_refused_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run with the key's entries is deleted: the next one keeps them, up to a bound, then the key is refused."""
    monkeypatch.setattr(caller_keys, "_MAX_HOMES", 2)
    key, guest = key_of("deleted"), await new_run()
    async with get_client() as api:
        guest = await new_run()
        for _ in range(2):
            home = await new_run()
            assert (await store_of(key, home.id)).flow_run_id == home.id
            await api.delete_flow_run(home.id)
        with pytest.raises(InvalidInput, match="2 runs kept its entries"):
            await store_of(key, guest.id)
