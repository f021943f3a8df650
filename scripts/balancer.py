"""A load balancer on loopback: `python -m scripts.balancer PORT TARGET_PORT TARGET_PORT ...`.

It assigns connections to the targets in turn, and skips a target that accepts none. When a target is killed, its
connections end; Prefect's clients connect again and reach another one.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Sequence

_HOST = "127.0.0.1"
_CHUNK_BYTES = 64 * 1024


async def balance(port: int, targets: Sequence[int]) -> None:
    """Accept connections at `port` until the process ends."""
    turns = itertools.cycle(targets)

    async def handle(reader: StreamReader, writer: StreamWriter) -> None:
        for target in itertools.islice(turns, len(targets)):
            with suppress(OSError):
                await _join((reader, writer), await asyncio.open_connection(_HOST, target))
                return
        writer.close()

    server = await asyncio.start_server(handle, _HOST, port)
    print("ready", flush=True)
    await server.serve_forever()


async def _join(client: tuple[StreamReader, StreamWriter], target: tuple[StreamReader, StreamWriter]) -> None:
    """Copy in both directions until one side ends; the data read so far is still sent."""
    copies = [asyncio.create_task(_copy(*ends)) for ends in ((client[0], target[1]), (target[0], client[1]))]
    await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    for copy, (_, writer) in zip(copies, (target, client), strict=True):
        copy.cancel()
        writer.close()


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()


if __name__ == "__main__":
    asyncio.run(balance(*(int(sys.argv[1]), [int(port) for port in sys.argv[2:]])))
