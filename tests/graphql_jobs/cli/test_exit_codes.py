"""Exit codes, arguments and credentials of the commands, without a process."""

from __future__ import annotations

import inspect
import io
import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from graphql_jobs import JobHandle, errors
from graphql_jobs.cli.app import app
from graphql_jobs.cli.arguments import read_jobs
from graphql_jobs.cli.credentials import client_for
from graphql_jobs.cli.exit_codes import ExitCode, code_of, code_of_all
from graphql_jobs.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

#: Errors of submissions, and bases that nothing raises.
NOT_RAISED = {"GraphqlJobsError", "JobError", "JobEnded", "WaitStopped", "SubmissionUnknown"}
HANDLE = JobHandle(provider="aiware", endpoint="https://api.example.com/v3/graphql", job_id="1")


def test_every_error_has_an_exit_code() -> None:
    """A new class of errors without a code would end as "unexpected"."""
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, Exception)]
    codes = {kind.__name__: code_of(kind.__new__(kind)) for kind in kinds}
    assert {name for name, code in codes.items() if code is ExitCode.UNEXPECTED} == NOT_RAISED


def test_lowest_exit_code_of_several_jobs_counts() -> None:
    """A failed job is reported before one that timed out."""
    timed_out = errors.WaitTimedOut("aiware", ["1"], 60.0, "total_s=60")
    refused = errors.CancelRefused("aiware", "2", "it runs.")
    assert code_of_all([refused, timed_out]) is ExitCode.TIMED_OUT
    assert code_of(errors.ProviderLost("aiware", ["1"], 60.0, "outage_budget_s=60")) is ExitCode.UNREACHABLE
    assert code_of_all([]) is ExitCode.SUCCEEDED


@pytest.mark.parametrize("wrong", ["{", '{"provider": "aiware"}', "[1]", "[]", "[" * 100_000])
def test_handle_that_cannot_be_read_is_bad_input(wrong: str, tmp_path: Path) -> None:
    """The same on standard input, in a file, and as the argument."""
    file = tmp_path / "handles"
    file.write_text(wrong)
    for argument in ("-", str(file), wrong):
        with pytest.raises(InvalidInput):
            read_jobs([argument], io.StringIO(wrong))


def test_file_holds_one_value_or_one_per_line(tmp_path: Path) -> None:
    """A list of handles and ids, or the lines that a program appended."""
    one = HANDLE.model_dump_json()
    for text in (f'[{one}, "2"]', f'{one}\n"2"\n'):
        (tmp_path / "handles.json").write_text(text)
        assert read_jobs([str(tmp_path / "handles.json")], io.StringIO()) == [HANDLE, "2"]


async def test_block_needs_the_folder_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the core is there, without Prefect: the error says where the command works."""
    monkeypatch.setitem(sys.modules, "blocks.load", None)
    with pytest.raises(InvalidInput, match=r"--block: .* from the root of a clone"):
        await client_for("aiware", "aiware")


async def test_token_with_white_space_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """ "Bearer x" in AIWARE_TOKEN: the message names the variable, without the value."""
    monkeypatch.setenv("AIWARE_TOKEN", "Bearer s3cret")
    with pytest.raises(InvalidInput, match="AIWARE_TOKEN: it has white space") as raised:
        await client_for("aiware", None)
    assert "s3cret" not in str(raised.value)


async def test_handle_of_a_foreign_provider_is_bad_input() -> None:
    """A handle of another program: its provider is not known here."""
    with pytest.raises(InvalidInput, match="--provider: 'other' is not one of aiware, datasaur"):
        await client_for("other", None)


def test_unexpected_error_is_one_line_without_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug: no traceback, and the text of the error, which may hold a secret, is not shown."""

    async def broken(*_: object) -> None:
        raise KeyError("s3cret")

    monkeypatch.setattr("graphql_jobs.cli.app.client_for", broken)
    ended = CliRunner().invoke(app, ["check", "--provider", "aiware", "1"])
    assert ended.exit_code == ExitCode.UNEXPECTED
    assert ended.output.startswith("graphql-jobs: an unexpected KeyError at ")
    assert ended.output.count("\n") == 1
    assert "s3cret" not in ended.output
