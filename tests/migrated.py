"""A database that Prefect has migrated: each server of the tests begins with a copy, which saves it 10 s of a core."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

#: Names the folder of the database to the processes of pytest-xdist, which inherit it.
_VARIABLE = "GRAPHQL_JOBS_MIGRATED"


def make_folder() -> None:
    """Make the folder of the database, once in a pytest session: its first process removes it when it ends.

    `.ci/run` makes one for its two sessions.
    """
    if _VARIABLE not in os.environ:
        os.environ[_VARIABLE] = tempfile.mkdtemp(prefix="graphql-jobs-migrated-")
        atexit.register(shutil.rmtree, os.environ[_VARIABLE], ignore_errors=True)


def migrated_database() -> Path:
    """The file of the database. The first call of a session migrates it, and the others wait for that."""
    folder = Path(os.environ[_VARIABLE])
    database = folder / "prefect.db"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not database.exists():
            _migrate(folder / "new.db")
            (folder / "new.db").rename(database)
    return database


def _migrate(database: Path) -> None:
    url = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}"}
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
    pipe: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, env=os.environ | url, text=True, **pipe)
    assert done.returncode == 0, done.stdout
