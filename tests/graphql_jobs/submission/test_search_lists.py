"""Lists that a search reads: a list that may lack the job never proves its absence, and each reading is bounded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiohttp import web

from graphql_jobs import Label, LocalStore, errors, submit_once
from graphql_jobs.providers import paging
from graphql_jobs.providers.aiware import AiwareClient, EngineJobSpec, job_lists
from graphql_jobs.providers.datasaur import DatasaurClient
from graphql_jobs.transport.auth import BearerToken
from graphql_jobs.transport.limits import Limits
from tests.clocks import FakeClock, use_clock
from tests.graphql_jobs.submitting import ENGINE, LABEL, PROJECT, TASKS

if TYPE_CHECKING:
    from graphql_jobs import JobClient, JobSpec
    from graphql_jobs.providers.recovery import Location
    from tests.graphql_jobs.conftest import Serve

SINCE = 1_800_000_000.0


class Case(NamedTuple):
    """The client, the operation and the location of a search."""

    provider: str
    spec: JobSpec
    location: Location


LAUNCH = EngineJobSpec.of(engine_id=ENGINE, target_id="7")
CASES = {
    "a container of its own": Case("aiware", TASKS, {"target_id": "7", "exclusive": True}),
    "a shared target": Case("aiware", TASKS, {"target_id": "7"}),
    "a launch on a shared target": Case("aiware", LAUNCH, {"target_id": "7", "engine_id": ENGINE}),
    "a project's name": Case("datasaur", PROJECT, {"name": "mine", "team_id": None}),
}
JOBS = ["a container of its own", "a shared target", "a launch on a shared target"]


def client_of(case: Case, url: str, clock: FakeClock | None = None, **limits: Any) -> JobClient:
    """A client of the server at `url`, with its own clock."""
    kind = AiwareClient if case.provider == "aiware" else DatasaurClient
    client = kind.connect(url.removesuffix("/graphql"), BearerToken("x"), Limits(**{"attempts": 1} | limits))
    use_clock(client.session, clock or FakeClock())
    return client


async def found_by(client: JobClient, case: Case) -> list[str]:
    """The ids that a search returns."""
    async with client:
        return [one.job_id for one in await client.find(case.spec.operation, case.location, LABEL, SINCE)]


async def submit_after_a_lost_answer(client: JobClient, case: Case) -> None:
    """Submit after a process was killed between its intent and the create."""
    store, spec = LocalStore(), case.spec
    intent = {"kind": "intent", "by": "dead", "at": SINCE - 1000, "provider": case.provider, "location": case.location}
    more = {"operation": spec.operation, "key": LABEL.key, "spec": spec.summary(LABEL.key)}
    await store.append(LABEL.key, 0, intent | more)
    async with client:
        await submit_once(client, spec, store, Label(LABEL.key, "run-2"))


def jobs(*records: Any) -> dict[str, Any]:
    """A page of jobs."""
    return {"data": {"jobs": {"records": list(records)}}}


def projects(*nodes: Any, **more: Any) -> dict[str, Any]:
    """A page of projects."""
    return {"data": {"result": {"nodes": list(nodes)} | more}}


OTHERS = {"id": "1", "jobConfig": None, "tasks": {"records": [{"engineId": "e"}]}}
INTERNAL = {"message": "internal", "path": ["jobs", "records", 0, "jobConfig"]}
INCOMPLETE_JOBS: dict[str, list[Any]] = {
    "nothing": [{"data": {}}],
    "null": [{"data": {"jobs": None}}],
    "records that are null": [{"data": {"jobs": {"records": None}}}],
    "records that are no list": [{"data": {"jobs": {"records": {}}}}],
    "a record that is null": [jobs(None)],
    "an id that is null": [jobs({"id": None, "targetId": "7"})],
    "no id": [jobs({"targetId": "7"})],
    "no own JSON": [jobs({"id": "1", "tasks": None}), jobs()],
    "an own JSON that is a text": [jobs(OTHERS | {"jobConfig": "text"}), jobs()],
    "an error at the own JSON": [jobs(OTHERS) | {"errors": [INTERNAL]}, jobs()],
    "a task without an engine": [jobs(OTHERS | {"tasks": {"records": [{}]}}), jobs()],
    "a job that comes twice": [jobs(OTHERS), jobs(OTHERS), jobs()],
}
CHANGED = [
    *(jobs(OTHERS), jobs(OTHERS | {"id": "3"}), jobs()),
    *(jobs(OTHERS), jobs(OTHERS | {"id": "2"}), jobs(OTHERS | {"id": "3"}), jobs()),
]
MINE = {"id": "1", "name": "mine", "createdDate": None}
INCOMPLETE_PROJECTS: dict[str, list[Any]] = {
    "nothing": [{"data": {}}],
    "null": [{"data": {"result": None}}],
    "a text": [{"data": {"result": "maintenance"}}],
    "nodes that are null": [{"data": {"result": {"nodes": None}}}],
    "a node that is null": [projects(None)],
    "a project without an id": [projects(MINE | {"id": None})],
    "a project without a name": [projects(MINE | {"name": None})],
    "a project that comes twice": [projects(MINE), projects(MINE)],
    "fewer than there are": [projects(totalCount=1)],
    "fewer than there are, after a page": [projects(MINE | {"name": "other"}, totalCount=2), projects(totalCount=2)],
    "an error that names no field": [projects() | {"errors": [{"message": "boom"}]}],
}


@pytest.mark.parametrize("name", INCOMPLETE_JOBS)
async def test_incomplete_list_of_jobs_is_not_an_empty_list(name: str, serve: Serve) -> None:
    """If one of these answers counted as "no job", the job would run, and be billed, twice."""
    for case in map(CASES.__getitem__, JOBS):
        server = await serve(*INCOMPLETE_JOBS[name])
        with pytest.raises(errors.RequestFailed, match="target 7"):
            await found_by(client_of(case, server.url), case)


@pytest.mark.parametrize("name", JOBS[1:])
async def test_list_of_a_shared_target_that_changes_is_not_believed(name: str, serve: Serve) -> None:
    """A list of several pages is read twice, and the second reading has one more job."""
    server = await serve(*CHANGED)
    with pytest.raises(errors.BadReply, match="changed while it was read"):
        await found_by(client_of(CASES[name], server.url), CASES[name])


@pytest.mark.parametrize("name", INCOMPLETE_PROJECTS)
async def test_incomplete_list_of_projects_is_not_an_empty_list(name: str, serve: Serve) -> None:
    """The same for projects, which are found by their name."""
    case, server = CASES["a project's name"], await serve(*INCOMPLETE_PROJECTS[name])
    with pytest.raises(errors.RequestFailed, match="'mine'"):
        await found_by(client_of(case, server.url), case)


async def test_lists_with_capped_pages_are_read_to_their_end(serve: Serve) -> None:
    """The server returns one entry per page instead of many: the lists are read to an empty page."""
    case, record = CASES["a container of its own"], {"targetId": "7", "jobConfig": LABEL.to_json()}
    server = await serve(*(jobs(record | {"id": str(number)}) for number in (1, 2, 3)), jobs())
    assert await found_by(client_of(case, server.url), case) == ["1", "2", "3"]
    assert [body["variables"]["offset"] for body in server.bodies] == [0, 1, 2, 3]
    case = CASES["a project's name"]
    server = await serve(projects(MINE | {"name": "mine too"}), projects(MINE | {"id": "2"}), projects())
    assert await found_by(client_of(case, server.url), case) == ["project:2"]
    assert [body["variables"]["page"]["skip"] for body in server.bodies] == [0, 1, 2]


class Endless:
    """A server whose list has one more entry on each page; each answer takes `answer_s` on the client's clock."""

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


