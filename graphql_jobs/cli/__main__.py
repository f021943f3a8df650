"""The entry point of `graphql-jobs`, also `python -m graphql_jobs.cli`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line. It needs the extra `cli`."""
    try:
        from graphql_jobs.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit(f"graphql-jobs: {error.name} is missing. Install the extra: pip install 'graphql-jobs[cli]'.")
    app(prog_name="graphql-jobs")


if __name__ == "__main__":
    main()
