"""The store of a run in Prefect's API: small, plain JSON, without secrets, deleted with the run."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client

from blocks.runs.store import RunStore
from graphql_jobs.emulator import Emulator, Fault
from tests.conftest import TARGET_SECRET
from tests.flows.conftest import ENGINE_ID, SUBMITTING, MakeRun, OneRun, made

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("saved")]

LABEL, ENGINE = SUBMITTING["auto-label"], SUBMITTING["aiware engine"]
SIGNED = "https://files.example.invalid/a.txt?signature=in-the-query-5ecret"
LONG = {"words": ["x" * 1000] * 20}
#: Large parameters, and the texts in them that must not be stored.
GIVEN: dict[str, dict[str, Any]] = {
    "aiware engine": {"upload_url": SIGNED, "template_fields": {f"field{number}": "x" * 200 for number in range(50)}},
    "aiware tasks": {"tasks": [{"engine_id": ENGINE_ID, "payload": {"url": SIGNED, **LONG}}] * 5, "job_config": LONG},
    "auto-label": {},
    "export": {"project_ids": ["HvdyIL2iwZn"] * 50},
    "project": {
        "name": "n" * 200,
        "documents": [{"name": f"{number}.txt", "external_url": SIGNED} for number in range(100)],
        "settings": {"tagNames": LONG["words"]},
    },
}


@pytest.mark.parametrize("name", SUBMITTING)
async def test_store_is_small_and_holds_no_secret(name: str, make_run: MakeRun, emulator: Emulator) -> None:
    """Each entry is below 2 kB with any spec; no token, no secret, no signature, no query of an address."""
    run = await make_run(SUBMITTING[name], **GIVEN[name], key=f"kept {name}")
    assert (await run()).name == "Completed"
    kept = {entry: json.dumps(value) for entry, value in (await run.inputs()).items()}
    assert {json.loads(text)["kind"] for text in kept.values()} >= {"intent", "handle"}
    assert max(map(len, kept.values())) < 2000
    accounts = emulator.accounts
    secrets = {
        *("signature", "5ecret", TARGET_SECRET, accounts.aiware_token, accounts.datasaur_client_secret),
        *accounts._datasaur_tokens,
        *(file.signature for file in emulator.datasaur.files.values()),
    }
    assert [secret for secret in secrets if any(secret in text for text in kept.values())] == []


@pytest.mark.parametrize("name", SUBMITTING)
async def test_store_is_deleted_with_its_run(name: str, make_run: MakeRun, prefect_server: Any) -> None:
    """After the run is deleted in the UI, the API returns no entries."""
    run = await make_run(SUBMITTING[name])
    assert (await run()).name == "Completed"
    assert await run.inputs()
    async with get_client() as client:
        await client.delete_flow_run(run.id)
    assert await run.inputs() == {}


async def test_refused_submission_leaves_a_note_that_nothing_was_started(make_run: MakeRun, emulator: Emulator) -> None:
    """Intent, then void: a later reader knows that there is no job."""
    emulator.faults.add(Fault("body_too_large", operation=LABEL.operation))
    run = await make_run(LABEL)
    assert (await run()).name == "RequestFailed"
    assert [entry["kind"] for entry in (await run.inputs()).values()] == ["intent", "void"]


async def replace_entry(run: OneRun, kind: str, change: Callable[[dict[str, Any]], str | None]) -> None:
    """Edit the entry of that kind by hand: to the text that `change` returns, or delete it if that is None."""
    [(name, entry)] = [(name, entry) for name, entry in (await run.inputs()).items() if entry["kind"] == kind]
    text = change(entry)
    async with get_client() as client:
        await client.delete_flow_run_input(run.id, name)
        if text is not None:
            await client.create_flow_run_input(run.id, name, text)


def with_handle(**changed: Any) -> Callable[[dict[str, Any]], str]:
    """Changes fields of the handle."""
    return lambda entry: json.dumps(entry | {"handle": entry["handle"] | changed})


EDITS: Mapping[str, tuple[str, Callable[[dict[str, Any]], str | None], str]] = {
    "another endpoint": ("handle", with_handle(endpoint="https://elsewhere.invalid/v3/graphql"), "elsewhere.invalid"),
    "another provider": ("handle", with_handle(provider="datasaur"), "the handle is for Datasaur"),
    "an id that is none": ("handle", with_handle(job_id="../jobs/1"), "does not look like a job id"),
    "an empty id": ("handle", with_handle(job_id=""), "edited by hand"),
    "a field too many": ("handle", with_handle(surprise=1), "edited by hand"),
    "no handle": ("handle", lambda entry: json.dumps({"kind": "handle", "by": entry["by"]}), "edited by hand"),
    "a kind that is none": ("handle", lambda entry: json.dumps(entry | {"kind": "surprise"}), "edited by hand"),
    "no JSON": ("handle", lambda _: "{", "cannot be read"),
    "no object": ("handle", lambda _: "7", "cannot be read"),
    "an intent without a time": ("intent", lambda entry: json.dumps(entry | {"at": "noon"}), "edited by hand"),
    "no intent": ("intent", lambda _: None, "store"),
    "a gap": ("container", lambda _: None, "store"),
}


@pytest.mark.parametrize("title", EDITS)
async def test_entry_that_was_edited_by_hand_is_refused(title: str, make_run: MakeRun, emulator: Emulator) -> None:
    """InvalidInput says what cannot be read; nothing is sent, and there is no second job."""
    kind, change, words = EDITS[title]
    run = await make_run(ENGINE)
    assert (await run()).name == "Completed"
    await replace_entry(run, kind, change)
    asked = len(emulator.ledger.requests)
    state = await run()
    assert (state.name, words in str(state.message)) == ("InvalidInput", True), state.message
    assert len(emulator.ledger.requests) == asked


def failing(monkeypatch: pytest.MonkeyPatch, kind: str, times: int = 1) -> None:
    """Prefect's API fails when an entry of that kind is to be written."""
    append, left = RunStore.append, [times]

    async def fails(self: RunStore, key: str, number: int, entry: Mapping[str, Any]) -> bool:
        if entry.get("kind") == kind and left[0]:
            left[0] -= 1
            raise ConnectionError("the API is down")
        return await append(self, key, number, entry)

    monkeypatch.setattr(RunStore, "append", fails)


