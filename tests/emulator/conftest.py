"""A real emulator on a free port with a manual clock, and a plain HTTP client."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from graphql_jobs.emulator import Behaviour, Emulator, ManualClock

Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
def behaviour(request: pytest.FixtureRequest) -> Behaviour:
    """The settings: defaults, or the test's indirect parameter."""
    return getattr(request, "param", Behaviour())


@pytest.fixture
async def emulator(behaviour: Behaviour) -> AsyncIterator[Emulator]:
    async with Emulator(clock=ManualClock(), seed=7, behaviour=behaviour) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def aiware(emulator: Emulator, http: aiohttp.ClientSession) -> Ask:
    """Send a request to aiWARE: (document, **variables) -> the whole response."""

    async def ask(document: str, **variables: Any) -> Any:
        headers = {"Authorization": f"Bearer {emulator.accounts.aiware_token}"}
        body = {"query": document, "variables": variables}
        async with http.post(f"{emulator.url}/v3/graphql", json=body, headers=headers) as response:
            return await response.json()

    return ask


@pytest.fixture
def datasaur(emulator: Emulator, http: aiohttp.ClientSession) -> Ask:
    """Send a request to Datasaur, with a token that was not fetched over HTTP."""

    async def ask(document: str, **variables: Any) -> Any:
        headers = {"Authorization": f"Bearer {emulator.accounts.issue_datasaur_token()}"}
        body = {"query": document, "variables": variables}
        async with http.post(f"{emulator.url}/graphql", json=body, headers=headers) as response:
            return await response.json()

    return ask


@pytest.fixture
def create_job(aiware: Ask) -> Ask:
    """createJob with one task; returns the job's id."""

    async def create(**values: Any) -> Any:
        values.setdefault("tasks", [{"engineId": "c0e55cde-340b-44d7-bb42-2e0d65e98255"}])
        reply = await aiware("mutation($input: CreateJob!) { createJob(input: $input) { id } }", input=values)
        return reply["data"]["createJob"]["id"]

    return create


@pytest.fixture
def auto_label(datasaur: Ask) -> Ask:
    """autoLabelTokenBasedProject on the page's project; returns the job's id."""

    async def submit() -> Any:
        values = {
            "labelerEmail": "labeler@example.invalid",
            "projectId": "HvdyIL2iwZn",
            "options": {"numberOfFilesPerRequest": 0, "serviceProvider": "CUSTOM"},
            "targetAPI": {"endpoint": "https://model.example.invalid", "secretKey": "keep-out"},
        }
        document = """mutation($input: AutoLabelTokenBasedProjectInput!) {
            result: autoLabelTokenBasedProject(input: $input) { id }
        }"""
        return (await datasaur(document, input=values))["data"]["result"]["id"]

    return submit
