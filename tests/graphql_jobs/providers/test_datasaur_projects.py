"""Projects that were found instead of their jobs: each takes its own request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from graphql_jobs import wait, wait_many
from graphql_jobs.job import Job, JobState
from graphql_jobs.providers.datasaur import DatasaurClient
from graphql_jobs.providers.datasaur.reader import DIALECT
from tests.graphql_jobs.waits import EVERY_5_S

if TYPE_CHECKING:
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import OpenSession, Serve


async def test_projects_do_not_delay_the_polls_of_jobs(
    serve: Serve, open_session: OpenSession, clock: FakeClock
) -> None:
    """Thirty projects take a minute each; a job that is done is seen immediately."""

    async def answer(request: web.Request) -> web.StreamResponse:
        variables = (await request.json())["variables"]
        if "id" in variables:
            await clock.sleep(60)
            return web.json_response({"data": {"result": {"id": variables["id"]}}})
        jobs = [{"id": one, "status": "DELIVERED"} for one in variables.get("jobIds", [variables.get("jobId")])]
        return web.json_response({"data": {"result": jobs if "jobIds" in variables else jobs[0]}})

    client = DatasaurClient(await open_session((await serve(answer)).url, dialect=DIALECT))
    projects = [client.handle(f"project:{number}") for number in range(30)]
    began_at = clock.now()

    async def others() -> list[object]:
        return [ended async for _, ended in wait_many(client, projects, EVERY_5_S)]

    beside = asyncio.create_task(others())
    assert (await wait(client, client.handle("j1"), EVERY_5_S)).state is JobState.SUCCEEDED
    assert clock.now() - began_at <= 6
    ends = await beside
    assert [type(one) for one in ends] == [Job] * 30
