"""The watcher of suspended runs: a separate process (`python -m flows.watch_suspended_runs`), or a deployment."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import threading
from contextlib import suppress
from typing import Annotated

from prefect import flow
from pydantic import Field

from blocks.api import server_clock
from graphql_jobs.errors import InvalidInput
from graphql_jobs.inputs import Name
from tasks.forms import with_form
from tasks.names import named_after
from tasks.parameters import MAX_WAIT_S
from tasks.run_state import ends_in_a_state
from tasks.suspending.shard import Shard
from tasks.suspending.watcher import Watcher

#: Our choice: the time that the process has to end after a signal. A watcher may be killed at any instant.
END_WITHIN_S = 5.0
#: That of Prefect's own logs.
LOG_FORMAT = "%(asctime)s.%(msecs)03d | %(levelname)-7s | %(name)s - %(message)s"


@with_form(
    for_s="Watch for (seconds)",
    shard="Part of the runs",
)
@flow(
    name="watch-suspended-runs",
    flow_run_name=named_after(lambda given: f"watcher {given['shard']}"),
    retries=0,
    validate_parameters=False,
)
@ends_in_a_state
async def watch_suspended_runs(
    for_s: Annotated[float, Field(gt=0, le=MAX_WAIT_S)] = 3600.0, shard: Name = "1/1"
) -> dict[str, object]:
    """Wait for the jobs of all suspended runs, and resume each run when its jobs have ended.

    Args:
        for_s: End this run after this many seconds. Suspended runs stay suspended until the next one.
        shard: The part of all runs that this run watches, such as 1/2 and 2/2 for two watchers.

    Returns:
        How many runs are suspended, and how many were resumed or ended.
    """
    part, clock = Shard.of(shard), await server_clock()
    watcher = Watcher(part, clock)
    end_at = clock.monotonic() + for_s
    await watcher.run(lambda: clock.monotonic() >= end_at)
    return watcher.tally.numbers()


async def _until_signal(shard: Shard) -> None:
    watching = asyncio.create_task(_watch(shard))

    def end() -> None:
        # A request, a queued log line or an event may wait for Prefect's API for minutes.
        forced = threading.Timer(END_WITHIN_S, os._exit, (0,))
        forced.daemon = True
        forced.start()
        watching.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    with suppress(asyncio.CancelledError):
        await watching


async def _watch(shard: Shard) -> None:
    await Watcher(shard, await server_clock()).run()


def main() -> None:
    """Watch until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m flows.watch_suspended_runs", description=__doc__)
    parser.add_argument("--shard", default="1/1", help="the part of all runs to watch: 1/2 and 2/2 for two watchers")
    text = parser.parse_args().shard
    try:
        shard = Shard.of(text)
    except InvalidInput as error:
        parser.error(str(error))
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, datefmt="%H:%M:%S", force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.info("Watching suspended runs, shard %s.", text)
    asyncio.run(_until_signal(shard))


if __name__ == "__main__":
    main()
