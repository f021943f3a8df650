"""The list of labelled jobs: their labels, and paging with any behaviour of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from graphql_jobs import errors
from graphql_jobs.job import JobState
from graphql_jobs.label import Label
from graphql_jobs.providers.aiware import AiwareClient
from graphql_jobs.providers.aiware import job_lists as labelled
from graphql_jobs.providers.aiware.job_lists import labelled_jobs, read_labelled
from graphql_jobs.transport.limits import Limits

if TYPE_CHECKING:
    from tests.graphql_jobs.conftest import OpenSession, Serve

LABEL = Label("gqj-1", "a-run")


def record(number: int, **fields: Any) -> dict[str, Any]:
    """A labelled job in a list."""
    return {"id": f"job-{number}", "status": "queued", "jobConfig": LABEL.to_json()} | fields


class Listing:
    """A server with a list of jobs that returns at most `cap` per page, or refuses larger pages with `refuses`."""

    def __init__(self, records: list[Any], cap: int = 1000, *, refuses: bool = False) -> None:
        self.records, self.cap, self.refuses = records, cap, refuses
        self.asked: list[dict[str, Any]] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer with one page."""
        variables = (await request.json())["variables"]
        self.asked.append(variables)
        if self.refuses and variables["limit"] > self.cap:
            refusal = {"name": "invalid_input", "message": "limit", "path": ["jobs"]}
            return web.json_response({"data": {"jobs": None}, "errors": [refusal]})
        size = min(variables["limit"], self.cap)
        page = self.records[variables["offset"] : variables["offset"] + size]
        return web.json_response({"data": {"jobs": {"records": page}}})


async def listed(listing: Listing, serve: Serve, open_session: OpenSession) -> list[str]:
    """The ids of the result."""
    client = AiwareClient(await open_session((await serve(listing)).url, limits=Limits(attempts=1)))
    return [job.job_id for job in await labelled_jobs(client, 0.0, 1_800_000_000.0)]


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 2), (100, 2), (101, 3), (520, 7)])
async def test_all_pages_are_read(count: int, requests: int, serve: Serve, open_session: OpenSession) -> None:
    """520 jobs are six pages of a hundred and an empty one; all in the order of the list, each once."""
    listing = Listing([record(number) for number in range(count)])
    assert await listed(listing, serve, open_session) == [f"job-{number}" for number in range(count)]
    assert len(listing.asked) == requests


@pytest.mark.parametrize("refuses", [False, True])
async def test_server_with_smaller_pages_is_read_to_its_end(
    refuses: bool, serve: Serve, open_session: OpenSession
) -> None:
    """At most 30 per page, by a refusal or without notice: all 65 jobs."""
    listing = Listing([record(number) for number in range(65)], cap=30, refuses=refuses)
    assert len(await listed(listing, serve, open_session)) == 65


async def test_window_is_asked_for_in_iso_text(serve: Serve, open_session: OpenSession) -> None:
    """Both ends, in UTC."""
    listing = Listing([])
    await listed(listing, serve, open_session)
    assert listing.asked[0]["from"] == "1970-01-01T00:00:00+00:00"
    assert listing.asked[0]["to"] == "2027-01-15T08:00:00+00:00"


async def test_jobs_without_a_label_are_skipped(serve: Serve, open_session: OpenSession) -> None:
    """Nulls, texts, no label, another project's label, an invalid id, and a job that occurs twice."""
    others: list[Any] = [None, "text", record(1, jobConfig=None), record(2, jobConfig={"key": "x"})]
    bad = [record(3, id=None), record(4, id="a/../b"), record(5, id="x" * 900), record(6, jobConfig="text")]
    listing = Listing([*others, record(7), *bad, record(7)])
    assert await listed(listing, serve, open_session) == ["job-7"]


@pytest.mark.parametrize("answer", [{"jobs": None}, {"jobs": []}, {"jobs": {}}, {"jobs": {"records": {}}}])
async def test_answer_without_a_list_is_an_error(answer: Any, serve: Serve, open_session: OpenSession) -> None:
    """If it counted as an empty list, every orphan would be hidden."""
    client = AiwareClient(await open_session((await serve({"data": answer})).url, limits=Limits(attempts=1)))
    with pytest.raises(errors.RequestFailed):
        await labelled_jobs(client, 0.0, 1.0)


async def test_unreadable_target_does_not_fail_a_list(serve: Serve, open_session: OpenSession) -> None:
    """An error at one record's target: the jobs are still listed."""
    denied = {"name": "not_allowed", "message": "no", "path": ["jobs", "records", 0, "target"]}
    whole = {"data": {"jobs": {"records": [record(0, target=None)]}}, "errors": [denied]}
    server = await serve(whole, {"data": {"jobs": {"records": []}}})
    [job] = await labelled_jobs(AiwareClient(await open_session(server.url)), 0.0, 1.0)
    assert job.job_id == "job-0"


async def test_list_without_an_end_is_not_followed(
    serve: Serve, open_session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same full page each time: an error, not half of a list."""
    monkeypatch.setattr(labelled, "MAX_JOBS", 10)
    server = await serve({"data": {"jobs": {"records": [record(0)] * 4}}})
    with pytest.raises(errors.BadReply, match="smaller window"):
        await labelled_jobs(AiwareClient(await open_session(server.url)), 0.0, 1.0)


def test_label_of_the_job_counts_before_that_of_its_container() -> None:
    """The job's own JSON counts first; a launch has none, so the container's details count."""
    other = Label("gqj-2", "another-run")
    both = read_labelled(record(0, target={"details": other.to_json()}))
    assert both is not None
    assert (both.label, both.by_container) == (LABEL, False)
    launched = read_labelled(record(0, jobConfig={}, target={"details": other.to_json()}))
    assert launched is not None
    assert (launched.label, launched.by_container) == (other, True)


def test_state_is_by_the_table() -> None:
    """Known words, and an unknown word, which is not an end."""
    words = ["queued", "running", "complete", "failed", "aborted", "reprocessing"]
    jobs = [read_labelled(record(0, status=word)) for word in words]
    assert [job.state for job in jobs if job] == [
        *(JobState.PENDING, JobState.RUNNING, JobState.SUCCEEDED),
        *(JobState.FAILED, JobState.CANCELLED, JobState.UNKNOWN),
    ]
