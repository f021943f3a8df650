"""Which Prefect API the process of the tests calls, and where its server's output goes."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def api_at(url: str) -> Iterator[None]:
    """Call the API at this address.

    A process has one sender of events, which keeps the address that it began with. It is ended before and after, or
    events of later tests would go to a server that has ended, where each one is tried for a minute.
    """
    _send_all_events()
    try:
        with temporary_settings({PREFECT_API_URL: url}):
            yield
    finally:
        _send_all_events()


def _send_all_events() -> None:
    """End the sender after its last event. In a thread of its own, where no event loop runs, it returns a result."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(EventsWorker.drain_all, timeout=30).result()


@contextmanager
def output_to(log: Path) -> Iterator[None]:
    """Write the output of processes that are started meanwhile to `log`."""
    with log.open("wb") as file:
        kept = [(number, os.dup(number)) for number in (1, 2)]
        for number, _ in kept:
            os.dup2(file.fileno(), number)
        try:
            yield
        finally:
            for number, copy in kept:
                os.dup2(copy, number)
                os.close(copy)
