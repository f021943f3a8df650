"""`python -m scripts.benchmark.contestant NAME`: one contestant, as a process of its own.

Its first line of input is the setup as JSON; a second line comes when the jobs have begun. Only what the contestant
needs is imported, so that its memory is its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from benchmarks.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass(frozen=True)
class Setup:
    """What a contestant is told."""

    #: Of the emulator: its `url` and credentials.
    emulator: dict[str, str]
    job_ids: list[str]
    interval_s: float
    batch: int
    waits_at_most_s: float
    #: Requests per second that must not be exceeded; None: no budget.
    requests_per_s: float | None
    #: The waits that are cancelled on the way.
    cancelled_ids: list[str]
    record: str
    #: The document of our own check, so that a raw loop sends the same bytes.
    document: str


#: Where each contestant is, by the name that the harness uses.
PLACES = {
    "ours-ids": "benchmarks.ours:by_ids",
    "ours-aliases": "benchmarks.ours:by_aliases",
    "ours-each": "benchmarks.ours:one_wait_each",
    "ours-bare": "benchmarks.bare:by_ids",
    "ours-prefect": "benchmarks.under_prefect:one_task_for_all",
    "prefect-each": "benchmarks.under_prefect:one_task_each",
    "aiohttp": "benchmarks.unbatched:aiohttp_each",
    "gql": "benchmarks.unbatched:gql_each",
    "robosaur": "benchmarks.batched:robosaur",
    "raw-ids": "benchmarks.batched:raw_ids",
    "raw-spread": "benchmarks.batched:raw_ids_spread",
    "raw-aliases": "benchmarks.batched:raw_aliases",
    "feed-30": "benchmarks.feed:by_documented_pages",
    "feed-500": "benchmarks.feed:by_large_pages",
}


def main() -> None:
    """Run the contestant that the command line names."""
    logging.getLogger("graphql_jobs").setLevel(logging.ERROR)  # its warnings about planned faults would fill the screen
    module, _, function = PLACES[sys.argv[1]].partition(":")
    run = getattr(import_module(module), function)
    asyncio.run(_run(run, Setup(**json.loads(sys.stdin.readline()))))


async def _run(run: Callable[[Setup, Meter], Awaitable[None]], setup: Setup) -> None:
    async with Meter(setup.record) as meter:
        await run(setup, meter)


if __name__ == "__main__":
    main()
