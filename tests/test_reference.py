"""The reference pages are complete: every public name, setting and value has an entry."""

from __future__ import annotations

import ast
import re
from dataclasses import MISSING, Field, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest

import graphql_jobs
import tasks
from blocks.reporting.events import CHANGES, PREFIX, JobEvent
from blocks.runs.cancelled_by_person import JOB_RUNS
from graphql_jobs import Deadlines, JobState, Limits, Schedule, WaitPolicy, emulator
from graphql_jobs.cli.credentials import VARIABLES
from graphql_jobs.emulator.__main__ import _parser
from graphql_jobs.emulator.control import ControlPlane
from graphql_jobs.errors import GraphqlJobsError
from graphql_jobs.providers import aiware, datasaur
from graphql_jobs.telemetry import Telemetry
from scripts.reference import BLOCKS, COMMANDS, ERRORS, FLOWS, STRUCTURES, renewed
from tasks.run_state import _STATE_NAMES
from tasks.suspending.resume import CANNOT_RESUME, SUSPENDED
from tasks.suspending.tally import HEARTBEAT

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "ref"


def section(page: str, heading: str = "") -> str:
    """The text below a heading, up to the next one of its level or above; without a heading the whole page."""
    text = (REFERENCE / page).read_text()
    if not heading:
        return text
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#{{1,2}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no section {heading!r}"
    return found[2]


def entries(text: str) -> dict[str, str]:
    """The second column of tables by each name in their first one: `from_at`, `until_at` share a row."""
    rows = re.findall(r"^\| (`[^|]+) \| ((?:[^|\\]|\\.)*?) \|", text, re.MULTILINE)
    return {name: second for first, second in rows for name in re.findall(r"`([^`]+)`", first)}


def default_of(field: Field[Any]) -> str:
    """A default as the tables show it."""
    default = field.default
    if default is MISSING or default is None or default == () or isinstance(default, (Schedule, Deadlines)):
        return f"`{type(default).__name__}()`" if isinstance(default, (Schedule, Deadlines)) else "none"
    return f"{default:.10g}" if isinstance(default, float) else str(default)


def sources(*folders: str) -> Iterator[tuple[Path, str]]:
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            yield file, file.read_text()


@pytest.mark.parametrize("page", sorted(path.name for path in REFERENCE.glob("*.md")))
def test_tables_are_as_the_code_says(page: str) -> None:
    """A parameter was added or renamed: `make docs` renews the table."""
    text = (REFERENCE / page).read_text()
    assert text == renewed(text), "run `python -m scripts.reference`"


def test_every_flow_and_block_has_its_table() -> None:
    """Every deployed flow, block and structure of a parameter; the fields of `waiting` and `connection` too."""
    assert {f"flow {flow.name}" for flow in FLOWS} | {f"structure {one.__name__}" for one in STRUCTURES} == named_in(
        "flows.md"
    )
    parts = {"block connection", "block waiting"}
    assert {f"block {block._block_type_name}" for block in BLOCKS} | parts == named_in("blocks.md")
    entrypoints = re.findall(r"entrypoint: flows\.(?:examples\.)?(\w+)\.", (ROOT / "prefect.yaml").read_text())
    assert {flow.name for flow in FLOWS} == {name.replace("_", "-") for name in entrypoints}


def test_every_command_has_its_table() -> None:
    """`graphql-jobs emulator` alone has none: its options are on the emulator's page."""
    tables = {f"command {name}" for name in COMMANDS if name != "emulator"}
    assert tables | {"variables", "exit codes"} == named_in("command-line.md")


def test_every_deployment_has_an_entry() -> None:
    """Each deployment of prefect.yaml, under the name that starts it."""
    text = (ROOT / "prefect.yaml").read_text()
    found = re.findall(r"- name: (\S+)\n    entrypoint: flows\.(?:examples\.)?(\w+)\.", text)
    listed = re.findall(r"^\| `([^`]+)` \|", section("flows.md", "Deployments"), re.MULTILINE)
    assert sorted(listed) == sorted(f"{flow.replace('_', '-')}/{name}" for name, flow in found)


def named_in(page: str) -> set[str]:
    return set(re.findall(r"<!-- table: ([^>]+) -->", section(page)))


def test_every_parameter_and_field_is_described() -> None:
    """No row of a generated table has an empty description."""
    empty = re.findall(r"^\| (`\w+`) \|.*\|  \|$", section("flows.md") + section("blocks.md"), re.MULTILINE)
    assert empty == []


def test_every_error_has_an_entry() -> None:
    """Each class of errors that can reach a user, in any module."""
    assert _all_errors() - {error.__name__ for error in ERRORS} == set()
    assert {error.__name__ for error in ERRORS} == set(entries(section("errors.md")))


def _all_errors() -> set[str]:
    """All errors by their class statements: public classes whose base is an error."""
    classes = [
        (node.name, {base.id for base in node.bases if isinstance(base, ast.Name)})
        for _, text in sources("graphql_jobs", "blocks", "tasks", "flows")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef)
    ]
    known = {GraphqlJobsError.__name__}
    while more := {name for name, bases in classes if bases & known} - known:
        known |= more
    return {name for name in known if not name.startswith("_")}


