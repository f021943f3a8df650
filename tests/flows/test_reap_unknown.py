"""Submissions of unknown outcome: the operation, the run, the time; and the artifact with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Crashed, Failed, Running

from blocks.runs.caller_keys import store_of
from blocks.runs.store import RunStore
from flows.run_datasaur_auto_label import run_datasaur_auto_label
from tests.flows.orphans import emulator as emulator
from tests.flows.orphans import new_key, run_in, store_job, unknown_of

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("one_prefect_client", "saved")]


async def test_submission_to_datasaur_of_unknown_outcome_is_reported(emulator: Emulator) -> None:
    """The answer to an auto-label job was lost: its run, operation and time are reported; also without aiWARE."""
    run, key = await run_in(Failed(name="SubmissionUnknown"), run_datasaur_auto_label), new_key()
    sent: dict[str, Any] = {
        "provider": "datasaur",
        "operation": "autoLabelTokenBasedProject",
        "subject": "project p1",
        "location": {},
    }
    await store_job(run, key, emulator, **sent)
    await RunStore(run.id).append(key, 1, {"kind": "unknown", "sent_at": "2026-01-02T03:04:05+00:00", "cause": "lost."})
    for parameters in ({}, {"credentials": None, "to_minutes_ago": 0}):
        [row] = await unknown_of(run, emulator, **parameters)
        assert (row["what"], row["provider"], row["done"]) == ("submission of unknown outcome", "datasaur", "reported")
        assert row["at"] == "2026-01-02T03:04:05+00:00"
        assert "autoLabelTokenBasedProject (project p1)" in row["why"]
        assert "lost." in row["why"]


async def test_crash_after_a_create_is_reported(emulator: Emulator) -> None:
    """An intent without further entries; resolved ones, and aiWARE's, whose list decides, are not reported."""
    run, open_key = await run_in(Crashed(), run_datasaur_auto_label), new_key()
    sent: dict[str, Any] = {"provider": "datasaur", "operation": "autoLabelTokenBasedProject", "location": {}}
    await store_job(run, open_key, emulator, **sent)
    resolved, void, ours = new_key(), new_key(), new_key()
    await store_job(run, resolved, emulator, "some-job", **sent)
    await store_job(run, void, emulator, **sent)
    await RunStore(run.id).append(void, 1, {"kind": "void"})
    await store_job(run, ours, emulator)
    [row] = await unknown_of(run, emulator)
    assert (row["key"], "ended before it recorded" in row["why"]) == (open_key, True)


async def test_unknown_outcome_in_another_runs_store_is_reported_once(emulator: Emulator) -> None:
    """Two runs with one caller's key, whose entries the first keeps: one finding for the key."""
    key = new_key()
    first, second = [await run_in(Running(), run_datasaur_auto_label) for _ in range(2)]
    for run in (first, second):
        await store_of(key, run.id)
    sent: dict[str, Any] = {"provider": "datasaur", "operation": "autoLabelTokenBasedProject", "location": {}}
    await store_job(first, key, emulator, **sent)
    async with get_client() as client:
        for run in (first, second):
            await client.set_flow_run_state(run.id, Failed(name="SubmissionUnknown", message="why"), force=True)
    found = [row for run in (first, second) for row in await unknown_of(run, emulator) if row["key"] == key]
    assert len({row["run"] for row in found}) == 1


async def test_run_with_an_empty_store_is_reported_by_its_state(emulator: Emulator) -> None:
    """SubmissionUnknown, and its entry could not be written: the state's message is reported."""
    run = await run_in(Failed(name="SubmissionUnknown", message="datasaur x, sent at noon"), run_datasaur_auto_label)
    [row] = await unknown_of(run, emulator)
    assert row["why"] == "datasaur x, sent at noon"
