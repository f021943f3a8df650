"""The task that tries credentials out."""

from __future__ import annotations

from prefect import get_run_logger
from prefect.cache_policies import NO_CACHE

from blocks.runs.job_run import JobCredentials
from graphql_jobs.providers.connection import Connection
from graphql_jobs.providers.connection import check_connection as check
from tasks.job_task import job_task


@job_task(name="check connection", task_run_name="check connection", cache_policy=NO_CACHE)
async def check_connection(credentials: JobCredentials) -> Connection:
    """Return whose credentials these are, what they may do, the latency and the difference of the clocks.

    It starts nothing. The log has a WARNING for a missing right and for a clock that differs by more than a minute.
    Raises `RequestFailed`, whose message says what to change.
    """
    connection = await check(credentials.get_client())
    logger = get_run_logger()
    logger.info("%s", connection.describe())
    rights = "not told" if connection.rights is None else ", ".join(connection.rights) or "none"
    logger.info("Rights: %s.", rights)
    skew_s = connection.clock_skew_s
    logger.info("Clock: %s.", "not told" if skew_s is None else f"{abs(skew_s):.0f} s of difference")
    for warning in connection.warnings:
        logger.warning("%s", warning)
    return connection
