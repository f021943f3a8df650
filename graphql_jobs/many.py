"""One call for each of many jobs, concurrently."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

#: Our choice: the maximum number of concurrent calls.
AT_ONCE = 20


async def each(
    keys: Collection[K], call: Callable[[K], Awaitable[T]], at_once: int = AT_ONCE
) -> dict[K, T | Exception]:
    """Return the result of `call` for each key, or the exception that it raises."""
    slots = asyncio.Semaphore(at_once)

    async def one(key: K) -> T | Exception:
        async with slots:
            try:
                return await call(key)
            except Exception as error:
                return error

    return dict(zip(keys, await asyncio.gather(*map(one, keys)), strict=True))
