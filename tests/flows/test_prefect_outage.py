"""Prefect's API fails whenever a flow of ours calls it: one job, and what comes next is started once."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.flows.conftest import SUBMITTING, WAITING, Run, jobs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from graphql_jobs.emulator import Emulator
    from tests.conftest import Deploy, RunsOf

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

#: What this project asks for; what Prefect's engine asks for by itself is none of our business.
OURS = re.compile(r"/flow_runs/[^/]+/input|/variables|/deployments/name/|/create_flow_run|/block_documents/name/")
_OF_THE_CONNECTION = frozenset({"host", "connection", "content-length", "transfer-encoding", "content-encoding"})


class FailingApi:
    """Passes requests on to Prefect's server. The first of each answers 500 unread, the second 500 after the work."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: dict[tuple[str, str, bytes], int] = {}

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        body = await request.read()
        this = (request.method, request.path_qs, body)
        times = 2
        if OURS.search(request.path):
            times = self.asked.setdefault(this, 0)
            self.asked[this] += 1
        if times == 0:
            raise web.HTTPInternalServerError
        kept = {name: value for name, value in request.headers.items() if name.lower() not in _OF_THE_CONNECTION}
        async with (
            aiohttp.ClientSession() as http,
            http.request(request.method, f"{self.url}{request.path_qs}", data=body, headers=kept) as answered,
        ):
            content = await answered.read()
            passed = {name: value for name, value in answered.headers.items() if name.lower() not in _OF_THE_CONNECTION}
        if times == 1:
            raise web.HTTPInternalServerError
        return web.Response(status=answered.status, body=content, headers=passed)


@asynccontextmanager
async def failing_api() -> AsyncIterator[FailingApi]:
    """Within it, Prefect's client in this process asks a server that fails."""
    api = FailingApi(PREFECT_API_URL.value().removesuffix("/api"))
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{runner.addresses[0][1]}/api"}):
            yield api
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("name", ["auto-label", "aiware engine"])
@pytest.mark.parametrize("key", [None, "own key"])
async def test_run_outlives_a_failure_of_each_call(
    name: str, key: str | None, run: Run, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """Each call fails twice, once before and once after its work: one job, one downstream run, Completed."""
    downstream = await deploy(f"after-outage-{name}-{key}".replace(" ", "-"))
    async with failing_api() as api:
        state = await run(SUBMITTING[name], key=key and f"{key} {name}", downstream=[downstream])
    assert state.name == "Completed", state.message
    assert len(jobs(emulator)) == 1
    assert len(await runs_of(downstream)) == 1
    asked = " ".join(path for _, path, _ in api.asked)
    assert all(word in asked for word in ("/input", "/deployments/name/", "/create_flow_run", "/block_documents/"))


async def test_sensor_outlives_a_failure_of_each_call(
    run: Run, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """The same for jobs that somebody else submitted."""
    downstream = await deploy("after-outage-sensor")
    job_ids = [emulator.datasaur.plant().id for _ in range(3)]
    async with failing_api():
        state = await run(
            WAITING, provider="datasaur", job_ids=job_ids, downstream=[downstream], unchanged_at_most_s=3600
        )
    assert state.name == "Completed", state.message
    assert len(await runs_of(downstream)) == 1
