"""Fixtures for tests against the emulator: docs/how-to/test-without-an-account.md.

    pytest_plugins = ["graphql_jobs.emulator.pytest_plugin"]

Each test has its own emulator on a free port, in a thread: a test may be a plain function or a coroutine.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from graphql_jobs.emulator import Emulator, Pace
from graphql_jobs.emulator.thread import in_thread

#: Our choice: short, and long enough that a poll sees a job queued and running.
_PACE = Pace(queued_s=0.1, running_s=0.2)


class AiwareAccount(NamedTuple):
    """The address of the emulated aiWARE and a valid token: fields of the block, arguments for `connect`."""

    base_url: str
    token: str


class DatasaurAccount(NamedTuple):
    """The address of the emulated Datasaur and valid client credentials."""

    base_url: str
    client_id: str
    client_secret: str


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "emulator(**options): options of the emulator of this test, such as pace")


@pytest.fixture
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """The running emulator of both services: `url`, `faults`, `clock` and `ledger`.

    `@pytest.mark.emulator(pace=Pace(...), behaviour=Behaviour(...))` gives it other options.
    """
    marker = request.node.get_closest_marker("emulator")
    options: dict[str, Any] = {"pace": _PACE} | (dict(marker.kwargs) if marker else {})
    with in_thread(Emulator(**options)) as running:
        yield running


@pytest.fixture
def aiware_account(emulator: Emulator) -> AiwareAccount:
    """The account at the emulated aiWARE."""
    return AiwareAccount(emulator.url, emulator.accounts.aiware_token)


@pytest.fixture
def datasaur_account(emulator: Emulator) -> DatasaurAccount:
    """The account at the emulated Datasaur."""
    accounts = emulator.accounts
    return DatasaurAccount(emulator.url, accounts.datasaur_client_id, accounts.datasaur_client_secret)


@pytest.fixture
def emulator_environment(aiware_account: AiwareAccount, datasaur_account: DatasaurAccount) -> dict[str, str]:
    """Both accounts as environment variables of the command `graphql-jobs`."""
    return {
        "AIWARE_URL": aiware_account.base_url,
        "AIWARE_TOKEN": aiware_account.token,
        "DATASAUR_URL": datasaur_account.base_url,
        "DATASAUR_CLIENT_ID": datasaur_account.client_id,
        "DATASAUR_CLIENT_SECRET": datasaur_account.client_secret,
    }
