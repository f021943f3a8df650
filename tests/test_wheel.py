"""The wheel: built from the sdist, and used from another repository, word by word as the guide says, without a clone.

It waits for real processes. docs/how-to/use-in-your-own-repository.md is the guide.
"""

from __future__ import annotations

import ast
import asyncio
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prefect.client.orchestration import get_client

from scripts.demo_runs import save_blocks
from scripts.logs import errors
from scripts.stack import ROOT
from scripts.wheel import MODULES, PACKAGE, ModuleNameError, rewritten
from tests.deployed_runs import all_ended, start
from tests.expected_errors import check_logs
from tests.prefect_api import api_at
from tests.requirements import installed_with, providers_of, third_party

if TYPE_CHECKING:
    from scripts.stack import Stack

GUIDE = (ROOT / "docs" / "how-to" / "use-in-your-own-repository.md").read_text()
FOLDERS = ("blocks", "tasks", "flows")
#: The user's repository has these names too.
OWN = {"tasks/__init__.py": "OWN = 'of the user'\n", "flows/__init__.py": "", "blocks.py": "raise ImportError\n"}

#: Loads a block with nothing of ours imported, then each flow. Fails if the folders of a clone are in reach.
LOAD = """
import importlib, importlib.util, sys
assert not any(map(importlib.util.find_spec, ("blocks", "tasks", "flows", "scripts")))
from prefect.blocks.core import Block
assert type(Block.load("aiware-credentials/aiware")).__module__ == "graphql_jobs_prefect.blocks.aiware"
for entrypoint in sys.argv[1:]:
    module, _, flow = entrypoint.rpartition(".")
    assert getattr(importlib.import_module(module), flow).name == flow.replace("_", "-")
"""

#: Of Prefect, mypy reads the modules that define flows and tasks: all of it takes twice as long.
MYPY = """
[mypy]
strict = true
[mypy-prefect.*]
follow_imports = skip
[mypy-prefect,prefect.main,prefect.tasks,prefect.flows]
follow_imports = silent
"""
TYPES = """
from flows.transcribe import transcribe
from graphql_jobs_prefect.blocks import AiwareCredentials
from graphql_jobs_prefect.tasks import submit_job
reveal_type(transcribe)
reveal_type(submit_job)
reveal_type(AiwareCredentials.get_client)
submit_job(1, "no spec")
"""


def blocks_of(language: str) -> list[str]:
    """The code blocks of the guide in a language, or its commands."""
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """The commands of the guide, without those that deploy all flows of this project."""
    lines = GUIDE.partition("## Deploy the flows of this project")[0].splitlines()
    return [line for line in lines if line.startswith("python -m prefect ")]


