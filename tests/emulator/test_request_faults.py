"""Faults of requests: the client's view, and whether the work was done."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from graphql_jobs.emulator import Behaviour, Emulator, Fault, FaultPlan, ManualClock

TASK = '{engineId: "c0e55cde-340b-44d7-bb42-2e0d65e98255"}'
CREATE = f'mutation {{ createJob(input: {{target: {{name: "K"}}, tasks: [{TASK}]}}) {{ id }} }}'
LAUNCH = """mutation { createProject(input: {name: "K", kinds: [TOKEN_BASED], documents: []}) { name } }"""


async def send(emulator: Emulator, http: aiohttp.ClientSession, document: str = CREATE) -> tuple[int, Any, str]:
    """Status, Retry-After and body of one request to aiWARE or, for LAUNCH, to Datasaur."""
    path, token = "/v3/graphql", emulator.accounts.aiware_token
    if document is LAUNCH:
        path, token = "/graphql", emulator.accounts.issue_datasaur_token()
    headers = {"Authorization": f"Bearer {token}"}
    async with http.post(
        emulator.url + path, json={"query": document}, headers=headers, allow_redirects=False
    ) as response:
        return response.status, response.headers.get("Retry-After"), await response.text()


REPLACED = [
    (Fault("rate_limited", retry_after="7"), 429, '"errors"'),
    (Fault("rate_limited", with_errors=False), 429, "Too Many Requests"),
    (Fault("server_error", status=503), 503, "<html>"),
    (Fault("data_null"), 200, '{"data": null}'),
    (Fault("garbage"), 200, "<html>"),
    (Fault("not_object"), 200, "5"),
    (Fault("redirect"), 302, ""),
    (Fault("body_too_large"), 413, '"errors"'),
]


@pytest.mark.parametrize("document", [CREATE, LAUNCH], ids=["aiware", "datasaur"])
@pytest.mark.parametrize(("fault", "status", "part"), REPLACED, ids=lambda value: getattr(value, "kind", None))
async def test_fault_before_the_work_answers_instead_of_it(
    emulator: Emulator, http: aiohttp.ClientSession, document: str, fault: Fault, status: int, part: str
) -> None:
    """The fault's answer, no job, and the next request succeeds."""
    emulator.faults.add(fault)
    seen_status, retry_after, body = await send(emulator, http, document)
    assert (seen_status, retry_after) == (status, fault.retry_after)
    assert part in body
    assert emulator.ledger.submissions == []
    record = emulator.ledger.requests[-1]
    assert (record.status, record.fault) == (status, fault.kind)
    assert (await send(emulator, http, document))[0] == 200
    assert len(emulator.ledger.submissions) == 1


NAMED = [
    ("unauthorized", "authentication_error", "AuthenticationError"),
    ("capacity_exceeded", "capacity_exceeded", "QueryComplexityError"),
    ("forbidden", "not_allowed", "ForbiddenError"),
    ("internal_error", "internal_error", "InternalServerError"),
]


@pytest.mark.parametrize(("kind", "name", "type_"), NAMED)
async def test_refusal_is_worded_by_the_provider(
    emulator: Emulator, http: aiohttp.ClientSession, kind: Any, name: str, type_: str
) -> None:
    """aiWARE: top-level name and null fields; Datasaur: extensions.type and null data; no job."""
    emulator.faults.add(Fault(kind, times=2))
    status, _, body = await send(emulator, http)
    reply = json.loads(body)
    assert (status, reply["data"], reply["errors"][0]["name"]) == (200, {"createJob": None}, name)
    reply = json.loads((await send(emulator, http, LAUNCH))[2])
    assert (reply["data"], reply["errors"][0]["extensions"]) == (None, {"type": type_})
    assert emulator.ledger.submissions == []


