"""`python -m graphql_jobs.emulator`, which is also `graphql-jobs emulator`, as a process."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import aiohttp
import pytest

ROOT = Path(__file__).parents[2]


PROGRAM = ("graphql_jobs.emulator",)
COMMAND = ("graphql_jobs.cli", "emulator")


async def start(*arguments: str, program: tuple[str, ...] = PROGRAM) -> Process:
    command = (sys.executable, "-m", *program, *arguments)
    return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, cwd=ROOT)


async def team_members(http: aiohttp.ClientSession, introduction: dict[str, str]) -> list[str]:
    """The addresses of the members of a team, by a token of the client that the process introduced."""
    form = {name: introduction[f"datasaur_{name}"] for name in ("client_id", "client_secret")}
    async with http.post(
        f"{introduction['url']}/api/oauth/token", data=form | {"grant_type": "client_credentials"}
    ) as response:
        headers = {"Authorization": f"Bearer {(await response.json())['access_token']}"}
    body = {"query": "{ getTeamMembersPaginated(input: {teamId: 9}) { nodes { user { email } } } }"}
    async with http.post(f"{introduction['url']}/graphql", json=body, headers=headers) as response:
        nodes = (await response.json())["data"]["getTeamMembersPaginated"]["nodes"]
    return [node["user"]["email"] for node in nodes]


@pytest.mark.parametrize(
    ("program", "number"), [(PROGRAM, signal.SIGINT), (PROGRAM, signal.SIGTERM), (COMMAND, signal.SIGINT)]
)
async def test_it_introduces_itself_serves_and_ends_with_zero(
    http: aiohttp.ClientSession, program: tuple[str, ...], number: signal.Signals
) -> None:
    """One JSON line with the address and credentials; options count; a signal ends it cleanly, with an empty stderr."""
    process = await start(
        "--port", "0", "--speed", "10", "--team-member", "a@h", "--team-member", "b@h", program=program
    )
    assert process.stdout is not None
    introduction = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    assert set(introduction) == {"url", "aiware_token", "datasaur_client_id", "datasaur_client_secret"}
    headers = {"Authorization": f"Bearer {introduction['aiware_token']}"}
    body = {"query": "{ me { id } }"}
    async with http.post(f"{introduction['url']}/v3/graphql", json=body, headers=headers) as response:
        assert (await response.json())["data"]["me"]["id"]
    assert await team_members(http, introduction) == ["a@h", "b@h"]
    process.send_signal(number)
    rest, errors = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, rest, errors) == (0, b"", b"")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--queued-s", "-1"),
        ("--port", "70000"),
        ("--port", "x"),
        ("--speed", "0"),
        ("--token-lifetime-s", "0"),
        ("--requests-per-window", "0"),
    ],
)
async def test_wrong_argument_is_explained(arguments: tuple[str, str]) -> None:
    """Exit code 2, and the name of the argument on stderr."""
    process = await start(*arguments)
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert arguments[0].encode() in errors
