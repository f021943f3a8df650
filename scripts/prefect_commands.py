"""Several commands of Prefect's command line in one process, since the imports for each take 3 s of a core.

    python -m scripts.prefect_commands "block register -m blocks" "--no-prompt deploy --all"

Stops at the first command that fails, with its exit status.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from prefect.cli import app

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(commands: Sequence[str]) -> None:
    """Run each command, which is what follows `prefect` in a shell."""
    for command in commands:
        try:
            sys.argv = ["prefect", *command.split()]
            app()
        except SystemExit as ended:
            if ended.code:
                raise


if __name__ == "__main__":
    main(sys.argv[1:])
