"""A small server with Dagster's API for runs, in which a fault can be set."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.graphql_jobs.conftest import plain_answer

if TYPE_CHECKING:
    from aiohttp import web

PYTHON_ERROR = {"__typename": "PythonError", "message": "the database is gone"}
REFUSALS = {
    "refused": {"__typename": "RunConfigValidationInvalid", "message": "no such op"},
    "unheard of": {"__typename": "BrandNewError", "message": "t0k3n-5ecret is odd"},
    "outage": PYTHON_ERROR,
}


class Runs:
    """Each read of a run shows the next word of `words`."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.words = ["QUEUED", "STARTED", "SUCCESS"]
        self.fault = ""
        self.calls = Counter[str]()
        self.headers: list[Any] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One operation."""
        call = await request.json()
        name, variables = call["operationName"], call.get("variables", {})
        self.calls[name] += 1
        self.headers.append(request.headers)
        if self.fault == "503":
            return plain_answer((503, "no"))
        answer = {"data": getattr(self, "listed" if name == "Runs" else str(name).lower())(variables)}
        if self.fault.startswith("lost") and name == "Launch":
            assert request.transport is not None
            request.transport.close()
        return plain_answer(answer)

    def launch(self, variables: dict[str, Any]) -> Any:
        """Start a run, or answer with the member of the union that the fault names."""
        if refusal := REFUSALS.get(self.fault):
            return {"launchRun": refusal}
        run_id = f"{len(self.runs):08x}-0000-4000-8000-000000000000"
        self.runs[run_id] = {"key": variables["key"], "words": iter(self.words), "status": None, "values": variables}
        return {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": run_id}}}

    def find(self, variables: dict[str, Any]) -> Any:
        """The runs with a tag."""
        key, holes = variables["key"], [None] if self.runs and self.fault == "lost twice" else []
        found = [{"runId": one, "creationTime": 1.8e9} for one, run in self.runs.items() if run["key"] == key]
        return {"runsOrError": {"__typename": "Runs", "results": [*found, *holes]}}

    def listed(self, variables: dict[str, Any]) -> Any:
        """Runs by their ids, at most ten."""
        if self.fault == "outage":
            return {"runsOrError": PYTHON_ERROR}
        if self.fault == "one is broken" and list(self.runs)[3] in variables["ids"]:
            return {"runsOrError": {"__typename": "InvalidRunsError", "message": "a run is broken"}}
        known = [one for one in variables["ids"] if one in self.runs]
        shown = known[: 10 if self.fault == "short lists" else len(known)]
        return {"runsOrError": {"__typename": "Runs", "results": [self.shown(one) for one in shown]}}

    def terminate(self, variables: dict[str, Any]) -> Any:
        """Stop a run that has not started."""
        run = self.runs[variables["id"]]
        if self.fault == "refused":
            return {"terminateRun": {"__typename": "TerminateRunFailure", "message": "it cannot be terminated"}}
        run.update(status="CANCELED", words=iter(()))
        return {"terminateRun": {"__typename": "TerminateRunSuccess"}}

    def identify(self, variables: dict[str, Any]) -> Any:
        """The smallest query."""
        return {"__typename": "Query"}

    def shown(self, run_id: str) -> dict[str, Any]:
        """The current state of a run; the next read shows the next word."""
        run = self.runs[run_id]
        run["status"] = next(run["words"], run["status"])
        return {"runId": run_id, "status": run["status"], "creationTime": 1.8e9, "updateTime": 1.8e9}
