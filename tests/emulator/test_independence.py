"""The emulator is independent of the code that it tests."""

import ast
from pathlib import Path

import graphql_jobs.emulator

FOLDER = Path(graphql_jobs.emulator.__file__).parent


def test_emulator_imports_nothing_else_of_the_project_and_no_prefect() -> None:
    """Every `graphql_jobs` import is of `graphql_jobs.emulator`; none is of prefect or gql."""
    names: set[str] = set()
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module or "")
    ours = {name for name in names if name.startswith("graphql_jobs")}
    assert all(name.startswith("graphql_jobs.emulator") for name in ours)
    assert not {name.partition(".")[0] for name in names} & {"prefect", "gql", "tenacity"}


def test_files_are_small() -> None:
    """No file above 300 lines."""
    assert max(len(path.read_text().splitlines()) for path in FOLDER.rglob("*.py")) <= 300
