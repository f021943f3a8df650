"""The emulator accepts every form of request that the vendors' clients send."""

import io
import json
from typing import Any

import aiohttp
import pytest

from graphql_jobs.emulator import Emulator

SAMPLE_ID = "2791851b-0d02-4aaf-97e0-cd77a2e771ad"
DOCUMENT = "query Check($id: ID!) { job(id: $id) { status } }"
VARIABLES = json.dumps({"id": SAMPLE_ID})


def multipart(**fields: str) -> aiohttp.FormData:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value)
    return form


FORMS: dict[str, dict[str, Any]] = {
    "json": {"json": {"query": DOCUMENT, "variables": {"id": SAMPLE_ID}}},
    "json, variables as text": {"json": {"query": DOCUMENT, "variables": VARIABLES, "operationName": "Check"}},
    "url-encoded": {"data": {"query": DOCUMENT, "variables": VARIABLES}},
    "multipart": {"data": lambda: multipart(query=DOCUMENT, variables=VARIABLES)},
}


def headers(emulator: Emulator) -> dict[str, str]:
    return {"Authorization": f"Bearer {emulator.accounts.aiware_token}"}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
async def test_aiware_takes_every_form(emulator: Emulator, http: aiohttp.ClientSession, form: dict[str, Any]) -> None:
    """JSON, JSON with text variables, URL-encoded and multipart have the same effect; the query string has none."""
    arguments: dict[str, Any] = {name: value() if callable(value) else value for name, value in form.items()}
    async with http.post(f"{emulator.url}/v3/graphql?query=x", headers=headers(emulator), **arguments) as response:
        assert await response.json() == {"data": {"job": {"status": "running"}}}
    assert emulator.ledger.requests[-1].operation == ("job",)


async def test_datasaur_takes_the_multipart_request_spec(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """`operations`, `map` and a file part start a job with launchTextProjectAsync."""
    document = """mutation Launch($input: LaunchTextProjectInput!) {
        launchTextProjectAsync(input: $input) { name job { id status } }
    }"""
    documents = [{"fileName": "a.txt", "file": None}]
    values = {"name": "P1", "documentSettings": {}, "documents": documents}
    form = multipart(
        operations=json.dumps({"query": document, "operationName": "Launch", "variables": {"input": values}}),
        map=json.dumps({"1": ["variables.input.documents.0.file"]}),
    )
    form.add_field("1", b"text", filename="a.txt")
    token = {"Authorization": f"Bearer {emulator.accounts.issue_datasaur_token()}"}
    async with http.post(f"{emulator.url}/graphql", headers=token, data=form) as response:
        result = (await response.json())["data"]["launchTextProjectAsync"]
    assert (result["name"], result["job"]["status"]) == ("P1", "QUEUED")
    assert emulator.ledger.submissions[0].spec["documents"][0]["file"] == "a.txt"


async def test_aiware_takes_an_upload(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """A multipart part named `file` creates an asset with createTDOWithAsset."""
    document = 'mutation { createTDOWithAsset(input: {startDateTime: 1574311000, name: "T"}) { id assets { count } } }'
    form = multipart(query=document)
    form.add_field("file", b"media", filename="a.mp4")
    async with http.post(f"{emulator.url}/v3/graphql", headers=headers(emulator), data=form) as response:
        assert (await response.json())["data"]["createTDOWithAsset"]["assets"] == {"count": 1}


@pytest.mark.parametrize(
    "arguments",
    [
        {"data": b"{", "headers": {"Content-Type": "application/json"}},
        {"json": []},
        {"json": {"variables": {}}},
        {"json": {"query": "{ job(id:"}},
        {"json": {"query": "{ nothing }"}},
        {"json": {"query": "query A { me { id } }", "operationName": "B"}},
        {"json": {"query": "query($id: ID!) { job(id: $id) { id } }"}},
        {"data": b"text", "headers": {"Content-Type": "text/plain"}},
    ],
)
async def test_malformed_request_is_a_400_with_errors(
    emulator: Emulator, http: aiohttp.ClientSession, arguments: dict[str, Any]
) -> None:
    """Not JSON, not an object, no query, bad syntax, unknown field, wrong operationName, missing variable, bad type."""
    sent = {**headers(emulator), **arguments.pop("headers", {})}
    async with http.post(f"{emulator.url}/v3/graphql", headers=sent, **arguments) as response:
        assert response.status == 400
        assert (await response.json())["errors"][0]["name"] == "invalid_input"


@pytest.mark.parametrize(("path", "name"), [("/v3/graphql", "aiware"), ("/graphql", "datasaur")])
async def test_body_above_the_limit_is_a_413_in_the_providers_shape(
    emulator: Emulator, http: aiohttp.ClientSession, path: str, name: str
) -> None:
    """The limit is 10 MB; a larger request has no effect."""
    body = json.dumps({"query": "{ me { id } }", "variables": {"padding": "x" * 10_000_000}}).encode()
    sent = {"Content-Type": "application/json"}
    async with http.post(emulator.url + path, data=io.BytesIO(body), headers=sent) as response:
        assert response.status == 413
        error = (await response.json())["errors"][0]
    assert error["data"]["limitInBytes"] == 10_000_000 if name == "aiware" else error["extensions"]["type"]


async def test_other_paths_and_methods_are_404(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """GET on the endpoint, or any other path: 404, and the ledger has the path."""
    for path in ("/v3/graphql", "/graphql", "/nothing"):
        async with http.get(emulator.url + path) as response:
            assert response.status == 404
    assert [record.operation for record in emulator.ledger.requests] == [("/v3/graphql",), ("/graphql",), ("/nothing",)]


async def test_hundred_aliases_and_a_thousand_ids_work(emulator: Emulator, aiware: Any, datasaur: Any) -> None:
    """The ledger counts one request each, and every status that was read."""
    aliases = " ".join(f'a{number}: job(id: "{SAMPLE_ID}") {{ status }}' for number in range(100))
    assert len((await aiware(f"{{ {aliases} }}"))["data"]) == 100
    ids = [emulator.datasaur.plant().id for _ in range(1000)]
    reply = await datasaur("query($ids: [String!]!) { getJobs(jobIds: $ids) { id status } }", ids=ids)
    assert [job["id"] for job in reply["data"]["getJobs"]] == ids
    assert [record.statuses_read for record in emulator.ledger.requests] == [100, 1000]
    assert emulator.ledger.count("job") == 1
