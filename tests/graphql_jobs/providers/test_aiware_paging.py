"""Guarantee 4 over pages: the status complete is believed only after all tasks were read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from graphql_jobs import errors
from graphql_jobs.job import Job, JobState
from graphql_jobs.providers.aiware import AiwareClient, checking
from graphql_jobs.transport.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import OpenSession, Serve

OK = {"status": "complete"}


def tasks(count: int, bad: int | None = None) -> list[dict[str, Any]]:
    """Completed tasks, except a failed one at `bad`."""
    return [{"id": f"t{number}", "status": "failed" if number == bad else "complete"} for number in range(count)]


class Pages:
    """A server with complete jobs of many tasks, paged by offset and limit, at most `cap` per page."""

    def __init__(self, jobs: dict[str, list[Any]], cap: int = 1000) -> None:
        self.jobs, self.cap = jobs, cap
        #: The ids of each request, without the padding.
        self.asked: list[list[str]] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer a check."""
        variables = (await request.json())["variables"]
        ids = {name: value for name, value in variables.items() if name.startswith("id")}
        self.asked.append(list(dict.fromkeys(ids.values())))
        return web.json_response({"data": {f"j{name[2:]}": self.page(ids[name], variables) for name in ids}})

    def page(self, job_id: str, variables: dict[str, Any]) -> dict[str, Any] | None:
        """One page of the tasks of one job."""
        start = variables["offset"]
        size = min(variables["limit"], self.cap)
        return OK | {"id": job_id, "tasks": {"records": self.listed(job_id)[start : start + size]}}

    def listed(self, job_id: str) -> list[Any]:
        """The list at this time."""
        return self.jobs[job_id]


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 2), (29, 2), (30, 3), (31, 4), (65, 5)])
async def test_all_tasks_are_paged_through(count: int, requests: int, serve: Serve, open_session: OpenSession) -> None:
    """The list ends with an empty page: 29 tasks take two requests. 65 take five: three pages, each beginning with
    the last task of the page before, that task alone, and an empty page.
    """
    pages = Pages({"a": tasks(count)})
    seen = (await AiwareClient(await open_session((await serve(pages)).url)).check(["a"]))["a"]
    assert isinstance(seen, Job)
    assert (seen.state, len(seen.tasks)) == (JobState.SUCCEEDED, count)
    assert len(pages.asked) == requests


@pytest.mark.parametrize("bad", [0, 29, 30, 59, 60, 64])
async def test_failed_task_on_any_page_is_found(bad: int, serve: Serve, open_session: OpenSession) -> None:
    """The 65th of 65 tasks failed: the job failed although its status is complete."""
    pages = Pages({"a": tasks(65, bad)})
    seen = (await AiwareClient(await open_session((await serve(pages)).url)).check(["a"]))["a"]
    assert isinstance(seen, Job)
    assert seen.state is JobState.FAILED


async def test_lenient_client_believes_the_job(serve: Serve, open_session: OpenSession) -> None:
    """The same job has succeeded with `lenient`."""
    pages = Pages({"a": tasks(65, 64)})
    seen = (await AiwareClient(await open_session((await serve(pages)).url), lenient=True).check(["a"]))["a"]
    assert isinstance(seen, Job)
    assert seen.state is JobState.SUCCEEDED


async def test_only_jobs_with_a_full_page_are_asked_again(serve: Serve, open_session: OpenSession) -> None:
    """Three jobs of 5, 65 and 31 tasks: all, the end of the first, and then each of the larger ones separately."""
    pages = Pages({"a": tasks(5), "b": tasks(65), "c": tasks(31)})
    seen = await AiwareClient(await open_session((await serve(pages)).url)).check(["a", "b", "c"])
    assert pages.asked == [["a", "b", "c"], ["a"], *[["b"]] * 4, *[["c"]] * 3]
    assert [len(one.tasks) for one in seen.values() if isinstance(one, Job)] == [5, 65, 31]


async def test_status_of_the_first_page_counts(serve: Serve, open_session: OpenSession) -> None:
    """Running on the first page, complete on the second: running, since the first page's tasks are older."""

    class Finishing(Pages):
        def page(self, job_id: str, variables: dict[str, Any]) -> dict[str, Any] | None:
            status = "complete" if variables["offset"] else "running"
            return (super().page(job_id, variables) or {}) | {"status": status}

    pages = Finishing({"a": tasks(40)})
    seen = (await AiwareClient(await open_session((await serve(pages)).url)).check(["a"]))["a"]
    assert isinstance(seen, Job)
    assert seen.state is JobState.RUNNING


