"""Lists that do not end: a look is bounded in pages and in time, and what it could not read is never "not there"."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from graphql_jobs import Label, LocalStore, errors, submit_once
from graphql_jobs.providers import paging
from graphql_jobs.providers.aiware import AiwareClient, EngineJobSpec
from graphql_jobs.providers.aiware.job_lists import LIST_S, labelled_jobs
from graphql_jobs.providers.datasaur import DatasaurClient
from graphql_jobs.transport.auth import BearerToken
from graphql_jobs.transport.limits import Limits
from tests.clocks import FakeClock
from tests.graphql_jobs.submitting import ENGINE, LABEL, PROJECT, TASKS

if TYPE_CHECKING:
    from graphql_jobs import JobClient
    from tests.graphql_jobs.conftest import Serve

SINCE = 1_800_000_000.0
PLACES: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "a container of our own": ("aiware", TASKS, {"target_id": "7", "exclusive": True}),
    "a shared target": (
        "aiware",
        EngineJobSpec.of(engine_id=ENGINE, target_id="7"),
        {"target_id": "7", "engine_id": ENGINE},
    ),
    "a project's name": ("datasaur", PROJECT, {"name": "mine", "team_id": None}),
}


class Endless:
    """A server whose list has one more entry on each page, and whose answers take `answer_s` on the client's clock."""

    def __init__(self, answer_s: float) -> None:
        self.answer_s = answer_s
        self.asked = self.created = 0
        self.clock = FakeClock()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer with one more page."""
        self.created += "mutation" in (await request.json())["query"]
        self.asked += 1
        self.clock.now_s += self.answer_s
        job = {"id": str(self.asked), "targetId": "7", "tasks": {"records": [{"engineId": "another"}]}}
        project = {"id": str(self.asked), "name": "mine too"}
        return web.json_response({"data": {"jobs": {"records": [job]}, "result": {"nodes": [project]}}})


def client_of(provider: str, url: str, clock: FakeClock | None = None, **limits: Any) -> JobClient:
    """A client of the server at `url`."""
    kind = AiwareClient if provider == "aiware" else DatasaurClient
    client = kind.connect(url.removesuffix("/graphql"), BearerToken("x"), Limits(**limits))
    client.session.clock = clock or client.session.clock
    return client


async def left_open(spec: Any, provider: str, location: dict[str, Any]) -> LocalStore:
    """A store with an intent whose process died while it was sending."""
    store = LocalStore()
    intent = {"kind": "intent", "by": "dead", "at": SINCE - 1000, "provider": provider, "operation": spec.operation}
    await store.append(LABEL.key, 0, intent | {"key": LABEL.key, "spec": spec.summary(LABEL.key), "location": location})
    return store


@pytest.mark.parametrize("name", PLACES)
async def test_search_with_slow_answers_ends_after_submission_s(name: str, serve: Serve) -> None:
    """Answers of 20 s: six pages in the 120 s of `submission_s`, not 1,500 pages in eight hours."""
    provider, spec, location = PLACES[name]
    endless = Endless(answer_s=20)
    server = await serve(endless)
    async with client_of(provider, server.url, endless.clock) as client:
        with pytest.raises(errors.TimedOut, match=r"within 120 s \(submission_s=120\), after 6 pages"):
            await client.find(spec.operation, location, LABEL, SINCE)
    assert endless.asked == 6


@pytest.mark.parametrize("name", PLACES)
async def test_search_that_does_not_end_leaves_the_outcome_unknown(name: str, serve: Serve) -> None:
    """After a doubt: `SubmissionUnknown` with what to do, and no create is sent."""
    provider, spec, location = PLACES[name]
    endless = Endless(answer_s=20)
    server = await serve(endless)
    store = await left_open(spec, provider, location)
    async with client_of(provider, server.url, endless.clock) as client:
        with pytest.raises(errors.SubmissionUnknown, match="did not end within"):
            await submit_once(client, spec, store, Label(LABEL.key, "run-2"))
    assert endless.created == 0


@pytest.mark.parametrize("name", PLACES)
async def test_search_is_bounded_in_pages(name: str, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quick answers that give one entry at a time: a list that has not ended after so many pages was not read."""
    monkeypatch.setattr(paging, "MAX_PAGES", 7)
    provider, spec, location = PLACES[name]
    endless = Endless(answer_s=0)
    server = await serve(endless)
    async with client_of(provider, server.url, endless.clock) as client:
        with pytest.raises(errors.BadReply, match="more than 7 pages"):
            await client.find(spec.operation, location, LABEL, SINCE)
    assert endless.asked == 7


async def test_search_that_hangs_ends_after_submission_s(serve: Serve) -> None:
    """One answer that takes for ever, and retries without an end: `submission_s` bounds the look as a whole."""

    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.json_response({})

    server = await serve(hang)
    store = await left_open(TASKS, "aiware", {"target_id": "7", "exclusive": True})
    async with client_of("aiware", server.url, submission_s=0.3) as client:
        with pytest.raises(errors.SubmissionUnknown, match=r"longer than submission_s=0\.3"):
            await submit_once(client, TASKS, store, Label(LABEL.key, "run-2"))


async def test_list_of_labelled_jobs_is_bounded_in_time(serve: Serve) -> None:
    """Answers of a minute with one job each: half an hour, not 100,000 minutes."""
    endless = Endless(answer_s=60)
    server = await serve(endless)
    client = client_of("aiware", server.url, endless.clock)
    assert isinstance(client, AiwareClient)
    async with client:
        with pytest.raises(errors.TimedOut, match="did not end within 1800 s"):
            await labelled_jobs(client, 0, SINCE)
    assert endless.asked == LIST_S / 60
