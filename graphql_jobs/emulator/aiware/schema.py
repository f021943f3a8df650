"""The executable aiWARE schema, built once per process."""

from functools import cache

from graphql_jobs.emulator.aiware import exports, mutations, queries, scalars, types
from graphql_jobs.emulator.execution import Executor


@cache
def aiware_executor() -> Executor:
    """Return the executor for aiWARE's part of the schema."""
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
            exports.export_request,
        ],
    )
