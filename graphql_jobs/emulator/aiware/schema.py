"""The executable aiWARE schema, built once per process."""

from functools import cache

from graphql_jobs.emulator.aiware import mutations, queries, scalars, types
from graphql_jobs.emulator.execution import Executor


@cache
def aiware_executor() -> Executor:
    """The executor for aiWARE's slice."""
    return Executor(
        "aiware.graphql",
        [
            scalars.date_time,
            queries.query,
            mutations.mutation,
            types.job,
            types.task,
            types.tdo,
            types.asset,
            types.engine,
        ],
    )
