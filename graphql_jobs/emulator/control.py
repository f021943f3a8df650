"""The control plane: the functions of the Python objects, for other processes on this machine."""

import json
from typing import Any

from aiohttp import web

from graphql_jobs.emulator.clock import Clock
from graphql_jobs.emulator.faults import FaultPlan, fault_from_json
from graphql_jobs.emulator.ledger import Ledger
from graphql_jobs.emulator.load.judge import End
from graphql_jobs.emulator.load.workload import Workload


class ControlPlane:
    """Routes below /_emulator, without faults and without records."""

    def __init__(self, clock: Clock, faults: FaultPlan, ledger: Ledger, workload: Workload) -> None:
        self._clock = clock
        self._faults = faults
        self._ledger = ledger
        self._workload = workload

    def routes(self) -> list[web.RouteDef]:
        """Return the routes for the application."""
        return [
            web.get("/_emulator/health", self._health),
            web.get("/_emulator/ledger", self._show_ledger),
            web.post("/_emulator/faults", self._add_fault),
            web.delete("/_emulator/faults", self._clear_faults),
            web.post("/_emulator/clock", self._advance),
            web.post("/_emulator/workload", self._plant),
            web.get("/_emulator/workload", self._progress),
            web.post("/_emulator/workload/start", self._start),
            web.post("/_emulator/workload/ends", self._add_ends),
            web.get("/_emulator/workload/verdict", self._verdict),
        ]

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "now_at": self._clock.now()})

    async def _show_ledger(self, _request: web.Request) -> web.Response:
        return web.json_response(text=self._ledger.to_json())

    async def _add_fault(self, request: web.Request) -> web.Response:
        try:
            self._faults.add(fault_from_json(await _json_object(request)))
        except (TypeError, ValueError) as error:
            return _bad_request(error)
        return web.json_response({"status": "added"}, status=201)

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self._faults.clear()
        return web.json_response({"status": "cleared"})

    async def _advance(self, request: web.Request) -> web.Response:
        try:
            self._clock.advance(float((await _json_object(request))["advance_s"]))
        except (KeyError, TypeError, ValueError) as error:
            return _bad_request(error)
        return web.json_response({"now_at": self._clock.now()})

    async def _plant(self, request: web.Request) -> web.Response:
        try:
            job_ids = self._workload.plant((await _json_object(request))["durations_s"])
        except (KeyError, TypeError, ValueError) as error:
            return _bad_request(error)
        return web.json_response({"job_ids": job_ids}, status=201)

    async def _progress(self, _request: web.Request) -> web.Response:
        return web.json_response(self._workload.progress())

    async def _start(self, _request: web.Request) -> web.Response:
        return web.json_response({"started_at": self._workload.start()})

    async def _add_ends(self, request: web.Request) -> web.Response:
        """`{"ends": [[job id, outcome, instant or null], ...]}`."""
        try:
            self._workload.add_ends([End(*end) for end in (await _json_object(request))["ends"]])
        except (KeyError, TypeError, ValueError) as error:
            return _bad_request(error)
        return web.json_response({"status": "noted"})

    async def _verdict(self, _request: web.Request) -> web.Response:
        return web.json_response(self._workload.verdict())


async def _json_object(request: web.Request) -> dict[str, Any]:
    data = json.loads(await request.text())
    if not isinstance(data, dict):
        raise ValueError("the body must be one JSON object")
    return data


def _bad_request(error: Exception) -> web.Response:
    return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
