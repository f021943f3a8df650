"""The emulator in a thread of its own: for synchronous code, and for tests with any event loop or none."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from graphql_jobs.emulator.server import Emulator


@contextmanager
def in_thread(emulator: Emulator) -> Iterator[Emulator]:
    """Run the emulator during the `with` block. Its clock, faults and ledger may be used from the caller's thread."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="emulator", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(emulator.__aenter__(), loop).result()
        try:
            yield emulator
        finally:
            asyncio.run_coroutine_threadsafe(emulator.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
