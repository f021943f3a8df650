"""`python -m scripts.reference`: renew the tables in docs/ref that come from the code.

A table stands between `<!-- table: flow run-aiware-job -->` and `<!-- /table -->`. Flow parameters come from the flows'
signatures and docstrings, block fields from the blocks, errors from the classes, commands from the command line.
tests/test_reference.py fails when a table is not up to date or is missing.
"""

from __future__ import annotations

import inspect
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

import blocks
from blocks.connection import ConnectionSettings
from blocks.fields import WaitSettings
from flows.cancel_remote_jobs import cancel_remote_jobs
from flows.check_connection import check_connection
from flows.create_datasaur_project import create_datasaur_project
from flows.examples.nightly_labels import nightly_labels
from flows.examples.nightly_transcripts import nightly_transcripts
from flows.export_datasaur_projects import export_datasaur_projects
from flows.reap_orphans import reap_orphans
from flows.run_aiware_engine import run_aiware_engine
from flows.run_aiware_job import run_aiware_job
from flows.run_aiware_jobs import run_aiware_jobs
from flows.run_datasaur_auto_label import run_datasaur_auto_label
from flows.run_datasaur_export import run_datasaur_export
from flows.run_graphql_job import run_graphql_job
from flows.store_results import store_results
from flows.wait_for_jobs import wait_for_jobs
from flows.watch_suspended_runs import watch_suspended_runs
from graphql_jobs import errors
from graphql_jobs.cli.app import app
from graphql_jobs.cli.credentials import VARIABLES
from graphql_jobs.cli.exit_codes import MEANINGS
from graphql_jobs.providers.aiware import EngineTask, NewTarget, Route
from graphql_jobs.providers.aiware.specs import ExecutionPreferences, IOFolder
from graphql_jobs.providers.datasaur import ProjectDocument
from graphql_jobs.providers.recovery import Undecided
from tasks.outcome import HandOverFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prefect import Flow
    from pydantic import BaseModel

DOCS = Path(__file__).parent.parent / "docs"
FLOWS: tuple[Flow[..., Any], ...] = (
    run_aiware_engine,
    run_aiware_job,
    run_aiware_jobs,
    run_datasaur_auto_label,
    run_datasaur_export,
    export_datasaur_projects,
    create_datasaur_project,
    run_graphql_job,
    wait_for_jobs,
    check_connection,
    cancel_remote_jobs,
    reap_orphans,
    watch_suspended_runs,
    store_results,
    nightly_transcripts,
    nightly_labels,
)
BLOCKS = tuple(cast("type[Any]", getattr(blocks, name)) for name in blocks.__all__)
#: The structures in flow parameters.
STRUCTURES: tuple[type[BaseModel], ...] = (
    EngineTask,
    IOFolder,
    ExecutionPreferences,
    Route,
    NewTarget,
    ProjectDocument,
)
ERRORS = (
    *(
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, errors.GraphqlJobsError)
    ),
    HandOverFailed,
    Undecided,
)
#: The commands of `graphql-jobs`.
_COMMANDS = cast("Any", typer.main.get_command(app)).commands
COMMANDS: dict[str, Any] = {
    **{name: command for name, command in _COMMANDS.items() if name != "provider"},
    **{f"provider {name}": command for name, command in _COMMANDS["provider"].commands.items()},
}
_TABLE = re.compile(r"(?P<begin><!-- table: (?P<name>[^>]+) -->\n).*?(?P<end><!-- /table -->)", re.DOTALL)


@cache
def tables() -> dict[str, str]:
    """Each table by the name in its marker."""
    return {
        **{f"flow {flow.name}": _parameters(flow) for flow in FLOWS},
        **{f"block {block._block_type_name}": _fields(block) for block in BLOCKS},
        **{f"structure {model.__name__}": _rows(model.model_json_schema(), "field") for model in STRUCTURES},
        "block connection": _rows(ConnectionSettings.model_json_schema(), "field"),
        "block waiting": _rows(WaitSettings.model_json_schema(), "field"),
        "errors": _errors(),
        **{f"command {name}": _options(command) for name, command in COMMANDS.items() if name != "emulator"},
        "exit codes": _table(("code", "meaning"), ((f"{code:d}", text) for code, text in MEANINGS.items())),
        "variables": _table(
            ("variable", "provider", "meaning"),
            ((f"`{name}`", provider, text) for provider, names in VARIABLES.items() for name, text in names.items()),
        ),
    }


