"""The commands of `graphql-jobs` that use Prefect: a credentials block by its name, and a run that is suspended."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from graphql_jobs.cli.app import app
from graphql_jobs.cli.exit_codes import ExitCode
from tests.suspending.conftest import SENSOR

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator
    from graphql_jobs.emulator.aiware.model import Job
    from tests.suspending.conftest import Runs

pytestmark = pytest.mark.prefect


async def run(*arguments: str) -> Any:
    return await asyncio.to_thread(CliRunner().invoke, app, arguments)


async def test_block_has_the_credentials_and_a_run_can_be_created_suspended(
    runs: Runs, job: Job, emulator: Emulator
) -> None:
    """`--block aiware` polls with the saved token; a second call with the same key prints the same run."""
    checked = await run("check", "--provider", "aiware", "--block", "aiware", "--json", job.id)
    assert checked.exit_code == ExitCode.NOT_ENDED, checked.output
    assert json.loads(checked.stdout)["job_id"] == job.id
    assert emulator.accounts.aiware_token not in checked.output
    absent = await run("check", "--provider", "aiware", "--block", "absent", job.id)
    assert absent.exit_code == ExitCode.BAD_INPUT
    assert "--block: there is no aiWARE Credentials block named 'absent'" in absent.stderr
    await runs.deployment("wait-for-jobs")
    options = ("--provider", "aiware", "--deployment", SENSOR, "--idempotency-key", "from a terminal")
    created = [await run("create-suspended-run", *options, job.id) for _ in range(2)]
    assert [one.exit_code for one in created] == [ExitCode.SUCCEEDED] * 2, created[0].output
    assert created[0].stdout == created[1].stdout
    kept = await runs.client.read_flow_run(UUID(created[0].stdout.strip()))
    assert kept.state is not None
    assert kept.state.name == "Suspended"
    assert kept.parameters["job_ids"] == [job.id]
