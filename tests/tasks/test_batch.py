"""Parts of a batch, and of a time-out, that need no server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest

from graphql_jobs import CancelOutcome, Job, JobHandle, JobState, WaitPolicy
from graphql_jobs.errors import WaitTimedOut
from graphql_jobs.providers.datasaur import ExportSpec
from tasks import batch, timeout

if TYPE_CHECKING:
    from pathlib import Path


class Results:
    """A client whose results name the endpoint."""

    async def result(self, handle: JobHandle, *_: object) -> dict[str, Any]:
        return {"from": handle.endpoint}


async def test_jobs_of_one_id_on_two_endpoints_have_a_file_each(tmp_path: Path) -> None:
    """The stored result of the one is not taken for that of the other; a second attempt keeps both."""
    files: set[Path] = set()
    for _ in range(2):
        for endpoint in ("https://one.example.com/v3/graphql", "https://two.example.com/v3/graphql"):
            handle, client = JobHandle(provider="aiware", endpoint=endpoint, job_id="7"), Results()
            file = await batch._stored(client, handle, None, WaitPolicy(), tmp_path)  # type: ignore[arg-type]
            assert json.loads(file.read_text()) == {"from": endpoint}
            files.add(file)
    assert len(files) == 2


async def test_export_to_ones_own_storage_is_stored_as_its_location(tmp_path: Path) -> None:
    """It has no file on the worker: its JSON says where it is. A second attempt finds that, and asks no server."""
    handle = JobHandle(provider="datasaur", endpoint="https://x.invalid", job_id="7", operation=ExportSpec.operation)
    where = {"object_storage_id": "storage-1", "object_key": "all.zip"}
    client: Any = AsyncMock()
    client.result.return_value = where
    job = Job("datasaur", "7", JobState.SUCCEEDED, "DELIVERED")
    assert batch._stored_in(tmp_path, handle) is None
    for _ in range(2):
        file = await batch._stored(client, handle, job, WaitPolicy(), tmp_path)
        assert json.loads(file.read_text()) == where
        assert batch._stored_in(tmp_path, handle) == file
    assert client.result.await_count == 1


@pytest.mark.parametrize(("confirmed", "change"), [(True, "cancelled"), (False, "left-running")])
async def test_only_a_confirmed_cancel_is_an_event_of_a_cancelled_job(
    confirmed: bool, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiWARE accepts the cancel of a job that timed out, and the job runs on: the event says that it was left."""
    told: list[str] = []

    async def cancel_job(*_: object) -> CancelOutcome:
        return CancelOutcome("7", confirmed, "accepted")

    monkeypatch.setattr(timeout, "cancel_job", cancel_job)
    monkeypatch.setattr(timeout, "tell", lambda change, *_, **__: told.append(change))
    handle = JobHandle(provider="aiware", endpoint="https://one.example.com/v3/graphql", job_id="7")
    credentials: Any = None
    await timeout.after_timeout(WaitTimedOut("aiware", ["7"], 60.0, "total_s=60"), credentials, handle, "cancel")
    assert told == [change]
