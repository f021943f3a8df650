"""Print the structure of `graphql_jobs`: the levels of its folders and modules, cycles if there are any, and its size.

    python -m scripts.imports

A folder counts as one unit: its imports are on lower levels, and nothing below imports it. Imports under
`TYPE_CHECKING` and inside functions count. The emulator is left out: it imports nothing of the core, and the core
imports nothing of it (tests/test_architecture.py).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = "graphql_jobs"

#: The imports of each module or folder, by their dotted names.
Graph = Mapping[str, set[str]]


def read_files(root: Path = ROOT) -> dict[str, Path]:
    """The files of the core's modules, without the emulator."""
    files = {_name_of(path.relative_to(root)): path for path in sorted((root / PACKAGE).rglob("*.py"))}
    return {name: path for name, path in files.items() if not name.startswith(f"{PACKAGE}.emulator")}


def lines_of(files: Mapping[str, Path], folder: str = PACKAGE) -> dict[str, int]:
    """The number of lines of each module in `folder`."""
    return {name: len(path.read_text().splitlines()) for name, path in files.items() if name.startswith(folder)}


def read_modules(root: Path = ROOT) -> Graph:
    """The modules of the core with their imports of the core."""
    files = read_files(root)
    return {name: set(_imported(path, files.keys())) - {name} for name, path in files.items()}


def by_folder(modules: Graph) -> Graph:
    """The same with one entry for each folder, and for each module that is in none."""
    folders: dict[str, set[str]] = {}
    for name, imported in modules.items():
        folders.setdefault(folder_of(name), set()).update(map(folder_of, imported))
    return {name: imported - {name} for name, imported in folders.items()}


def folder_of(name: str) -> str:
    """The folder of a module; the module itself if it is in none."""
    return ".".join(name.split(".")[:2])


def levels_of(graph: Graph) -> dict[str, int]:
    """The level of each name: 1 for a module without imports, else one more than the highest level that it imports.

    Raises `graphlib.CycleError`, whose second argument is a cycle.
    """
    levels: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        levels[name] = 1 + max((levels[other] for other in graph[name]), default=0)
    return levels


def _name_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _imported(path: Path, known: Collection[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (module := node.module or "") in known:
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield inner if inner in known else module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)


def main() -> int:
    """Print the levels of the folders, or a cycle among the modules."""
    modules = read_modules()
    try:
        depth = max(levels_of(modules).values())
        levels = levels_of(by_folder(modules))
    except CycleError as error:
        print("a cycle:", " -> ".join(reversed(error.args[1])))
        return 1
    for level in range(max(levels.values()), 0, -1):
        names = sorted(name.removeprefix(f"{PACKAGE}.") for name in levels if levels[name] == level)
        print(f"{level}  {'  '.join(names)}")
    print(f"{max(levels.values())} levels of folders and modules, 0 cycles; {len(modules)} modules, {depth} deep.")
    lines, waiting = lines_of(read_files()), lines_of(read_files(), f"{PACKAGE}.waiting")
    print(f"{sum(lines.values()):,} lines without the emulator, at most {max(lines.values())} in a module.")
    print(f"{sum(waiting.values())} lines in waiting/.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