@pytest.mark.parametrize("name", CASES)
async def test_search_with_slow_answers_ends_after_submission_s(name: str, serve: Serve) -> None:
    """Each answer takes 20 s: six pages in the 120 s of `submission_s`, not 1,500 pages in eight hours."""
    endless = Endless(answer_s=20)
    client = client_of(CASES[name], (await serve(endless)).url, endless.clock)
    with pytest.raises(errors.TimedOut, match=r"within 120 s \(submission_s=120\), after 6 pages"):
        await found_by(client, CASES[name])
    assert endless.asked == 6


@pytest.mark.parametrize("name", CASES)
async def test_search_is_bounded_in_pages(name: str, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quick answers with one entry each: a list that exceeds the bound of pages counts as not read."""
    monkeypatch.setattr(paging, "MAX_PAGES", 7)
    endless = Endless(answer_s=0)
    with pytest.raises(errors.BadReply, match="more than 7 pages"):
        await found_by(client_of(CASES[name], (await serve(endless)).url, endless.clock), CASES[name])
    assert endless.asked == 7


async def test_search_is_bounded_in_jobs(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more job on each page, with a bound of three: an error after three requests."""
    monkeypatch.setattr(job_lists, "MAX_JOBS_ON_TARGET", 3)
    endless = Endless(answer_s=0)
    case = CASES["a container of its own"]
    with pytest.raises(errors.BadReply, match="more than 3 jobs"):
        await found_by(client_of(case, (await serve(endless)).url, endless.clock), case)
    assert endless.asked == 3


@pytest.mark.parametrize("name", CASES)
async def test_search_that_does_not_end_leaves_the_outcome_unknown(name: str, serve: Serve) -> None:
    """After a lost answer: `SubmissionUnknown` with what to do, and no create is sent."""
    endless = Endless(answer_s=20)
    client = client_of(CASES[name], (await serve(endless)).url, endless.clock)
    with pytest.raises(errors.SubmissionUnknown, match="did not end within"):
        await submit_after_a_lost_answer(client, CASES[name])
    assert endless.created == 0


@pytest.mark.parametrize("name", CASES)
async def test_search_without_a_list_leaves_the_outcome_unknown(name: str, serve: Serve) -> None:
    """After a lost answer, an answer without a list: `SubmissionUnknown`, and no create is sent."""
    server = await serve({"data": {"jobs": None, "result": None}})
    with pytest.raises(errors.SubmissionUnknown, match="The search failed"):
        await submit_after_a_lost_answer(client_of(CASES[name], server.url), CASES[name])
    assert server.count > 0
    assert not [body for body in server.bodies if "mutation" in body["query"]]


async def test_search_that_hangs_ends_after_submission_s(serve: Serve) -> None:
    """An answer never comes, and retries are unlimited: `submission_s` bounds the whole search."""

    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.json_response({})

    case = CASES["a container of its own"]
    client = client_of(case, (await serve(hang)).url, attempts=5, submission_s=0.3)
    with pytest.raises(errors.SubmissionUnknown, match=r"longer than submission_s=0\.3"):
        await submit_after_a_lost_answer(client, case)


async def test_list_of_labelled_jobs_is_bounded_in_time(serve: Serve) -> None:
    """Each answer takes a minute and has one job: the search ends after half an hour, not 100,000 minutes."""
    endless = Endless(answer_s=60)
    async with client_of(CASES["a shared target"], (await serve(endless)).url, endless.clock) as client:
        with pytest.raises(errors.TimedOut, match="did not end within 1800 s"):
            await job_lists.labelled_jobs(client, 0, SINCE)
    assert endless.asked == job_lists.LIST_S / 60
