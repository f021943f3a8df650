"""Renew requirements.lock: the newest versions within the bounds of pyproject.toml, as pins and hashes only.

Run it with `make lock`. The new lock replaces the old one only after the tests of the whole stack passed in an
environment that was installed from it, since a server still starts and answers when one part of it fails. The file
has no address of an index, so that it works with any mirror.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements.lock"

_OPTIONS = [
    *("--generate-hashes", "--allow-unsafe", "--no-strip-extras", "--upgrade", "--no-header", "--no-annotate"),
    "--quiet",
    *("--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host", "--no-emit-options"),
]
#: `prefect deploy` works, a schedule fires, every deployment runs on a worker, and no log has an unexpected error.
_TESTS = ["tests/test_deployments.py"]


def main() -> int:
    """Compile, check that the lock has no address, test the new versions, and only then keep them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lock = folder / "requirements.lock"
        if status := _compile(folder, lock):
            return status
        lock.write_text(with_bases(lock.read_text()))
        if "://" in lock.read_text():
            print("The new lock holds an address; requirements.lock is as it was.", file=sys.stderr)
            return 1
        if status := _try(folder / "venv", lock):
            print("The new versions do not work together (see above); requirements.lock is as it was.", file=sys.stderr)
            return status
        LOCK.write_text(lock.read_text())
    print("requirements.lock is new. Run `make check test` before you commit it.")
    return 0


def _compile(folder: Path, lock: Path) -> int:
    wanted = folder / "requirements.in"
    wanted.write_text("\n".join(_wanted()))
    command = [sys.executable, "-m", "piptools", "compile", *_OPTIONS, "--output-file", str(lock), str(wanted)]
    return subprocess.run(command, cwd=ROOT).returncode


def with_bases(lock: str) -> str:
    """The lock with each pin that has extras, such as `sqlalchemy[asyncio]`, also pinned without them.

    With only one of the two, pip 23.2, which Python 3.11 brings, installs the newest version for the other.
    """
    return re.sub(r"^(\S+)\[[^\]]+\](==.*\n(?:    .*\n)*)", r"\g<0>\1\2", lock, flags=re.MULTILINE)


def _try(environment: Path, lock: Path) -> int:
    """Install the lock into a separate environment, and run the tests that show whether the stack works."""
    venv.create(environment, with_pip=True)
    python = str(environment / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    installed = subprocess.run([*install, "--requirement", str(lock)], cwd=ROOT).returncode
    return installed or subprocess.run([python, "-m", "pytest", *_TESTS], cwd=ROOT).returncode


#: Additional requirements on other versions of Python: pip-compile sees only its own version.
#: `async-timeout`: redis, which prefect's server brings, before 3.11.3.
_FOR_OTHER_PYTHONS = ["async-timeout>=4.0.3"]


def _wanted() -> list[str]:
    """The project's dependencies with all its extras, and the dev group."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = settings["project"]["optional-dependencies"].values()
    wanted = [*settings["project"]["dependencies"], *settings["dependency-groups"]["dev"]]
    wanted += _FOR_OTHER_PYTHONS
    return wanted + [requirement for extra in extras for requirement in extra]


if __name__ == "__main__":
    sys.exit(main())
