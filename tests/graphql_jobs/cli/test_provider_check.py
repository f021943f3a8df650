"""`graphql-jobs provider check`: a declaration in a file, with a schema or without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from graphql import build_schema, introspection_from_schema
from typer.testing import CliRunner

from graphql_jobs.cli.app import app
from graphql_jobs.cli.exit_codes import ExitCode

HERE = Path(__file__).parents[1] / "providers" / "declared"
FILMS, SCHEMA = HERE / "films.yaml", HERE / "films.graphql"


def checked(*arguments: object) -> tuple[int, str]:
    """The exit code and the whole output."""
    ended = CliRunner().invoke(app, ["provider", "check", *map(str, arguments)])
    return ended.exit_code, ended.output


def test_good_declaration_is_summed_up() -> None:
    """One line with the parts that it declares."""
    assert checked(FILMS) == (
        ExitCode.SUCCEEDED,
        f"{FILMS} declares Films: submit, check, find, cancel, result.\n",
    )


@pytest.mark.parametrize("form", ["graphql", "json"])
def test_documents_are_checked_against_a_schema_of_either_form(tmp_path: Path, form: str) -> None:
    """The schema has a status that the declaration lacks."""
    schema = tmp_path / f"schema.{form}"
    text = SCHEMA.read_text()
    schema.write_text(
        text if form == "graphql" else json.dumps({"data": introspection_from_schema(build_schema(text))})
    )
    code, output = checked(FILMS, "--schema", schema)
    assert (code, output) == (
        ExitCode.BAD_INPUT,
        f"{FILMS}, line 28: states: PAUSED is missing. Write for each, for example, `WORD: RUNNING`.\n",
    )


@pytest.mark.parametrize("text", ["{", "{}", "[1]", "type Query {", "no schema"])
def test_wrong_schema_or_file_is_bad_input(tmp_path: Path, text: str) -> None:
    """One line on standard error, and no traceback."""
    schema = tmp_path / "schema"
    schema.write_text(text)
    code, output = checked(FILMS, "--schema", schema)
    assert (code, output.count("\n")) == (ExitCode.BAD_INPUT, 1)
    assert "is no schema" in output
    code, output = checked(tmp_path / "missing")
    assert (code, "missing cannot be read: FileNotFoundError." in output.replace("\n", "")) == (
        ExitCode.BAD_INPUT,
        True,
    )
