"""The vendors' sample requests get the vendors' sample responses."""

import json
from pathlib import Path
from typing import Any

import aiohttp

from graphql_jobs.emulator import Emulator

PAGES = Path(__file__).parent / "pages"


async def post(http: aiohttp.ClientSession, url: str, token: str, body: str) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with http.post(url, data=body, headers=headers) as response:
        assert response.status == 200
        return await response.json()


async def test_aiware_sample_request_gets_the_sample_reply(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """ "Check a Job Status", unchanged, with the blank at the end of one task id, at any time."""
    emulator.clock.advance(1_000_000)
    body = json.dumps({"query": (PAGES / "aiware-request.graphql").read_text()})
    reply = await post(http, f"{emulator.url}/v3/graphql", emulator.accounts.aiware_token, body)
    assert json.dumps(reply, indent=2) + "\n" == (PAGES / "aiware-reply.json").read_text()


async def test_datasaur_sample_request_gets_the_sample_reply(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """ "Check Job", unchanged."""
    token = emulator.accounts.issue_datasaur_token()
    body = (PAGES / "datasaur-request.json").read_text()
    reply = await post(http, f"{emulator.url}/graphql", token, body)
    assert json.dumps(reply, indent=4) + "\n" == (PAGES / "datasaur-reply.json").read_text()


async def test_datasaur_sample_submit_starts_a_job(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """The same page's cURL body, unchanged: QUEUED with progress 0."""
    token = emulator.accounts.issue_datasaur_token()
    body = (PAGES / "datasaur-autolabel-request.json").read_text()
    result = (await post(http, f"{emulator.url}/graphql", token, body))["data"]["result"]
    assert (result["status"], result["progress"]) == ("QUEUED", 0)
    assert result["id"].startswith("AutoLabelQueue:")
    assert emulator.ledger.submissions[0].job_id == result["id"]
    assert "secret" not in emulator.ledger.to_json().replace("secretKey", "")
