"""A proxy between the flows and the emulator, which sees each request and kills the sender of the planned one.

A process cannot distinguish a request that was sent from one that was carried out. The proxy can.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Self

import aiohttp
import psutil
from aiohttp import web

from tests.crashes.plan import Point, Trial

if TYPE_CHECKING:
    from pathlib import Path

#: They belong to one connection, or are generated.
_NOT_PASSED_ON = frozenset({"host", "connection", "content-length", "transfer-encoding", "content-encoding", "date"})
_LOOK_AGAIN_S = 0.01


class Proxy:
    """Use as `async with Proxy(url, folder) as proxy:`. `folder` holds the plans."""

    def __init__(self, target_url: str, folder: Path) -> None:
        self.url = ""
        self._target_url = target_url
        self._folder = folder
        self._armed: list[Trial] = []
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._http = await self._resources.enter_async_context(aiohttp.ClientSession(auto_decompress=True))
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        self._resources.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._resources.aclose()

    def arm(self, trial: Trial) -> None:
        """Kill the trial's process when its request arrives, if that is its point."""
        if trial.point in (Point.REQUEST_LEFT, Point.WORK_DONE):
            self._armed.append(trial)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        trial = next((trial for trial in self._armed if _is_of(trial, body)), None)
        if trial is None:
            return await self._pass_on(request, body)
        self._armed.remove(trial)
        if trial.point is Point.REQUEST_LEFT:
            await self._kill(trial)
            if not trial.is_lost:
                await self._pass_on(request, body)
        else:
            await self._pass_on(request, body)
            await self._kill(trial)
        raise web.HTTPGone  # the reader was killed

    async def _pass_on(self, request: web.Request, body: bytes) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON}
        url = f"{self._target_url}{request.path_qs}"
        async with self._http.request(request.method, url, data=body, headers=headers, allow_redirects=False) as answer:
            passed = {name: value for name, value in answer.headers.items() if name.lower() not in _NOT_PASSED_ON}
            return web.Response(status=answer.status, body=await answer.read(), headers=passed)

    async def _kill(self, trial: Trial) -> None:
        """Kill the process, and return when it has ended."""
        pid = int((self._folder / f"{trial.name}.pid").read_text())
        process = psutil.Process(pid)
        (self._folder / f"{trial.name}.json").rename(self._folder / f"{trial.name}.struck")
        os.kill(pid, signal.SIGKILL)
        with suppress(psutil.NoSuchProcess):  # its parent has seen its end
            while process.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110 (it tells nobody)
                await asyncio.sleep(_LOOK_AGAIN_S)


def _is_of(trial: Trial, body: bytes) -> bool:
    """The request that starts the trial's job."""
    return trial.name.encode() in body and trial.operation.field.encode() in body
