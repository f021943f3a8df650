"""The structure of the project: imports between packages, the size of files, the wheel, the tree in the README."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.imports import by_folder, folder_of, levels_of, read_modules

ROOT = Path(__file__).parent.parent
PACKAGES = ("graphql_jobs", "blocks", "tasks", "flows")

# Each layer may import itself, the layers below it and, from `blocks` on, Prefect.
ALLOWED = {
    "graphql_jobs": {"graphql_jobs"},
    "blocks": {"blocks", "graphql_jobs", "prefect"},
    "tasks": {"tasks", "blocks", "graphql_jobs", "prefect"},
    "flows": {"flows", "tasks", "blocks", "graphql_jobs", "prefect"},
}
WATCHED = {*PACKAGES, "prefect", "scripts", "tests"}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Top-level names of all imports in the file, also of those inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package: str) -> None:
    """A block that imports a task, or a core that imports Prefect, would be a cycle."""
    wrong = {
        str(path.relative_to(ROOT)): imported(path) & WATCHED - ALLOWED[package]
        for path in sources(package)
        if imported(path) & WATCHED - ALLOWED[package]
    }
    assert wrong == {}


# The imports inside the core. The modules at its top are the model, which imports none of the folders.
INNER = {
    "transport": {"model"},
    "providers": {"model", "transport"},
    "submission": {"model", "transport", "providers"},
    "waiting": {"model", "transport", "providers"},
    "cli": {"model", "transport", "providers", "waiting"},
    "model": set[str](),
}


def test_core_imports_run_one_way() -> None:
    """A transport that imports a provider, or a wait that imports a submission, would be a cycle."""
    wrong: set[str] = set()
    for name, imported in read_modules().items():
        if name != "graphql_jobs":  # its public names come from all modules
            inner = _inner_folder(name)
            wrong |= {f"{name} -> {other}" for other in imported if _inner_folder(other) not in {inner, *INNER[inner]}}
    assert wrong == set()


def _inner_folder(name: str) -> str:
    folder = folder_of(name).removeprefix("graphql_jobs.")
    return folder if folder in INNER else "model"


def test_core_has_no_import_cycle_and_few_levels() -> None:
    """Imports under `TYPE_CHECKING` count, since a reader follows them too."""
    modules = read_modules()
    levels_of(modules)
    assert max(levels_of(by_folder(modules)).values()) <= 8


def test_the_emulator_is_an_independent_judge() -> None:
    """It imports nothing else of this project: shared code would have the same mistakes."""
    for path in sources("graphql_jobs/emulator"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("graphql_jobs"):
                assert (node.module or "").startswith("graphql_jobs.emulator"), path


def test_no_flow_file_shadows_a_package() -> None:
    """`flows/` is added to `sys.path` with file entrypoints, so a `flows/gql.py` would hide gql."""
    lock = (ROOT / "requirements.lock").read_text()
    packages = {line.split("==")[0].partition("[")[0].replace("-", "_") for line in lock.splitlines() if "==" in line}
    assert {path.stem for path in sources("flows")} & {*packages, *PACKAGES, *sys.stdlib_module_names} == set()


@pytest.mark.parametrize("folder", [*PACKAGES, "benchmarks", "scripts", "tests"])
def test_no_file_is_longer_than_300_lines(folder: str) -> None:
    """A file is one noun."""
    assert {str(path): lines for path in sources(folder) if (lines := len(path.read_text().splitlines())) > 300} == {}


def test_the_lock_holds_pins_and_hashes_and_no_address() -> None:
    """It works with any mirror."""
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    pins = [line for line in lock.splitlines() if line and not line.startswith((" ", "#"))]
    assert pins
    assert all("==" in pin and pin.endswith("\\") for pin in pins)


@pytest.mark.parametrize("version", ["3.11.0", "3.11.9", "3.12.0", "3.13.0", "3.14.0"])
def test_the_lock_serves_every_python_that_is_promised(version: str) -> None:
    """Packages that an installed package requires on another Python version are pinned too."""
    short = ".".join(version.split(".")[:2])
    environment = {"python_version": short, "python_full_version": version, "extra": ""}
    locked = pinned()
    missing = {
        f"{needed} for {package.name}"
        for package in distributions()
        if canonicalize_name(package.name) in locked
        for needed in map(Requirement, package.requires or [])
        if needed.marker is None or needed.marker.evaluate(environment)
        if not needed.specifier.contains(locked.get(canonicalize_name(needed.name), "no version"), prereleases=True)
    }
    assert missing == set()


def pinned() -> dict[str, str]:
    """The versions in the lock, by name."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line.removesuffix(" \\").split("==") for line in lines if "==" in line]
    return {str(canonicalize_name(name.partition("[")[0])): version for name, version in pins}


def test_one_version() -> None:
    """The core has it. pyproject.toml reads it there, and Prefect stores it with the schemas of the blocks."""
    from blocks import AiwareCredentials
    from graphql_jobs import __version__

    assert AiwareCredentials.get_block_schema_version() == __version__
    assert "version" not in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_readme_names_the_folders_that_there_are() -> None:
    """Each folder in the README's tree exists, and each folder of the layers is in it."""
    text = (ROOT / "README.md").read_text()
    picture = text.split("## The tree", 1)[1].split("```")[1]
    drawn = set(re.findall(r"([\w-]+)/", picture))
    there = {
        path.name for package in PACKAGES for path in [ROOT / package, *(ROOT / package).rglob("*")] if path.is_dir()
    } - {"__pycache__"}
    assert there <= drawn
    assert [name for name in drawn if not any(path.is_dir() for path in ROOT.glob(f"**/{name}"))] == []