@pytest.mark.parametrize("name", SUBMITTING)
async def test_nothing_is_submitted_before_its_intent_is_written(
    name: str, make_run: MakeRun, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect's API fails at the intent: the run fails and starts nothing; the next attempt submits one job."""
    case = SUBMITTING[name]
    failing(monkeypatch, "intent")
    run = await make_run(case)
    assert (await run()).is_failed()
    assert made(emulator) == []
    assert emulator.ledger.count(case.operation) == 0
    assert (await run()).name == "Completed"
    assert made(emulator) == case.makes


@pytest.mark.parametrize("name", ["aiware engine", "aiware tasks"])
async def test_no_job_is_submitted_before_its_container_is_written(
    name: str, make_run: MakeRun, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write fails after the container was created: no job is sent. The next attempt creates both."""
    case = SUBMITTING[name]
    failing(monkeypatch, "container")
    run = await make_run(case)
    assert (await run()).is_failed()
    assert made(emulator) == [case.container]
    assert (await run()).name == "Completed"
    assert made(emulator) == [case.container, *case.makes]


@pytest.mark.parametrize("name", SUBMITTING)
async def test_job_that_could_not_be_written_down_is_waited_for(
    name: str,
    make_run: MakeRun,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Prefect's API fails at the handle: the job runs, so the run continues and completes; the log says so."""
    case = SUBMITTING[name]
    failing(monkeypatch, "handle", times=100)
    run = await make_run(case)
    with caplog.at_level(logging.INFO):
        state = await run()
    assert state.name == "Completed", state.message
    assert made(emulator) == case.makes
    [said] = [record for record in caplog.records if "could not be recorded" in record.message]
    assert said.levelno == logging.ERROR
    assert (await state.result())["job_id"] in said.message


@pytest.mark.parametrize("name", ["aiware engine", "aiware tasks", "project"])
async def test_job_that_was_not_written_down_is_found_by_the_next_attempt(
    name: str, make_run: MakeRun, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its handle was not recorded: the next attempt finds the job at the provider, and submits none."""
    case = SUBMITTING[name]
    failing(monkeypatch, "handle")
    run = await make_run(case)
    assert [(await run()).name for _ in range(2)] == ["Completed", "Completed"]
    assert made(emulator) == case.makes
