"""The executable Datasaur schema, built once per process."""

from functools import cache

from graphql_jobs.emulator.datasaur import readers, starters, workspace
from graphql_jobs.emulator.execution import Executor, bind


@cache
def datasaur_executor() -> Executor:
    """Return the executor for Datasaur's part of the schema."""
    return Executor(
        "datasaur.graphql",
        [
            bind("Query", resolvers={**readers.QUERIES, **starters.QUERIES, **workspace.QUERIES}),
            bind("Mutation", resolvers={**starters.MUTATIONS, **workspace.MUTATIONS}),
            readers.job,
            readers.export_status,
            workspace.project,
        ],
    )
