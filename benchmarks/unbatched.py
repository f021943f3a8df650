"""A coroutine per wait: with aiohttp, and with gql."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import aiohttp

from benchmarks.cancelling import cancel_some
from benchmarks.wire import GET_JOB, Datasaur, Unauthorized, is_good_end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.contestant import Setup
    from benchmarks.meter import Meter


async def aiohttp_each(setup: Setup, meter: Meter) -> None:
    """One shared session, as aiohttp's documentation advises; a failed look is made again at the next tick."""
    async with aiohttp.ClientSession() as http:
        datasaur = Datasaur(http, setup.emulator)

        async def look(job_id: str) -> str | None:
            try:
                job = await datasaur.ask(GET_JOB, {"jobId": job_id})
            except Unauthorized as refusal:
                await datasaur.sign_in(refusal.refused)
                return None
            return job["status"] if job else None

        await wait_each(look, setup, meter)


async def gql_each(setup: Setup, meter: Meter) -> None:
    """One shared gql session, the document parsed once."""
    from gql import Client, gql
    from gql.transport.aiohttp import AIOHTTPTransport
    from gql.transport.exceptions import TransportError

    async with aiohttp.ClientSession() as http:
        token = await Datasaur(http, setup.emulator).sign_in()
    transport = AIOHTTPTransport(f"{setup.emulator['url']}/graphql", headers={"Authorization": f"Bearer {token}"})
    query = gql(GET_JOB)
    async with Client(transport=transport, execute_timeout=None) as session:

        async def look(job_id: str) -> str | None:
            try:
                reply = await session.execute(query, variable_values={"jobId": job_id})
            except TransportError:
                return None
            return reply["result"]["status"] if reply["result"] else None

        await wait_each(look, setup, meter)


async def wait_each(look: Callable[[str], Awaitable[str | None]], setup: Setup, meter: Meter) -> None:
    """A coroutine per job on a fixed grid of T, with phases that are spread over the first interval."""
    random = Random(1)  # noqa: S311 (spreads load, guards nothing)
    meter.begin()
    tasks = {
        job_id: asyncio.create_task(_wait(look, job_id, random.uniform(0, setup.interval_s), setup, meter))
        for job_id in setup.job_ids
    }
    cancelling = asyncio.create_task(cancel_some(tasks, setup, meter))
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    await cancelling


async def _wait(
    look: Callable[[str], Awaitable[str | None]], job_id: str, phase_s: float, setup: Setup, meter: Meter
) -> None:
    loop = asyncio.get_running_loop()
    due_at = loop.time() + phase_s
    give_up_at = loop.time() + setup.waits_at_most_s
    while due_at < give_up_at:
        await asyncio.sleep(due_at - loop.time())
        status = await _status(look, job_id)
        if (good := is_good_end(status)) is not None:
            meter.tell(job_id, "succeeded" if good else "failed")
            return
        due_at = max(due_at + setup.interval_s, loop.time())
    meter.tell(job_id, "gave_up")


async def _status(look: Callable[[str], Awaitable[str | None]], job_id: str) -> str | None:
    try:
        return await look(job_id)
    except (aiohttp.ClientError, TimeoutError, RuntimeError, ValueError):
        return None
