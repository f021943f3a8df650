"""The package on the page docs/how-to/add-a-provider.md, installed as a user installs it.

`pip install` would ask a package index. What it leaves is made here instead: the module, and beside it a `.dist-info`
folder with the entry points, in a folder on `sys.path`. `importlib.metadata` reads nothing else.
"""

from __future__ import annotations

import atexit
import importlib
import re
import shutil
import sys
import tempfile
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "add-a-provider.md"


def block_of(language: str) -> str:
    """The only block of code in this language on the page."""
    [block] = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(block)


@cache
def installed() -> Any:
    """Install the package for the rest of this process, and return its module."""
    project = tomllib.loads(block_of("toml"))["project"]
    folder = Path(tempfile.mkdtemp(prefix="acme-jobs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "acme_jobs.py").write_text(block_of("python"))
    info = folder / f"acme_jobs-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    sys.path.append(str(folder))
    return importlib.import_module("acme_jobs")
