"""One session per event loop, endpoint, credential, dialect, network settings and time-outs (guarantee 5).

The whole process shares the rate limit: Prefect runs each task that is submitted to a thread in its own loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from graphql_jobs.errors import InvalidInput
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.network import Network
from graphql_jobs.transport.session import Session

if TYPE_CHECKING:
    from graphql_jobs.transport.auth import Auth
    from graphql_jobs.transport.diagnosis import Dialect
    from graphql_jobs.transport.rate_limit import RateWindow

_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[object, ...], Session]] = WeakKeyDictionary()
_windows: dict[tuple[str, str, float | None], RateWindow] = {}


def shared_session(
    url: str, auth: Auth, dialect: Dialect, limits: Limits = Limits(), network: Network = Network()
) -> Session:
    """Return this event loop's session for this endpoint, credential, dialect, network settings and time-outs.

    The first call's other `limits` apply. Call it in async code: aiohttp's connections are bound to an event loop.
    Raises `InvalidInput` elsewhere.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise InvalidInput(
            "get_client", "it was called outside of async code. Call it in an `async def` or through a task."
        ) from None
    shared, key = _shared.setdefault(loop, {}), _key(url, auth, dialect, limits, network)
    if key not in shared:
        window = (url, auth.fingerprint, limits.requests_per_s)
        session = shared[key] = Session(url, auth, dialect, limits, network=network)
        session.rate_limit.window = _windows.setdefault(window, session.rate_limit.window)
    return shared[key]


def _key(url: str, auth: Auth, dialect: Dialect, limits: Limits, network: Network) -> tuple[object, ...]:
    timeouts = limits.connect_s, limits.read_s, limits.request_s
    return (url, auth.fingerprint, dialect, timeouts, network.fingerprint)
