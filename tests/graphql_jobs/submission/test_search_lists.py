"""Looking for a job in an answer that may hide it: nothing is sent on the strength of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import Label, LocalStore, errors, submit_once
from graphql_jobs.providers.aiware import AiwareClient, EngineJobSpec
from graphql_jobs.providers.aiware import job_lists as labelled
from graphql_jobs.providers.datasaur import DatasaurClient
from graphql_jobs.transport.auth import BearerToken
from tests.clocks import FakeClock
from tests.graphql_jobs.submitting import ENGINE, LABEL, PROJECT, TASKS

if TYPE_CHECKING:
    from graphql_jobs import JobClient
    from graphql_jobs.providers.recovery import Location
    from tests.graphql_jobs.conftest import Serve

OWN: Location = {"target_id": "7", "exclusive": True}
NAMED: Location = {"name": "mine", "team_id": None}
SINCE = 1_800_000_000.0


def client_of(provider: str, url: str) -> JobClient:
    """A client of the server at `url`, on a clock of its own."""
    kind = AiwareClient if provider == "aiware" else DatasaurClient
    client = kind.connect(url.removesuffix("/graphql"), BearerToken("x"))
    client.session.clock = FakeClock()
    return client


@pytest.mark.parametrize(
    "data",
    [
        {"jobs": None},
        {"jobs": {"records": None}},
        {"jobs": {"records": {}}},
        {"jobs": {"records": [None]}},
        {"jobs": {"records": [{"id": None, "targetId": "7"}]}},
        {"jobs": {"records": [{"targetId": "7"}]}},
    ],
)
async def test_incomplete_list_of_jobs_is_not_an_empty_list(data: dict[str, Any], serve: Serve) -> None:
    """Taken for "none there", each of these answers would have the job run, and paid for, twice."""
    server = await serve({"data": data})
    async with client_of("aiware", server.url) as client:
        for location in (OWN, {"target_id": "7"}, {"target_id": "7", "engine_id": ENGINE}):
            with pytest.raises(errors.RequestFailed, match="target 7"):
                await client.find("createJob", location, LABEL, SINCE)


async def test_error_below_a_list_of_jobs_fails_the_search(serve: Serve) -> None:
    """The label of the only job could not be read: nobody knows that it is not ours."""
    failure = {"message": "internal", "path": ["jobs", "records", 0, "jobConfig"]}
    record = {"id": "1", "targetId": "7", "jobConfig": None}
    server = await serve({"data": {"jobs": {"records": [record]}}, "errors": [failure]})
    async with client_of("aiware", server.url) as client:
        with pytest.raises(errors.RequestFailed, match="internal"):
            await client.find("createJob", {"target_id": "7"}, LABEL, SINCE)


@pytest.mark.parametrize(
    "data",
    [
        {"result": None},
        {"result": {"nodes": None}},
        {"result": {"nodes": [None]}},
        {"result": {"nodes": [{"id": None, "name": "mine"}]}},
    ],
)
async def test_incomplete_list_of_projects_is_not_an_empty_list(data: dict[str, Any], serve: Serve) -> None:
    """The same for projects, which are found by their name."""
    server = await serve({"data": data})
    async with client_of("datasaur", server.url) as client:
        with pytest.raises(errors.RequestFailed, match="'mine'"):
            await client.find("createProject", NAMED, LABEL, SINCE)


async def test_lists_with_capped_pages_are_read_to_their_end(serve: Serve) -> None:
    """Asked for many, it gives one at a time: the lists are read to their ends."""
    record = {"targetId": "7", "jobConfig": LABEL.to_json()}
    jobs = [{"data": {"jobs": {"records": [record | {"id": str(number)}]}}} for number in (1, 2, 3)]
    server = await serve(*jobs, {"data": {"jobs": {"records": []}}})
    async with client_of("aiware", server.url) as client:
        found = await client.find("createJob", OWN, LABEL, SINCE)
    assert [handle.job_id for handle in found] == ["1", "2", "3"]
    assert [body["variables"]["offset"] for body in server.bodies] == [0, 1, 2, 3]

    names = [("1", "mine too"), ("2", "mine")]
    projects = [{"data": {"result": {"nodes": [{"id": one, "name": name}]}}} for one, name in names]
    server = await serve(*projects, {"data": {"result": {"nodes": []}}})
    async with client_of("datasaur", server.url) as client:
        found = await client.find("createProject", NAMED, LABEL, SINCE)
    assert [handle.job_id for handle in found] == ["project:2"]
    assert [body["variables"]["page"]["skip"] for body in server.bodies] == [0, 1, 2]


async def test_endless_list_is_an_error(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more job on each page, again and again: an error, and no job is sent."""
    monkeypatch.setattr(labelled, "MAX_JOBS_ON_TARGET", 3)
    server = await serve(*({"data": {"jobs": {"records": [{"id": str(number)}]}}} for number in range(9)))
    async with client_of("aiware", server.url) as client:
        with pytest.raises(errors.RequestFailed, match="more than 3"):
            await client.find("createJob", OWN, LABEL, SINCE)
    assert server.count == 3


@pytest.mark.parametrize(
    ("provider", "spec", "location"),
    [
        ("aiware", TASKS, OWN),
        ("aiware", EngineJobSpec.of(engine_id=ENGINE, target_id="7"), {"target_id": "7", "engine_id": ENGINE}),
        ("datasaur", PROJECT, NAMED),
    ],
)
async def test_search_without_a_list_leaves_the_outcome_unknown(
    provider: str, spec: Any, location: Location, serve: Serve
) -> None:
    """After a doubt, an answer without a list: `SubmissionUnknown`, and no create was sent."""
    server = await serve({"data": {"jobs": None, "result": None}})
    store = LocalStore()
    intent = {"kind": "intent", "by": "dead", "at": SINCE - 1000, "provider": provider, "operation": spec.operation}
    await store.append(LABEL.key, 0, intent | {"key": LABEL.key, "spec": spec.summary(LABEL.key), "location": location})
    async with client_of(provider, server.url) as client:
        with pytest.raises(errors.SubmissionUnknown, match="could not be looked up"):
            await submit_once(client, spec, store, Label(LABEL.key, "run-2"))
    assert server.count > 0
    assert not [body for body in server.bodies if "mutation" in body["query"]]
