"""A small server with the API of Acme, the example of docs/how-to/add-a-provider.md."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.graphql_jobs.conftest import plain_answer

if TYPE_CHECKING:
    from aiohttp import web


class Acme:
    """Acme's server: each read of a render shows the next word of `words`."""

    def __init__(self) -> None:
        self.renders: dict[str, dict[str, Any]] = {}
        self.words = ["WAITING", "RENDERING", "DONE"]
        self.calls = Counter[str]()
        self.fault = ""
        #: The values of the header X-Gateway.
        self.gateway: set[str] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One operation."""
        call = await request.json()
        self.gateway |= {request.headers.get("X-Gateway", "")}
        name, variables = call["operationName"], call.get("variables", {})
        self.calls[name] += 1
        return plain_answer(getattr(self, re.sub("(?<!^)(?=[A-Z])", "_", name).lower())(variables, request))

    def identify(self, variables: dict[str, Any], request: web.Request) -> Any:
        """The smallest query."""
        return {"data": {"__typename": "Query"}}

    def start_render(self, variables: dict[str, Any], request: web.Request) -> Any:
        """Create a render. Faults: refuse it, lose the answer, or also lose a part of each later list."""
        if self.fault == "refused":
            return {"errors": [{"message": "no such film", "code": "UNKNOWN_FILM"}]}
        render_id = f"r-{len(self.renders)}"
        words = iter(self.words)
        self.renders[render_id] = {"note": variables["note"], "words": words, "status": next(words)}
        if self.fault:
            assert request.transport is not None
            request.transport.close()
        return {"data": {"startRender": {"id": render_id}}}

    def find_renders(self, variables: dict[str, Any], request: web.Request) -> Any:
        """The renders with a note."""
        found = [{"id": one} for one, render in self.renders.items() if render["note"] == variables["note"]]
        return {"data": {"findRenders": [*found, *([None] if found and self.fault == "lost twice" else [])]}}

    def read_renders(self, variables: dict[str, Any], request: web.Request) -> Any:
        """Renders by their ids, at most ten."""
        if len(variables["ids"]) > 10:
            return {"errors": [{"message": "ten at most", "code": "TOO_MANY_IDS"}]}
        known = [one for one in variables["ids"] if one in self.renders]
        return {"data": {"renders": [self.shown(one) for one in known]}}

    def cancel_render(self, variables: dict[str, Any], request: web.Request) -> Any:
        """Stop a render that has not started."""
        render = self.renders[variables["id"]]
        if render["status"] != "WAITING":
            return {"data": {"cancelRender": None}, "errors": [{"message": "it runs", "path": ["cancelRender"]}]}
        render.update(status="STOPPED", words=iter(()))
        return {"data": {"cancelRender": {"id": variables["id"]}}}

    def shown(self, render_id: str) -> dict[str, Any]:
        """The current state of a render; the next read shows the next word."""
        render = self.renders[render_id]
        word = render["status"]
        render["status"] = next(render["words"], word)
        error = "film too long" if word == "BROKEN" else None
        return {"id": render_id, "status": word, "error": error, "fileId": "file-1" if word == "DONE" else None}
