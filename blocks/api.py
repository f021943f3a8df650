"""Calls to Prefect's API, with retries during its outages."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from math import inf
from typing import TypeVar

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.context import AsyncClientContext
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from graphql_jobs.clock import Clock, SteadyClock, SystemClock
from graphql_jobs.parsing import http_date_or_none

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Our choice: the outage budget for Prefect's API, the same as the default for a provider.
PERSIST_S = 3600.0
#: Our choices: the maximum of the first delay and of all. Prefect's client adds its own retries, up to a minute.
_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0
#: Our choice: the tolerated difference to the clock of Prefect's server. Its answers show the time to a second.
_CLOCK_SKEW_S = 5.0
_RETRIED_4XX = frozenset({408, 425, 429})
_clock = SystemClock()


async def persistent(call: Callable[[], Awaitable[T]], *, for_s: float = PERSIST_S, clock: Clock | None = None) -> T:
    """Return the result of `call`, which is retried while Prefect's API fails, for up to `for_s` seconds.

    A request whose response is lost is sent again, so `call` may only make requests that are safe to repeat. Raises
    what `call` raised last: immediately if this is not an outage (404, 409, 422), else after `for_s`.
    """
    clock = clock or _clock
    began_at = clock.monotonic()

    async def attempt() -> T:
        return await call()

    def stop(state: RetryCallState) -> bool:
        return clock.monotonic() + state.upcoming_sleep > began_at + for_s

    def log_outage(state: RetryCallState) -> None:
        if state.attempt_number == 1:
            error = state.outcome.exception() if state.outcome else None
            text = f"{type(error).__name__}: {error}"[:300]
            logger.warning("Prefect's API failed: %s. Retrying for up to %.0f min.", text, for_s / 60)

    retrying = AsyncRetrying(
        retry=retry_if_exception(is_outage),
        wait=wait_random_exponential(multiplier=_FIRST_DELAY_S, max=_LONGEST_DELAY_S),
        stop=stop,
        sleep=clock.sleep,
        before_sleep=log_outage,
        reraise=True,
    )
    answer: T = await retrying(attempt)
    if retrying.statistics["attempt_number"] > 1:
        logger.info("Prefect's API answers again, after %.0f s.", clock.monotonic() - began_at)
    return answer


async def ask(call: Callable[[PrefectClient], Awaitable[T]], *, for_s: float = PERSIST_S) -> T:
    """Return the result of one call of Prefect's client, with retries during an outage: see `persistent`.

    run = await ask(lambda client: client.read_flow_run(run_id))
    """

    async def asked() -> T:
        async with get_client() as client:
            return await call(client)

    return await persistent(asked, for_s=for_s)


async def server_clock(clock: Clock | None = None) -> Clock:
    """Return a clock that shows the time of Prefect's server, also if this machine's clock is wrong."""
    clock = clock or _clock
    answer = await ask(lambda client: client.request("POST", "/flow_runs/filter", json={"limit": 1}), for_s=inf)
    server_at = http_date_or_none(answer.headers.get("Date"))
    ahead_s = clock.now() - server_at.timestamp() if server_at else 0.0
    if abs(ahead_s) < _CLOCK_SKEW_S:
        return SteadyClock(clock)
    logger.warning("This machine's clock is %.0f s ahead of that of Prefect's server, which counts.", ahead_s)
    return SteadyClock(clock, ahead_s)


def is_outage(error: BaseException) -> bool:
    """Whether Prefect's API could not be reached or failed, so that the same call may succeed later."""
    if isinstance(error, httpx.HTTPStatusError):  # also Prefect's own error
        return error.response.status_code >= 500 or error.response.status_code in _RETRIED_4XX
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)


@asynccontextmanager
async def one_client() -> AsyncIterator[None]:
    """Share one Prefect client among all calls of `get_client()` in this context. A new client takes 50 ms of a core.

    If Prefect's API cannot be reached now, each call makes its own client.
    """
    async with AsyncExitStack() as undo:
        try:
            await undo.enter_async_context(AsyncClientContext.get_or_create())
        except Exception as error:  # Prefect's context reads the server's version first and wraps errors
            logger.debug("No client is shared: %s", error)
        yield