def entrypoints() -> list[str]:
    deployments: list[dict[str, str]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    return sorted({f"{PACKAGE}.{deployment['entrypoint']}" for deployment in deployments})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make dist` builds: an sdist, and the wheel from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    [_] = folder.glob("*.tar.gz")
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def files(wheel: Path) -> dict[str, str]:
    """The content of each file in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.fixture(scope="module")
def repository(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("user"), wheel)


class Repository:
    """A user's repository, and an environment with the wheel and its dependencies, from which no clone is in reach."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder / "repository"
        self.elsewhere = folder / "elsewhere"
        self.python = str(folder / "venv" / "bin" / "python")
        venv.create(folder / "venv", with_pip=False)
        paths = {name: sysconfig.get_path(name, vars={"base": str(folder / "venv")}) for name in ("purelib", "platlib")}
        (Path(paths["purelib"]) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        install = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
        pip = [sys.executable, "-m", "pip", "--python", self.python, "install", *install]
        subprocess.run(pip, check=True, capture_output=True, cwd=folder)
        self.elsewhere.mkdir()
        [flow], [deployments] = blocks_of("python"), blocks_of("yaml")
        written = {"flows/transcribe.py": f"from tasks import OWN\n{flow}", "prefect.yaml": deployments}
        for name, text in (OWN | written).items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)

    def run(self, *arguments: str, cwd: Path, environment: dict[str, str]) -> str:
        """Run this environment's Python and return its output."""
        done = subprocess.run(
            [self.python, *arguments],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
        )
        assert done.returncode == 0, done.stdout[-5000:]
        return done.stdout


def test_wheel_has_no_generic_names(files: dict[str, str]) -> None:
    """Another package may have the names `blocks`, `tasks` and `flows`."""
    tops = {name.split("/")[0] for name in files if ".dist-info/" not in name}
    assert tops == {"graphql_jobs", PACKAGE}
    sources = {path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    assert {f"{PACKAGE}/{path}" for path in sources} <= set(files)
    assert {f"{PACKAGE}/py.typed", "graphql_jobs/py.typed", "graphql_jobs/emulator/schema/aiware.graphql"} <= set(files)
    [entry_points] = [text for name, text in files.items() if name.endswith("entry_points.txt")]
    assert "graphql-jobs = graphql_jobs.cli.__main__:main" in entry_points


def test_core_is_in_the_wheel_as_it_is(files: dict[str, str]) -> None:
    """The build renames modules in the folders that use Prefect only."""
    core = {name: text for name, text in files.items() if name.startswith("graphql_jobs/")}
    assert {name: (ROOT / name).read_text() for name in core} == core


def test_no_module_of_the_wheel_names_one_of_the_clone(files: dict[str, str]) -> None:
    """No import, and no string such as "tasks.suspending.create", which would be imported by its name."""
    ours = {name.removeprefix(f"{PACKAGE}/"): text for name, text in files.items() if name.startswith(f"{PACKAGE}/")}
    modules = {name.removesuffix(".py").replace("/", ".") for name in ours if "/" in name}
    for name in [name for name in ours if name.endswith(".py")]:
        nodes = list(ast.walk(ast.parse(ours[name])))
        imported = {(node.module or "").partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
        strings = {str(node.value) for node in nodes if isinstance(node, ast.Constant)}
        assert not imported & {*FOLDERS, "scripts"}, name
        assert not strings & modules, name


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("from tasks import a", "from graphql_jobs_prefect.tasks import a"),
        (
            "def f():\n    from blocks.runs.store import (\n        b,\n    )",
            "def f():\n    from graphql_jobs_prefect.",
        ),
        ('"""\n    from flows.x import y\n"""', '"""\n    from graphql_jobs_prefect.flows.x import y\n"""'),
        ('"python -m scripts.automations"', '"python -m graphql_jobs_prefect.automations"'),
        ("from tasks_of_mine import tasks", "from tasks_of_mine import tasks"),
        ("from . import tasks", "from . import tasks"),
        ("# results from tasks of a job\nx.tasks", "# results from tasks of a job\nx.tasks"),
    ],
)
def test_build_renames_the_modules(source: str, wanted: str) -> None:
    """Imports, examples in docstrings and commands; words and other modules stay."""
    assert rewritten(source, "x.py").startswith(wanted)


@pytest.mark.parametrize(
    "source", ["import tasks", "import os, flows.x", "from  tasks import a", "from tasks import(a)"]
)
def test_build_refuses_an_import_that_it_cannot_rename(source: str) -> None:
    """`import tasks` binds a name that the wheel does not have: the build fails and names the file."""
    with pytest.raises(ModuleNameError, match=r"x\.py: write the import of "):
        rewritten(source, "x.py")


def test_deployments_of_the_wheel_are_those_of_the_clone(files: dict[str, str]) -> None:
    """They differ in the names of modules, and pull nothing, since the wheel is installed where the worker runs."""
    text = files[f"{PACKAGE}/prefect.yaml"]
    assert yaml.safe_load(text)["pull"] == []
    assert {one["entrypoint"] for one in yaml.safe_load(text)["deployments"]} == set(entrypoints())
    assert f"-m {PACKAGE}.blocks" in text
    assert f"graphql_jobs,{PACKAGE}.tasks" in text
    assert text.replace(f"{PACKAGE}.", "").replace("pull: []\n", "") == (ROOT / "prefect.yaml").read_text()


@pytest.mark.parametrize("extra", ["", "cli", "emulator", "examples"])
def test_wheel_requires_all_that_it_imports(files: dict[str, str], extra: str) -> None:
    """An import of `yaml` needs a requirement that brings PyYAML. pytest loads the plugin of the emulator itself."""
    [metadata] = [text for name, text in files.items() if name.endswith(".dist-info/METADATA")]
    folders = {one: f"graphql_jobs/{one}/" for one in ("cli", "emulator")} | {"examples": f"{PACKAGE}/flows/examples/"}
    names = [name for name in files if name.endswith(".py")]
    if extra:
        names = [name for name in names if name.startswith(folders[extra])]
    else:
        names = [name for name in names if not name.startswith(tuple(folders.values()))]
    imported = set[str]().union(*(third_party(files[name]) for name in names)) - {"graphql_jobs", PACKAGE, "pytest"}
    assert {one for one in imported if not providers_of(one) & installed_with(metadata, extra)} == set()


def test_types_of_the_wheel_are_seen_by_mypy(repository: Repository) -> None:
    """In a user's flow, mypy knows the parameters and results of tasks, and refuses a wrong call."""
    (repository.folder / "mypy.ini").write_text(MYPY)
    (repository.folder / "types_of.py").write_text(TYPES)
    command = [repository.python, "-m", "mypy", "--cache-dir", str(repository.elsewhere / "mypy"), "types_of.py"]
    done = subprocess.run(command, cwd=repository.folder, capture_output=True, text=True, timeout=500)
    flow, task, method, *wrong = done.stdout.splitlines()
    assert "Flow[[media_url: str], typing.Coroutine[Any, Any, dict[str, Any]]]" in flow
    assert f"credentials: {PACKAGE}.blocks.runs.job_run.JobCredentials, spec: graphql_jobs.spec.JobSpec" in task
    assert "-> graphql_jobs.providers.aiware.client.AiwareClient" in method
    assert wrong[0].endswith("[call-overload]")
    assert "Found 1 error in 1 file" in wrong[-1]


@pytest.mark.prefect
async def test_flow_of_another_repository_runs_as_the_guide_says(repository: Repository, stack: Stack) -> None:
    """Its own `tasks/` and `flows/` hide nothing of ours; a worker elsewhere runs its flow, and one of the wheel."""
    environment = {name: value for name, value in stack.environment.items() if name != "PYTHONPATH"}
    environment["PREFECT_HOME"] = str(repository.elsewhere / "home")

    def run(*arguments: str, cwd: Path = repository.elsewhere) -> Any:
        return asyncio.to_thread(repository.run, *arguments, cwd=cwd, environment=environment)

    before = len(stack.ledger()["submissions"])
    with api_at(stack.environment["PREFECT_API_URL"]):
        async with get_client() as client:
            await save_blocks(stack)
            await run("-c", LOAD, *entrypoints())
            *deploying, working = (line.removeprefix("python -m prefect ") for line in commands())
            # Several commands in one process, as in the stack, which does not import from the clone either.
            await run("-c", (ROOT / "scripts" / "prefect_commands.py").read_text(), *deploying, cwd=repository.folder)
            parameters = {"provider": "aiware", "credentials": "aiware"}
            runs = [
                await start(client, "transcribe/transcribe", {"media_url": "https://media.example.com/own"}),
                await start(client, "check-connection/check-aiware", parameters),
            ]
            log = await run("-m", "prefect", *working.split(), "--run-once")
            ended = await all_ended(client, runs)
    assert [run.state.name if run.state else None for run in ended] == ["Completed"] * 2, log[-5000:]
    check_logs(errors(log))
    submitted = [one["operation"] for one in stack.ledger()["submissions"][before:]]
    assert submitted == ["createTDOWithAsset", "launchSingleEngineJob"]  # the recording, then one job


def test_names_in_the_guide_are_those_of_the_wheel(wheel: Path) -> None:
    """The file to install, and each row of its table: the right column is the left one with the modules renamed."""
    assert f"pip install {wheel.name}\n" in GUIDE
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", GUIDE, re.MULTILINE)[:-1]
    assert [installed for _, installed in rows if not any(name in installed for name in MODULES.values())] == []
    back = {name: module for module, name in MODULES.items()}
    renamed = re.compile("|".join(map(re.escape, back)))
    assert [clone for clone, _ in rows] == [renamed.sub(lambda match: back[match[0]], one) for _, one in rows]
