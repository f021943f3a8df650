"""The commands of `graphql-jobs`, against the emulator."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from typer.testing import CliRunner

from graphql_jobs import BearerToken, ClientCredentials
from graphql_jobs.cli.app import app
from graphql_jobs.cli.exit_codes import ExitCode
from graphql_jobs.emulator import Emulator, JobFault, Pace
from graphql_jobs.emulator.thread import in_thread
from graphql_jobs.providers.aiware import AiwareClient, EngineJobSpec
from graphql_jobs.providers.datasaur import DatasaurClient, ExportSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphql_jobs import JobHandle

ROOT = Path(__file__).parents[3]
ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
PROJECT_ID = "HvdyIL2iwZn"
PROGRAM = (sys.executable, "-m", "graphql_jobs.cli")


class Done(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def states(self) -> dict[str, str]:
        """The states of `--json`, by job."""
        return {row["job_id"]: row["state"] for row in map(json.loads, self.out.splitlines())}


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """Both services in a thread, and their credentials in the environment."""
    with in_thread(Emulator(seed=7, pace=Pace(queued_s=0.05, running_s=0.1))) as running:
        accounts = running.accounts
        monkeypatch.setenv("AIWARE_URL", running.url)
        monkeypatch.setenv("AIWARE_TOKEN", accounts.aiware_token)
        monkeypatch.setenv("DATASAUR_URL", running.url)
        monkeypatch.setenv("DATASAUR_CLIENT_ID", accounts.datasaur_client_id)
        monkeypatch.setenv("DATASAUR_CLIENT_SECRET", accounts.datasaur_client_secret)
        yield running


def run(emulator: Emulator, *arguments: str, stdin: str = "", **changed: str) -> Done:
    """Run a command in this process."""
    ended = CliRunner(env=changed).invoke(app, arguments, input=stdin)
    return checked(emulator, Done(ended.exit_code, ended.stdout, ended.stderr))


def checked(emulator: Emulator, done: Done) -> Done:
    """No output has a secret or a traceback."""
    shown, accounts = done.out + done.err, emulator.accounts
    for secret in (accounts.aiware_token, accounts.datasaur_client_secret, *accounts._datasaur_tokens):
        assert secret not in shown
    assert "Traceback" not in shown
    assert "unexpected" not in shown
    return done


def submit(emulator: Emulator, *faults: JobFault) -> JobHandle:
    """Start an aiWARE job, with faults."""
    emulator.faults.add(*faults)

    async def submitted() -> JobHandle:
        async with AiwareClient.connect(emulator.url, BearerToken(emulator.accounts.aiware_token)) as client:
            return await client.submit(EngineJobSpec(engine_id=ENGINE_ID, upload_url="https://media.example.com/a.mp3"))

    return asyncio.run(submitted())


def export(emulator: Emulator) -> JobHandle:
    """Start a Datasaur export."""
    accounts = emulator.accounts
    auth = ClientCredentials(
        f"{emulator.url}/api/oauth/token", accounts.datasaur_client_id, accounts.datasaur_client_secret
    )

    async def submitted() -> JobHandle:
        async with DatasaurClient.connect(emulator.url, auth) as client:
            return await client.submit(ExportSpec(project_ids=[PROJECT_ID], file_name="labels"))

    return asyncio.run(submitted())


def test_each_end_of_a_job_has_its_exit_code(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script reads 3 for a failed job and 8 for an unknown one; each reason is one line."""
    good = submit(emulator)
    failed = submit(emulator, JobFault("job_fails"))
    stuck = submit(emulator, JobFault("stuck"))
    cancelled = submit(emulator, JobFault("stuck"))
    zipped = export(emulator)
    monkeypatch.setattr("graphql_jobs.handle._urls", {})  # as in another process
    file = tmp_path / "handle.json"
    file.write_text(json.dumps(zipped.to_json()))
    of_aiware = ("--provider", "aiware")
    waited = (*of_aiware, "--max-poll-interval-s", "0.2")
    assert (run(emulator, "cancel", *of_aiware, cancelled.job_id)).code == ExitCode.SUCCEEDED
    assert (run(emulator, "wait", str(file))).code == ExitCode.SUCCEEDED
    wrong: dict[str, str] = {"AIWARE_TOKEN": "not-the-token"}
    cases: list[tuple[ExitCode, str, tuple[str, ...], dict[str, str]]] = [
        (ExitCode.SUCCEEDED, "", ("wait", *waited, good.job_id), {}),
        (ExitCode.FAILED, "", ("wait", *waited, good.job_id, failed.job_id, cancelled.job_id), {}),
        (ExitCode.FAILED, "FAILED", ("result", *of_aiware, failed.job_id), {}),
        (ExitCode.CANCELLED, "", ("check", *of_aiware, cancelled.job_id), {}),
        (ExitCode.TIMED_OUT, "", ("wait", *waited, "--give-up-after-s", "0.5", stuck.job_id), {}),
        (ExitCode.REFUSED, "", ("wait", *waited, stuck.job_id), wrong),
        (
            ExitCode.REFUSED,
            "come from the environment (AIWARE_URL, AIWARE_TOKEN)",
            ("result", *of_aiware, stuck.job_id),
            wrong,
        ),
        (ExitCode.REFUSED, "", ("cancel", "--provider", "datasaur", zipped.job_id), {}),
        (ExitCode.NOT_FOUND, "", ("check", *of_aiware, "26114799_nothing"), {}),
        (ExitCode.NO_RESULT, "Export again", ("result", str(file)), {}),
        (ExitCode.NOT_ENDED, "", ("check", *of_aiware, stuck.job_id), {}),
        (ExitCode.NOT_ENDED, "has not ended", ("result", *of_aiware, stuck.job_id), {}),
        (ExitCode.BAD_INPUT, "give one, such as --provider aiware", ("check", stuck.job_id), {}),
        (ExitCode.BAD_INPUT, "not aiware and datasaur", ("wait", *of_aiware, str(file)), {}),
        (ExitCode.BAD_INPUT, "AIWARE_TOKEN", ("check", *of_aiware, stuck.job_id), {"AIWARE_TOKEN": ""}),
        (ExitCode.BAD_INPUT, "DATASAUR_CLIENT_SECRET", ("wait", str(file)), {"DATASAUR_CLIENT_SECRET": ""}),
        (ExitCode.BAD_INPUT, "absent.json", ("check", *of_aiware, "absent.json"), {}),
        (ExitCode.BAD_INPUT, "No such option", ("check", "--colour"), {}),
    ]
    for code, reason, arguments, changed in cases:
        done = run(emulator, *arguments, **changed)
        assert done.code == code, (arguments, done)
        assert reason in done.err, arguments


