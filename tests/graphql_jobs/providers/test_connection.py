"""Checking a connection: account, rights, latency, clocks, and errors that say what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import BearerToken, ClientCredentials, Limits, errors
from graphql_jobs.providers.aiware import AiwareClient
from graphql_jobs.providers.connection import check_connection
from graphql_jobs.providers.datasaur import DatasaurClient
from tests.clocks import use_clock

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Serve


def aiware(url: str) -> AiwareClient:
    """A client that sends each request once."""
    return AiwareClient.connect(url.removesuffix("/graphql"), BearerToken("x"), Limits(attempts=1))


async def test_aiware_tells_account_and_rights(emulator: Emulator) -> None:
    """The user, its organisation and its rights, by two queries that start nothing; the clocks agree."""
    client = AiwareClient.connect(emulator.url, BearerToken(emulator.accounts.aiware_token))
    found = await check_connection(client)
    assert found.account == "Emulator user of Emulator organization"
    assert found.rights == ("job:create", "job:delete", "job:read", "job:update")
    assert found.clock_skew_s is not None
    assert (found.warnings, abs(found.clock_skew_s) < 60) == ((), True)
    assert found.describe().startswith(f"aiWARE at {emulator.url}/v3/graphql answers as Emulator user")
    assert found.to_json()["rights"] == list(found.rights or ())
    assert [record.operation for record in emulator.ledger.requests] == [("me", "myRights")] * 2
    assert emulator.ledger.submissions == []


async def test_datasaur_tells_only_that_the_sign_in_works(emulator: Emulator) -> None:
    """One sign-in and two queries; Datasaur has no query for account and rights."""
    accounts = emulator.accounts
    auth = ClientCredentials(
        f"{emulator.url}/api/oauth/token", accounts.datasaur_client_id, accounts.datasaur_client_secret
    )
    client = DatasaurClient.connect(emulator.url, auth)
    client.account = "the-client"
    found = await check_connection(client)
    assert (found.account, found.rights) == ("the-client (visible projects: 1)", None)
    assert emulator.ledger.count("token") == 1


@pytest.mark.parametrize(
    ("data", "account", "warning"),
    [
        ({"me": None, "myRights": {"operations": ["job:read"]}}, "an organisation's API key", "the right job:create"),
        ({"me": {"id": "7"}, "myRights": None}, "7", ""),
        ({"me": {"name": "A", "organization": {"name": "B"}}, "myRights": {"operations": []}}, "A of B", "job:read"),
    ],
)
async def test_part_of_the_answer_is_enough(data: dict[str, Any], account: str, warning: str, serve: Serve) -> None:
    """An API key belongs to no user; a missing right is a warning that says where to grant it."""
    server = await serve({"data": data})
    found = await check_connection(aiware(server.url))
    assert found.account == account
    assert warning in " ".join(found.warnings)


async def test_clock_that_differs_is_a_warning(serve: Serve, clock: FakeClock) -> None:
    """A `Date` of years ago: the message says which clock is ahead, and what to do."""
    answer = (200, {"data": {"me": {"id": "1"}}}, {"Date": "Wed, 01 Jan 2020 00:00:00 GMT"})
    client = aiware((await serve(answer)).url)
    use_clock(client.session, clock)
    [warning] = (await check_connection(client)).warnings
    assert "s ahead of that of aiWARE. Set it" in warning


@pytest.mark.parametrize(
    ("answer", "kind", "advice"),
    [
        ((401, {}), errors.SignInFailed, "Renew the token"),
        ((404, "<html>"), errors.BadEndpoint, "Check the base URL"),
        ({"data": {"me": None, "myRights": None}}, errors.BadReply, "neither an account nor rights"),
        ({"errors": [{"name": "not_allowed", "message": "no"}], "data": None}, errors.NotAllowed, "Give the account"),
    ],
)
async def test_error_says_what_to_change(answer: Any, kind: type[Exception], advice: str, serve: Serve) -> None:
    """A refused token, another address, and an account without the right."""
    server = await serve(answer)
    with pytest.raises(kind, match=advice):
        await check_connection(aiware(server.url))
