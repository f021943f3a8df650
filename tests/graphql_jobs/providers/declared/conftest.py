"""The declarations of these tests, and a client of a small server with Dagster's API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from graphql_jobs.providers.declared import DeclaredClient, declared_client
from graphql_jobs.transport.limits import Limits
from tests.clocks import use_clock
from tests.graphql_jobs.providers.declared.runs_server import Runs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Serve

HERE = Path(__file__).parent


@pytest.fixture
def server() -> Runs:
    """Dagster."""
    return Runs()


@pytest.fixture
async def client(server: Runs, serve: Serve, clock: FakeClock) -> AsyncIterator[DeclaredClient]:
    """A client of that server, on the fake clock."""
    url = (await serve(server.handle)).url.removesuffix("/graphql")
    kind = declared_client((HERE / "dagster.yaml").read_text(), "dagster.yaml")
    client = kind.connect(url, kind.sign_in(url, "t0k3n-5ecret"), Limits(attempts=2))
    use_clock(client.session, clock)
    async with client:
        yield client