def test_check_polls_all_jobs_in_one_request(emulator: Emulator) -> None:
    """Three jobs, one of them as JSON and one on standard input: one poll, three lines."""
    handles = [submit(emulator, JobFault("stuck")) for _ in range(3)]
    first, second, third = ((handle.job_id, json.dumps(handle.to_json())) for handle in handles)
    done = run(emulator, "check", "--json", "-", first[0], second[1], stdin=f"{third[1]}\n")
    assert done.states == dict.fromkeys([first[0], second[0], third[0]], "PENDING")
    assert emulator.ledger.count("job", "aiware") == 1


@pytest.mark.parametrize("is_terminal", [True, False])
def test_wait_prints_each_end_and_shows_its_progress(emulator: Emulator, *, is_terminal: bool) -> None:
    """A real process: results on standard output, bars (or, outside of a terminal, lines) on standard error."""
    handles = [submit(emulator), submit(emulator, JobFault("job_fails"))]
    text = "\n".join(handle.model_dump_json() for handle in handles)
    command = [*PROGRAM, "wait", "--json", "--max-poll-interval-s", "0.2", "-"]
    environment = os.environ | ({"FORCE_COLOR": "1"} if is_terminal else {"NO_COLOR": "1"})
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, input=text, capture_output=True, text=True, timeout=120, check=False
    )
    done = checked(emulator, Done(ended.returncode, ended.stdout, ended.stderr))
    assert done.code == ExitCode.FAILED
    assert done.states == {handles[0].job_id: "SUCCEEDED", handles[1].job_id: "FAILED"}
    assert ("jobs ended" in done.err) is is_terminal


def test_result_of_aiware_is_the_engines_records(emulator: Emulator) -> None:
    """Standard output is JSON alone, and `wait` prints no result."""
    as_json = submit(emulator).model_dump_json()
    waited = run(emulator, "wait", "--max-poll-interval-s", "0.2", "-", stdin=as_json)
    assert "  SUCCEEDED (status 'complete')" in waited.out
    done = run(emulator, "result", as_json)
    assert json.loads(done.out)["engine_results"]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Programs get SIGINT, also if the tests were started by a shell's `&`, which leaves it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_leaves_the_job_running(emulator: Emulator) -> None:
    """Exit code 130, a sentence, and no cancel."""
    handle = submit(emulator, JobFault("stuck"))
    command = [*PROGRAM, "wait", "--provider", "aiware", handle.job_id]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert handle.job_id in process.stderr.readline()  # the first poll
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
    done = checked(emulator, Done(process.returncode, out, err))
    assert done.code == ExitCode.INTERRUPTED
    assert "may still run" in done.err
    assert emulator.ledger.cancels == []
