"""The commands of `graphql-jobs provider`."""

from __future__ import annotations

import json
import sys
from pathlib import Path  # noqa: TC003 (typer reads it)
from typing import TYPE_CHECKING, Annotated

import typer
from graphql import GraphQLError, build_client_schema, build_schema

from graphql_jobs.cli.exit_codes import ExitCode
from graphql_jobs.cli.output import print_error
from graphql_jobs.providers.declared import problems_of, read_declaration

if TYPE_CHECKING:
    from graphql import GraphQLSchema

provider_app = typer.Typer(help="Check providers that are declared in YAML.", no_args_is_help=True)


@provider_app.callback()
def provider() -> None:
    """Check providers that are declared in YAML."""


@provider_app.command("check")
def check_declaration(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The declaration, a YAML file.", show_default=False)],
    schema: Annotated[
        Path | None,
        typer.Option(help="The schema of the service: a file in the schema language, or the JSON of an introspection."),
    ] = None,
) -> None:
    """Check the declaration of a provider. Prints each problem on a line of its own; nothing is sent."""
    text = _read(file)
    try:
        known = _schema(_read(schema)) if schema else None
    except (ValueError, TypeError, KeyError, GraphQLError) as error:  # what graphql-core raises for wrong ones
        print_error(f"{schema} is no schema: {type(error).__name__}.")
        raise typer.Exit(ExitCode.BAD_INPUT) from None
    problems = problems_of(text, str(file), known)
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    if problems:
        raise typer.Exit(ExitCode.BAD_INPUT)
    declared = read_declaration(text, str(file))
    parts = [name for name in ("submit", "check", "find", "cancel", "result") if getattr(declared, name)]
    sys.stdout.write(f"{file} declares {declared.title}: {', '.join(parts)}.\n")


def _schema(text: str) -> GraphQLSchema:
    """Return the schema in a text. Raises `ValueError`, `TypeError`, `KeyError` or `GraphQLError`."""
    if not text.lstrip().startswith("{"):
        return build_schema(text)
    plain = json.loads(text)
    return build_client_schema(plain.get("data", plain))


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, ValueError) as error:
        print_error(f"{file} cannot be read: {type(error).__name__}.")
        raise typer.Exit(ExitCode.BAD_INPUT) from None
