"""One session per event loop, endpoint, credential and dialect (guarantee 5).

The whole process shares the rate limit: Prefect runs each task that is submitted to a thread in its own loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from graphql_jobs.errors import InvalidInput
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.session import Session

if TYPE_CHECKING:
    from graphql_jobs.transport.auth import Auth
    from graphql_jobs.transport.diagnosis import Dialect
    from graphql_jobs.transport.rate_limit import RateWindow

_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str, Dialect], Session]] = WeakKeyDictionary()
_windows: dict[tuple[str, str, float | None], RateWindow] = {}


def shared_session(url: str, auth: Auth, dialect: Dialect, limits: Limits = Limits()) -> Session:
    """Return this event loop's session for this endpoint, credential and dialect. The first call's `limits` apply.

    Call it in async code: aiohttp's connections are bound to an event loop. Raises `InvalidInput` elsewhere.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise InvalidInput(
            "get_client", "it was called outside of async code. Call it in an `async def` or through a task."
        ) from None
    shared, key = _shared.setdefault(loop, {}), (url, auth.fingerprint, dialect)
    if key not in shared:
        window = (url, auth.fingerprint, limits.requests_per_s)
        session = shared[key] = Session(url, auth, dialect, limits)
        session.rate_limit.window = _windows.setdefault(window, session.rate_limit.window)
    return shared[key]