async def test_null_among_the_tasks_does_not_end_the_pages(serve: Serve, open_session: OpenSession) -> None:
    """The third of 40 tasks is null, the 36th failed: the second page is still read, the job is not believed."""
    listed: list[Any] = tasks(40, 35)
    listed[2] = None
    pages = Pages({"a": listed})
    seen = (await AiwareClient(await open_session((await serve(pages)).url)).check(["a"]))["a"]
    assert not (isinstance(seen, Job) and seen.state is JobState.SUCCEEDED)


async def test_job_that_vanishes_between_two_pages_is_not_believed(serve: Serve, open_session: OpenSession) -> None:
    """Complete on page one, null on page two, where a task may have failed."""

    class Vanishing(Pages):
        def page(self, job_id: str, variables: dict[str, Any]) -> dict[str, Any] | None:
            return None if variables["offset"] else super().page(job_id, variables)

    pages = Vanishing({"a": tasks(40)})
    seen = (await AiwareClient(await open_session((await serve(pages)).url)).check(["a"]))["a"]
    assert not isinstance(seen, Job)


async def test_job_with_endless_tasks_concerns_that_job_alone(
    serve: Serve, open_session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is 90 tasks and one job has 200: it has an error, the other job is read."""
    monkeypatch.setattr(checking, "MAX_TASKS", 90)
    pages = Pages({"a": tasks(3), "b": tasks(200)})
    seen = await AiwareClient(await open_session((await serve(pages)).url)).check(["a", "b"])
    assert isinstance(seen["a"], Job)
    assert isinstance(seen["b"], errors.BadReply)


@pytest.mark.parametrize("bad", [None, 9, 10, 19])
@pytest.mark.parametrize("cap", [1, 2, 10, 19, 29])
async def test_silently_capped_pages_hide_no_task(
    cap: int, bad: int | None, serve: Serve, open_session: OpenSession
) -> None:
    """The server returns ten tasks instead of thirty, and the twentieth failed: the job failed."""
    pages = Pages({"a": tasks(20, bad), "b": tasks(5), "c": tasks(40, bad)}, cap)
    client = AiwareClient(await open_session((await serve(pages)).url))
    for seen in [await client.check(["a", "b", "c"]), await client.check(["a"]), await client.check(["c"])]:
        for job_id, one in seen.items():
            assert isinstance(one, Job)
            assert len(one.tasks) == len(pages.jobs[job_id])
            assert one.state is (JobState.SUCCEEDED if bad is None or job_id == "b" else JobState.FAILED)


class Moving(Pages):
    """A server whose list changes with each page: `move` gets the list and the number of the request."""

    def __init__(self, jobs: dict[str, list[Any]], move: Callable[[list[Any], int], list[Any]], cap: int) -> None:
        super().__init__(jobs, cap)
        self.move = move

    def listed(self, job_id: str) -> list[Any]:
        """The list at this time."""
        return self.move(self.jobs[job_id], len(self.asked))


NEW = {"id": "new", "status": "complete"}
MOVES: dict[str, Callable[[list[Any], int], list[Any]]] = {
    "a task comes in at the top": lambda listed, number: [NEW, *listed] if number > 1 else listed,
    "a task in the middle goes away": lambda listed, number: listed[:15] + listed[16:] if number > 1 else listed,
    "the last task of a page goes away": lambda listed, number: listed[:29] + listed[30:] if number > 1 else listed,
    "the order turns round": lambda listed, number: listed[::-1] if number > 1 else listed,
    "tasks come in all the time": lambda listed, number: (
        [{"id": f"n{n}", "status": "complete"} for n in range(number)] + listed
    ),
}


@pytest.mark.parametrize("cap", [10, 30])
@pytest.mark.parametrize("bad", [19, 30, 59])
@pytest.mark.parametrize("name", MOVES)
async def test_list_of_tasks_that_moves_between_pages_hides_no_task(
    name: str, bad: int, cap: int, serve: Serve, open_session: OpenSession
) -> None:
    """One of sixty tasks failed, and the list shifts by one between two pages: read again, or not believed."""
    server = await serve(Moving({"a": tasks(60, bad)}, MOVES[name], cap))
    seen = (await AiwareClient(await open_session(server.url)).check(["a"]))["a"]
    if name == "tasks come in all the time":
        assert isinstance(seen, errors.BadReply)
    else:
        assert isinstance(seen, Job)
        assert seen.state is JobState.FAILED
    assert server.count < 100


async def test_repeated_task_of_a_complete_job_is_not_believed(serve: Serve, open_session: OpenSession) -> None:
    """Each page has the same task twice: another task may be missing."""
    pages = Pages({"a": [*tasks(3), tasks(1)[0]], "b": tasks(2)})
    seen = await AiwareClient(await open_session((await serve(pages)).url)).check(["a", "b"])
    assert isinstance(seen["a"], errors.BadReply)
    assert isinstance(seen["b"], Job)


@pytest.mark.parametrize("count", [1, 2, 29])
async def test_server_that_ignores_the_offset_is_believed_with_a_short_list(
    count: int, serve: Serve, open_session: OpenSession
) -> None:
    """Two tasks with any offset: the second reading is the same, and the job has succeeded."""

    class Ignoring(Pages):
        def page(self, job_id: str, variables: dict[str, Any]) -> dict[str, Any] | None:
            return super().page(job_id, variables | {"offset": 0})

    pages = Ignoring({"a": tasks(count), "b": tasks(count)})
    seen = await AiwareClient(await open_session((await serve(pages)).url)).check(["a", "b"])
    assert [one.state for one in seen.values() if isinstance(one, Job)] == [JobState.SUCCEEDED] * 2
    assert len(pages.asked) == 3


async def test_new_task_of_a_short_list_is_seen(serve: Serve, open_session: OpenSession) -> None:
    """One task at first, then a failed one before it, so that the second page repeats the first."""
    failed = {"id": "new", "status": "failed"}
    pages = Moving({"a": tasks(1)}, lambda listed, number: [failed, *listed] if number > 1 else listed, 30)
    seen = (await AiwareClient(await open_session((await serve(pages)).url)).check(["a"]))["a"]
    assert isinstance(seen, Job)
    assert (seen.state, len(seen.tasks)) == (JobState.FAILED, 2)


async def test_failing_page_concerns_that_job_alone(serve: Serve, open_session: OpenSession) -> None:
    """The second page of the large job is an HTTP 500: its poll failed, and the others are read."""
    pages = Pages({"a": tasks(5), "b": tasks(65), "c": []})

    async def answer(request: web.Request) -> web.StreamResponse:
        variables = (await request.json())["variables"]
        return web.Response(status=500) if variables["offset"] > 5 else await pages(request)

    session = await open_session((await serve(answer)).url, limits=Limits(attempts=1))
    seen = await AiwareClient(session).check(["a", "b", "c"])
    assert [type(one) for one in seen.values()] == [Job, errors.ServerFailed, Job]


@pytest.mark.parametrize("status", ["running", "failed", "aborted"])
async def test_state_other_than_complete_needs_no_whole_list(
    status: str, serve: Serve, open_session: OpenSession
) -> None:
    """The tasks of a running job change all the time, or are missing: the job is running."""

    class Changing(Moving):
        def page(self, job_id: str, variables: dict[str, Any]) -> dict[str, Any] | None:
            page = super().page(job_id, variables) or {}
            return page | {"status": status} | ({"tasks": None} if job_id == "b" else {})

    pages = Changing({"a": tasks(65), "b": []}, MOVES["tasks come in all the time"], 30)
    seen = await AiwareClient(await open_session((await serve(pages)).url)).check(["a", "b"])
    assert [one.raw_status for one in seen.values() if isinstance(one, Job)] == [status] * 2


@pytest.mark.parametrize(("status", "kind"), [("complete", errors.BadReply), ("running", Job)])
async def test_poll_of_one_job_ends_in_time_however_slow_its_pages_are(
    status: str, kind: type, serve: Serve, open_session: OpenSession, clock: FakeClock
) -> None:
    """A page takes a minute: after half an hour, a complete job is not believed, and a job in any other state is."""
    pages = Pages({"a": tasks(5_000)})

    async def slow(request: web.Request) -> web.StreamResponse:
        await clock.sleep(60)
        return await pages(request)

    pages.page = lambda job_id, variables: {**Pages.page(pages, job_id, variables), "status": status}  # type: ignore[method-assign, dict-item]
    began_at = clock.now()
    seen = (await AiwareClient(await open_session((await serve(slow)).url)).check(["a"]))["a"]
    assert type(seen) is kind
    assert clock.now() - began_at <= 1900
