"""Prefect's API fails at each call of a flow: one job, and one downstream run."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.flows.conftest import SUBMITTING, WAITING, Run, jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphql_jobs.emulator import Emulator
    from tests.conftest import Deploy, RunsOf

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

#: The requests of this project; the requests of Prefect's engine are not tested.
OURS = re.compile(r"/flow_runs/[^/]+/input|/variables|/deployments/name/|/create_flow_run|/block_documents/name/")
_OF_THE_CONNECTION = frozenset({"host", "connection", "content-length", "transfer-encoding", "content-encoding"})


class FailingApi:
    """Forwards requests to Prefect's server. The first of each answers 500 unread, the second 500 after the work."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: dict[tuple[str, str, bytes], int] = {}

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        body = await request.read()
        # Prefect creates a new task run each time that a deployment is started: the bodies differ.
        this = (request.method, request.path_qs, b"" if request.path.endswith("/create_flow_run") else body)
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


@contextmanager
def failing_api() -> Iterator[FailingApi]:
    """Within it, Prefect's client in this process uses a server that fails.

    The server has its own thread, since Prefect also sends requests from sync code that blocks the event loop.
    """
    api = FailingApi(PREFECT_API_URL.value().removesuffix("/api"))
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> str:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/api"

    try:
        url = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
        EventsWorker.instance()  # it keeps the server's address, so that it does not send later tests' events to `api`
        with temporary_settings({PREFECT_API_URL: url}):
            yield api
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


@pytest.mark.parametrize("name", ["auto-label", "aiware engine"])
@pytest.mark.parametrize("key", [None, "own key"])
async def test_run_survives_a_failure_of_each_call(
    name: str, key: str | None, run: Run, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """Each call fails twice, once before and once after its work: one job, one downstream run, Completed."""
    downstream = await deploy(f"after-outage-{name}-{key}".replace(" ", "-"))
    with failing_api() as api:
        state = await run(SUBMITTING[name], key=key and f"{key} {name}", downstream=[downstream])
    assert state.name == "Completed", state.message
    assert len(jobs(emulator)) == 1
    assert len(await runs_of(downstream)) == 1
    asked = " ".join(path for _, path, _ in api.asked)
    assert all(word in asked for word in ("/input", "/deployments/name/", "/create_flow_run", "/block_documents/"))


async def test_sensor_survives_a_failure_of_each_call(
    run: Run, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """The same for jobs of other submitters."""
    downstream = await deploy("after-outage-sensor")
    job_ids = [emulator.datasaur.plant().id for _ in range(3)]
    with failing_api():
        state = await run(
            WAITING, provider="datasaur", job_ids=job_ids, downstream=[downstream], unchanged_at_most_s=3600
        )
    assert state.name == "Completed", state.message
    assert len(await runs_of(downstream)) == 1
