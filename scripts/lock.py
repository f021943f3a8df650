"""Renew requirements.lock: the newest versions within the bounds of pyproject.toml, as pins and hashes alone.

Run it with `make lock`. No address of an index gets into the file, so that it serves any mirror.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements.lock"

_OPTIONS = [
    *("--generate-hashes", "--allow-unsafe", "--strip-extras", "--upgrade", "--no-header", "--no-annotate", "--quiet"),
    *("--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host", "--no-emit-options"),
]


def main() -> int:
    """Compile, check that no address got in, and say what to do next."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.in"
        wanted.write_text("\n".join(_wanted()))
        compile_command = [sys.executable, "-m", "piptools", "compile", *_OPTIONS, "--output-file", str(LOCK)]
        done = subprocess.run([*compile_command, str(wanted)], cwd=ROOT)
    if done.returncode:
        return done.returncode
    if "://" in LOCK.read_text():
        print("requirements.lock holds an address; remove it before you commit.", file=sys.stderr)
        return 1
    print("requirements.lock is new. Run `make check test` before you commit it.")
    return 0


#: What other versions of Python need, or need besides: pip-compile sees only the one that it runs on.
#: `whenever`: prefect on 3.13 and later; `async-timeout`: redis, which prefect's server brings, before 3.11.3.
_FOR_OTHER_PYTHONS = ["whenever>=0.7.3,<0.11", "async-timeout>=4.0.3"]


def _wanted() -> list[str]:
    """The project's dependencies with all its extras, and the dev group."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = settings["project"]["optional-dependencies"].values()
    wanted = [*settings["project"]["dependencies"], *settings["dependency-groups"]["dev"]]
    wanted += _FOR_OTHER_PYTHONS
    return wanted + [requirement for extra in extras for requirement in extra]


if __name__ == "__main__":
    sys.exit(main())