def renewed(text: str) -> str:
    """A page with its tables renewed from the code. Raises `KeyError` for an unknown table."""
    return _TABLE.sub(lambda match: f"{match['begin']}{tables()[match['name']]}\n{match['end']}", text)


def main() -> None:
    """Renew all pages that have tables."""
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text()
        if (new := renewed(text)) != text:
            page.write_text(new)
            print(f"Renewed {page.relative_to(DOCS.parent)}.")


def _parameters(flow: Flow[..., Any]) -> str:
    return _rows(flow.parameters.model_dump(), "parameter")


def _fields(block: type[Any]) -> str:
    return _rows(block.model_json_schema(), "field")


def _rows(schema: dict[str, Any], kind: str) -> str:
    definitions = schema.get("definitions") or schema.get("$defs") or {}
    if "$ref" in schema:  # a structure that may contain itself
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    required = schema.get("required", ())
    return _table(
        (kind, "type", "default", "description"),
        (
            (
                f"`{name}`",
                _type(field, definitions),
                "required" if name in required else _default(field),
                " ".join((field.get("description") or "").split()),
            )
            for name, field in schema["properties"].items()
        ),
    )


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    if default is None:
        return "none"
    return f"`{default:.10g}`" if isinstance(default, float) else f"`{json.dumps(default)}`"


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in field:
        return _type(definitions[field["$ref"].rpartition("/")[2]], definitions)
    if options := field.get("anyOf") or field.get("allOf"):
        return " or ".join(_type(option, definitions) for option in options if option.get("type") != "null")
    if values := field.get("enum") or ([field["const"]] if "const" in field else None):
        return ", ".join(f"`{value}`" for value in values)
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}), definitions)}{_bounds(field, 'minItems', 'maxItems')}"
    if field.get("type") == "object":
        return f"`{field['title']}`" if "properties" in field and "title" in field else "object"
    if field.get("format") == "password":
        return "secret"
    bounds = _bounds(field, "minimum", "maximum") or _bounds(field, "exclusiveMinimum", "maximum", "more than ")
    return f"{field.get('type', 'any')}{bounds}"


def _bounds(field: dict[str, Any], low: str, high: str, above: str = "") -> str:
    if low not in field or (low == "minItems" and high not in field):
        return ""
    least = f"{above}{field[low]:.10g}" if above else f"{field[low]:.10g}"
    if high in field:
        return f", {least} to {field[high]:.10g}"
    return f", {least}" if above else f", {least} or more"


def _options(command: Any) -> str:
    def default(parameter: Any) -> str:
        if parameter.required:
            return "required"
        return "off" if parameter.default is False else _default({"default": parameter.default})

    return _table(
        ("argument", "default", "meaning"),
        ((f"`{_spelled(one)}`", default(one), one.help) for one in command.params),
    )


def _spelled(parameter: Any) -> str:
    return str(parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar)


def _errors() -> str:
    def advice(error: type[Exception]) -> str:
        return " ".join((inspect.getdoc(error) or "").split("\n\n")[0].split())

    def flags(error: type[Exception]) -> tuple[str, str]:
        if not issubclass(error, errors.RequestFailed):
            return "", ""
        return ("yes" if error.transient else "no", "yes" if error.unexecuted else "no")

    return _table(
        ("error", "subclass of", "meaning", "transient", "proves that nothing was started"),
        ((f"`{error.__name__}`", f"`{error.__mro__[1].__name__}`", advice(error), *flags(error)) for error in ERRORS),
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    line: Callable[[Iterable[str]], str] = lambda cells: f"| {' | '.join(cells)} |"  # noqa: E731
    head = tuple(head)
    escaped = (tuple(cell.replace("|", "\\|") for cell in row) for row in rows)
    return "\n".join([line(head), line("---" for _ in head), *map(line, escaped)])


if __name__ == "__main__":
    main()