@pytest.mark.parametrize(("kind", "made"), [("drop_before", 0), ("drop_after", 1), ("truncate", 1)])
async def test_broken_connection_tells_nothing_about_the_work(
    emulator: Emulator, http: aiohttp.ClientSession, kind: Any, made: int
) -> None:
    """Dropped before: no job. Dropped after, or within the body: the job exists."""
    emulator.faults.add(Fault(kind))
    with pytest.raises((aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)):
        await send(emulator, http)
    assert len(emulator.ledger.submissions) == made
    assert len(emulator.ledger.jobs_by_key().get("K", [])) == made
    assert emulator.ledger.requests[-1].status == (200 if kind == "truncate" else None)


async def test_server_error_after_the_work_leaves_the_job(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """502 with HTML, and the job exists."""
    emulator.faults.add(Fault("server_error_after"))
    status, _, body = await send(emulator, http)
    assert (status, "<html>" in body, len(emulator.ledger.submissions)) == (502, True, 1)


async def test_partial_nulls_the_first_field_only(emulator: Emulator, aiware: Any) -> None:
    """Two aliases: the first null with an error at its path, the second answered."""
    emulator.faults.add(Fault("partial", operation="me"))
    reply = await aiware("{ a: me { id } b: me { id } }")
    assert reply["data"] == {"a": None, "b": {"id": "emulator-user"}}
    assert (reply["errors"][0]["path"], reply["errors"][0]["name"]) == (["a"], "service_failure")


async def test_lists_are_cut_in_silence_or_have_moved(emulator: Emulator, aiware: Any) -> None:
    """The first half of the jobs is listed, or all but the first, without an error."""
    ids = {emulator.aiware.plant().id for _ in range(3)}
    emulator.faults.add(Fault("cut_list"), Fault("moved_list"))
    query = "{ jobs(orderBy: [{field: createdDateTime, direction: asc}]) { limit records { id } } }"
    shown = [(await aiware(query))["data"]["jobs"] for _ in range(3)]
    listed = [[record["id"] for record in page["records"]] for page in shown]
    assert ids <= set(listed[2])
    assert (listed[0], listed[1]) == (listed[2][: (len(listed[2]) + 1) // 2], listed[2][1:])
    assert {page["limit"] for page in shown} == {30}


async def test_errors_stand_beside_data(emulator: Emulator, aiware: Any, datasaur: Any) -> None:
    """At the first alias or item only; without a path in a complete answer; and `data` without any field."""
    planted = [emulator.datasaur.plant().id for _ in range(2)]
    emulator.faults.add(Fault("denied_member", times=2), Fault("side_error"), Fault("no_fields"))
    reply = await aiware("{ a: me { id } b: me { id } }")
    assert (reply["data"]["a"], reply["errors"][0]["name"]) == (None, "authentication_error")
    assert (reply["errors"][0]["path"], reply["data"]["b"]) == (["a"], {"id": "emulator-user"})
    reply = await datasaur("query($ids: [String!]!) { r: getJobs(jobIds: $ids) { id } }", ids=planted)
    assert (reply["data"]["r"], reply["errors"][0]["path"]) == ([None, {"id": planted[1]}], ["r", 0])
    reply = await aiware("{ me { id } }")
    assert (reply["data"], reply["errors"]) == (
        {"me": {"id": "emulator-user"}},
        [{"message": "This field is deprecated"}],
    )
    assert await aiware("{ me { id } }") == {"data": {}}


async def test_too_large_is_valid_but_endless(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """1 MB of padding, without Content-Length; the work is done. A client may disconnect early."""
    emulator.faults.add(Fault("too_large", pad_bytes=1_000_000), Fault("too_large"))
    status, _, body = await send(emulator, http)
    assert (status, len(body) > 1_000_000) == (200, True)
    assert json.loads(body)["data"]["createJob"]["id"]
    headers = {"Authorization": f"Bearer {emulator.accounts.aiware_token}"}
    async with http.post(f"{emulator.url}/v3/graphql", json={"query": CREATE}, headers=headers) as response:
        assert response.content_length is None
        await response.content.read(1000)
        response.close()


async def test_delay_holds_the_answer_and_changes_nothing(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """It sleeps for 50 ms, since a client's timeout can only be tested in real time."""
    emulator.faults.add(Fault("delay", delay_s=0.05))
    started_s = asyncio.get_running_loop().time()
    assert (await send(emulator, http))[0] == 200
    assert asyncio.get_running_loop().time() - started_s >= 0.05


async def test_fault_strikes_its_operation_after_skip_and_only_so_often(
    emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    """operation createJob, skip 1, times 2: requests 2 and 3 of four; other operations have no fault."""
    emulator.faults.add(Fault("server_error", operation="createJob", provider="aiware", skip=1, times=2))
    assert (await send(emulator, http, "{ me { id } }"))[0] == 200
    assert [(await send(emulator, http))[0] for _ in range(4)] == [200, 502, 502, 200]


async def test_fault_has_its_window_on_the_clock(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """An outage from 10 s to 20 s, for any number of requests."""
    now_at = emulator.clock.now()
    emulator.faults.add(Fault("server_error", times=None, from_at=now_at + 10, until_at=now_at + 20))
    seen = []
    for _ in range(3):
        seen.append((await send(emulator, http, "{ me { id } }"))[0])
        emulator.clock.advance(10)
    assert seen == [200, 502, 200]


async def test_capacity_can_depend_on_the_batch(emulator: Emulator, aiware: Any, datasaur: Any) -> None:
    """max_batch 2: three aliases or three ids are refused, two are not."""
    emulator.faults.add(Fault("capacity_exceeded", times=None, max_batch=2))
    assert "errors" not in await aiware("{ a: me { id } b: me { id } }")
    assert (await aiware("{ a: me { id } b: me { id } c: me { id } }"))["errors"][0]["name"] == "capacity_exceeded"
    document = "query($ids: [String!]!) { getJobs(jobIds: $ids) { id } }"
    assert "errors" not in await datasaur(document, ids=["1", "2"])
    assert "errors" in await datasaur(document, ids=["1", "2", "3"])


async def test_refused_client_is_told_in_oauth_terms(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """The token endpoint has its own faults: 401 invalid_client."""
    emulator.faults.add(Fault("unauthorized", operation="token"))
    async with http.post(f"{emulator.url}/api/oauth/token", data={}) as response:
        assert (response.status, await response.json()) == (401, {"error": "invalid_client"})


@pytest.mark.parametrize("behaviour", [Behaviour(requests_per_window=2)], indirect=True)
async def test_rate_limit_counts_refused_requests_too(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """Two per 10 s: the third and an early retry are 429 with Retry-After; after 10 quiet seconds all succeed."""
    seen = []
    for advance_s in (0, 0, 0, 9, 10):
        emulator.clock.advance(advance_s)
        seen.append((await send(emulator, http, "{ me { id } }"))[:2])
    assert seen == [(200, None), (200, None), (429, "10"), (429, "10"), (200, None)]


def test_chance_is_the_same_for_the_same_seed_and_other_for_another() -> None:
    """Probability 0.5 over 64 requests."""

    def strikes(seed: int) -> list[bool]:
        plan = FaultPlan(seed, ManualClock())
        plan.add(Fault("server_error", times=None, probability=0.5))
        return [plan.for_request("aiware", ("job",), 1) is not None for _ in range(64)]

    assert strikes(1) == strikes(1)
    assert strikes(1) != strikes(2)
    assert 10 < sum(strikes(1)) < 54


@pytest.mark.parametrize("wrong", [{"kind": "nonsense"}, {"probability": 2}, {"times": 0}, {"skip": -1}])
def test_fault_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """Unknown kind, probability above 1, times 0, negative skip."""
    with pytest.raises(ValueError, match=r"kind|probability|times|skip"):
        Fault(**{"kind": "delay", **wrong})
