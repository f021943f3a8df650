"""The build hook of the wheel: it holds `blocks/`, `tasks/` and `flows/` as the package `graphql_jobs_prefect`.

Another package, or your own repository, may have the names `blocks`, `tasks` and `flows`. The build therefore copies
the folders into one package and renames the modules in their imports: `from tasks import submit_job` becomes
`from graphql_jobs_prefect.tasks import submit_job`. docs/decisions/0011-names-in-the-wheel.md has the reasons.

Hatchling loads this file by its path (pyproject.toml), so it imports nothing of the project.
"""

from __future__ import annotations

import ast
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "graphql_jobs_prefect"
#: Each module of the clone that the wheel holds under another name. A name covers the modules in its folder.
MODULES = {
    "blocks": f"{PACKAGE}.blocks",
    "tasks": f"{PACKAGE}.tasks",
    "flows": f"{PACKAGE}.flows",
    "scripts.automations": f"{PACKAGE}.automations",
}
_INIT = '''"""What graphql-jobs has for Prefect: the packages blocks, tasks and flows, and the module automations."""

from graphql_jobs import __version__ as __version__
'''
_MODULE = rf"(?:{'|'.join(map(re.escape, MODULES))})\b"
#: An import, which may be in the example of a docstring.
_IMPORT = re.compile(rf"(?<=from ){_MODULE}(?=[.\w]* import )")
#: `python -m flows.watch_suspended_runs`.
_COMMAND = re.compile(rf"(?<=-m ){_MODULE}")
#: Modules in prefect.yaml: of flows, and of loggers.
_IN_YAML = re.compile(rf"(?:(?<=entrypoint: )|(?<=graphql_jobs,)){_MODULE}")
#: The code is installed where a worker runs, so a run has nothing to pull and needs no folder.
_NO_PULL = "name: graphql-jobs\npull: []\n"


class ModuleNameError(ValueError):
    """A module is imported in a form that the build does not rewrite."""


class WheelHook(BuildHookInterface[Any]):
    """Adds the package to the wheel, also to that of an editable install, where it is a copy."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the package into a temporary folder, and have it included."""
        self._folder = tempfile.TemporaryDirectory(prefix=f"{PACKAGE}-")
        write_package(Path(self.root), Path(self._folder.name))
        build_data["force_include"][self._folder.name] = PACKAGE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary folder."""
        self._folder.cleanup()


def write_package(root: Path, folder: Path) -> None:
    """Write the package, which is made of the clone at `root`, into `folder`."""
    for module, name in MODULES.items():
        source, target = root / module.replace(".", "/"), folder / name.partition(".")[2]
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source.with_suffix(".py"), target.with_suffix(".py"))
    for file in folder.rglob("*.py"):
        file.write_text(rewritten(file.read_text(encoding="utf-8"), str(file.relative_to(folder))), encoding="utf-8")
    (folder / "__init__.py").write_text(_INIT)
    (folder / "py.typed").touch()
    deployments = (root / "prefect.yaml").read_text(encoding="utf-8")
    (folder / "prefect.yaml").write_text(rewritten_yaml(deployments), encoding="utf-8")


def rewritten(source: str, file: str) -> str:
    """The source of a module with the names that the wheel uses. Raises `ModuleNameError`, which names `file`."""
    source = _COMMAND.sub(_renamed, _IMPORT.sub(_renamed, source))
    for node in ast.walk(ast.parse(source)):
        for name in _imported(node):
            if re.match(_MODULE, name):
                raise ModuleNameError(f"{file}: write the import of {name!r} as `from {name} import ...`, on one line.")
    return source


def rewritten_yaml(text: str) -> str:
    """prefect.yaml with the entrypoints, loggers and commands of the wheel, and without a pull step."""
    text = _COMMAND.sub(_renamed, _IN_YAML.sub(_renamed, text))
    return text.replace("name: graphql-jobs\n", _NO_PULL, 1)


def _imported(node: ast.AST) -> list[str]:
    """The modules that a statement imports. Relative imports hold in the wheel as they are."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []


def _renamed(match: re.Match[str]) -> str:
    return MODULES[match[0]]