def test_every_state_of_a_run_has_an_entry() -> None:
    """The state name of each error, and the states of Prefect and of suspended runs."""
    wanted = {*_STATE_NAMES.values(), "Completed", "Cancelled", JOB_RUNS, "Failed", SUSPENDED, CANNOT_RESUME}
    text = section("states.md").split("What to do next")[0]
    assert set(entries(text)) == wanted


def test_every_state_of_a_job_has_an_entry() -> None:
    """The six of `JobState`."""
    assert set(entries(section("states.md", "States of a job"))) == {str(state) for state in JobState}


@pytest.mark.parametrize("kind", [Limits, WaitPolicy, Schedule, Deadlines])
def test_every_setting_has_its_default(kind: type[Any]) -> None:
    """`connect_s` is 10 in the code and on the page."""
    assert entries(section("settings.md", kind.__name__)) == {
        field.name: default_of(field) for field in fields(kind) if field.init
    }


def test_every_environment_variable_has_an_entry() -> None:
    """Each variable that a script or a target reads; of the project itself, only the command line reads some."""
    page = entries(section("settings.md", "Environment variables"))
    makefile = (ROOT / "Makefile").read_text()
    read = set(re.findall(r"\$\(([A-Z_]+)\)", makefile)) - set(re.findall(r"^([A-Z_]+) :=", makefile, re.MULTILINE))
    for _, text in sources("benchmarks", "scripts", "tests/crashes"):
        read |= set(re.findall(r'environ(?:\.get\(|\[)"([A-Z_]+)"', text))
    assert read - {"MAKEFILE_LIST"} - set(page) == set()
    runtime = sources("graphql_jobs", "blocks", "tasks", "flows")
    reading = [file for file, text in runtime if re.search(r"os\.environ|getenv", text)]
    assert [file.relative_to(ROOT / "graphql_jobs").as_posix() for file in reading] == ["cli/credentials.py"]
    read = set(re.findall(r'"((?:AIWARE|DATASAUR)_[A-Z_]+)"', reading[0].read_text()))
    assert read == {name for names in VARIABLES.values() for name in names}


class Meter:
    """Records the names of the instruments that are created."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getattr__(self, kind: str) -> Any:
        return lambda name, *_: self.names.add(name)


def test_every_metric_has_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The instruments of a session are those on the page, and no other."""
    meter = Meter()
    monkeypatch.setattr("opentelemetry.metrics.get_meter", lambda _: meter)
    Telemetry("aiware", "https://example.com")
    assert set(entries(section("metrics.md", "Metrics"))) == meter.names


def test_every_event_has_an_entry() -> None:
    """The page names the events that the project emits, and the fields of those about jobs."""
    emitted = [file.name for file, text in sources("graphql_jobs", "blocks", "tasks", "flows") if "emit_event(" in text]
    assert emitted == ["events.py", "tally.py"]
    assert set(re.findall(r"^\| `(graphql-jobs\.[^`]+)`", section("metrics.md", "Events"), re.MULTILINE)) == {
        HEARTBEAT,
        *(f"{PREFIX}{change}" for change in CHANGES),
    }
    assert set(entries(section("metrics.md", "Fields of a job's event"))) == set(JobEvent.__annotations__)


@pytest.mark.parametrize(
    ("page", "package"),
    [("tasks.md", tasks), ("python.md", graphql_jobs), ("python.md", aiware), ("python.md", datasaur)],
)
def test_every_public_name_has_an_entry(page: str, package: Any) -> None:
    """All exports of a package are on the page, from their docstrings; errors have their own page."""
    listed = set(re.findall(rf"^::: {re.escape(package.__name__)}\.(\w+)$", section(page), re.MULTILINE))
    assert listed == set(package.__all__) - {"GraphqlJobsError"}


@cache
def defaults(kind: type[Any]) -> dict[str, str]:
    """The fields of a dataclass of the emulator."""
    return {field.name: default_of(field) for field in fields(kind)}


def test_every_fault_has_an_entry() -> None:
    """Each kind of fault, and each field of a fault."""
    requests, jobs = (entries(section("emulator.md", f"Faults of {one}")) for one in ("requests", "jobs"))
    assert {*get_args(emulator.FaultKind), *defaults(emulator.Fault)} - {"kind"} == set(requests)
    own = set(defaults(emulator.JobFault)) - (set(defaults(emulator.Fault)) - {"delay_s"})
    assert {*get_args(emulator.JobFaultKind), *own} == set(jobs)


def test_every_behaviour_has_its_default() -> None:
    """`missing_jobs` is null in the code and on the page."""
    shown = {name: text.strip("`").lower() for name, text in entries(section("emulator.md", "Behaviour")).items()}
    assert shown == {name: text.lower() for name, text in defaults(emulator.Behaviour).items()}


def test_every_option_of_the_emulator_has_an_entry() -> None:
    """Each option of the command line, and each route of the control plane."""
    options = {one for action in _parser()._actions for one in action.option_strings} - {"-h", "--help"}
    assert set(entries(section("emulator.md", "Command line"))) == options
    plane: Any = ControlPlane.__new__(ControlPlane)
    routes = {f"{route.method} {route.path}" for route in ControlPlane.routes(plane)}
    assert set(entries(section("emulator.md", "Control by HTTP"))) == routes
