"""After successful and failed flow runs, no secret is in clear in any log, in the database or in a file.

The fixture `prefect_server` searches the database and the files once more when all tests of its process have run.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

from graphql_jobs.emulator import Emulator, Fault, JobFault
from tests.conftest import TARGET_SECRET, Deploy, files_with_secrets
from tests.flows.conftest import SUBMITTING, WAITING, Run

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from prefect.client.schemas.objects import Log, State

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]


def secrets_of(emulator: Emulator) -> set[str]:
    """All secrets that this emulator issued or received."""
    accounts = emulator.accounts
    signatures = {file.signature for file in emulator.datasaur.files.values()}
    given = {accounts.aiware_token, accounts.datasaur_client_secret, TARGET_SECRET}
    return given | signatures | set(accounts._datasaur_tokens)


async def run_everything(run: Run, emulator: Emulator, downstream: str) -> State[Any]:
    """Run every flow, with success and with each failure that involves a secret. Returns the last run's state."""
    for case in SUBMITTING.values():
        await run(case, downstream=[downstream])
        emulator.faults.add(JobFault("job_fails"))
        await run(case)
        for kind in ("drop_after", "truncate", "internal_error", "unauthorized", "forbidden", "garbage"):
            emulator.faults.add(Fault(kind, operation=case.operation, times=None))
            await run(case)
            emulator.faults.clear()
    emulator.faults.add(Fault("server_error", operation="download", times=None))
    await run(SUBMITTING["export"])
    emulator.faults.clear()
    job_ids: list[Any] = [done.job_id for done in emulator.ledger.submissions if done.provider == "datasaur"]
    await run(WAITING, provider="datasaur", job_ids=job_ids, downstream=[downstream], start_downstream_when="always")
    await run(SUBMITTING["auto-label"], project_id="unknown")
    emulator.accounts.revoke_all()
    return await run(SUBMITTING["aiware engine"])


async def logs_until_the_end_of(run_id: UUID | None) -> list[Log]:
    """All logs at the server, once the last line of this run is there: Prefect sends logs every other second.

    `APILogHandler.aflush()` would send them at once, but does not always return.
    """
    assert run_id
    async with asyncio.timeout(120), get_client() as client:
        only = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))
        while not any("Finished in state" in log.message for log in await client.read_logs(only)):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        logs: list[Log] = []
        while page := await client.read_logs(limit=200, offset=len(logs)):  # the server's maximum page size
            logs += page
    return logs


async def test_no_secret_is_stored_in_clear(
    run: Run,
    emulator: Emulator,
    deploy: Deploy,
    prefect_server: Path,
    secrets: set[str],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Logs of the project and of Prefect at every level, the database with its journal, Prefect's home, the output."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="graphql_jobs")
    last = await run_everything(run, emulator, await deploy("after-everything"))
    known = secrets_of(emulator) | secrets
    logs = await logs_until_the_end_of(last.state_details.flow_run_id)
    printed = capfd.readouterr()
    found = {
        "the logs": [secret for secret in known if secret in caplog.text],
        "the logs at the server": [secret for secret in known if any(secret in log.message for log in logs)],
        "the output": [secret for secret in known if secret in printed.out + printed.err],
    }
    # A text that is not secret must be found in the same places, or nothing was searched.
    job_id = next(done.job_id for done in emulator.ledger.submissions if done.job_id)
    assert job_id in caplog.text
    assert any(job_id in log.message for log in logs)
    assert any(job_id.encode() in file.read_bytes() for file in prefect_server.parent.glob(f"{prefect_server.name}*"))
    secrets |= known
    assert files_with_secrets(prefect_server) == []
    assert {place: len(hits) for place, hits in found.items() if hits} == {}


async def test_libraries_log_no_secret_at_debug_level(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """gql logs each request's variables at DEBUG, and those of Datasaur's auto-label have the model's key."""
    caplog.set_level(logging.DEBUG)
    await run(SUBMITTING["auto-label"])
    assert TARGET_SECRET not in caplog.text
