"""Credentials: keys, sessions and access tokens."""

import base64
from typing import Any

import aiohttp
import pytest

from graphql_jobs.emulator import Behaviour, Emulator

REFUSED = {"errors": [{"message": "Unauthorized", "extensions": {"type": "AuthenticationError"}}], "data": None}
ME = {"query": "{ me { id } }"}
GET_JOB = {"query": '{ getJob(jobId: "x") { id } }'}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def token_reply(http: aiohttp.ClientSession, url: str, **arguments: Any) -> tuple[int, Any]:
    async with http.post(f"{url}/api/oauth/token", **arguments) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("behaviour", [Behaviour(), Behaviour(auth_failure_http_status=401)], indirect=True)
@pytest.mark.parametrize("sent", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer: wrong"}])
async def test_without_a_valid_token_both_refuse(
    emulator: Emulator, http: aiohttp.ClientSession, behaviour: Behaviour, sent: dict[str, str]
) -> None:
    """HTTP 200 by default, 401 by a setting; aiWARE says authentication_error, Datasaur says Unauthorized."""
    async with http.post(f"{emulator.url}/v3/graphql", json=ME, headers=sent) as response:
        assert response.status == behaviour.auth_failure_http_status
        reply = await response.json()
    assert (reply["data"], reply["errors"][0]["name"]) == ({"me": None}, "authentication_error")
    async with http.post(f"{emulator.url}/graphql", json=GET_JOB, headers=sent) as response:
        assert response.status == behaviour.auth_failure_http_status
        assert await response.json() == REFUSED
    assert emulator.ledger.requests[0].has_authorization == bool(sent)


async def test_client_credentials_are_taken_in_the_body_and_as_basic(
    emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    """Both forms get a token of 40 hex digits, and the ledger counts two."""
    client_id, secret = emulator.accounts.datasaur_client_id, emulator.accounts.datasaur_client_secret
    grant = {"grant_type": "client_credentials"}
    in_body = await token_reply(http, emulator.url, data={**grant, "client_id": client_id, "client_secret": secret})
    basic = {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}
    as_basic = await token_reply(http, emulator.url, data=grant, headers=basic)
    for status, reply in (in_body, as_basic):
        assert (status, reply["token_type"], reply["expires_in"]) == (200, "bearer", 3600)
        assert len(bytes.fromhex(reply["access_token"])) == 20
    assert emulator.ledger.tokens_issued == emulator.ledger.count("token", "datasaur") == 2


async def test_wrong_secret_or_grant_gets_no_token(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """401 invalid_client and 400 unsupported_grant_type, as in RFC 6749."""
    wrong = {"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}
    assert await token_reply(http, emulator.url, data=wrong) == (401, {"error": "invalid_client"})
    assert (await token_reply(http, emulator.url, data={"grant_type": "password"}))[0] == 400
    assert emulator.ledger.tokens_issued == 0


async def test_access_token_ends_with_its_lifetime(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """Valid at 3599 s, Unauthorized at 3600 s."""
    token = emulator.accounts.issue_datasaur_token()
    for advance_s, expected in ((3599, {"data": {"getJob": None}, "extensions": {}}), (1, REFUSED)):
        emulator.clock.advance(advance_s)
        async with http.post(f"{emulator.url}/graphql", json=GET_JOB, headers=bearer(token)) as response:
            assert await response.json() == expected


async def test_session_ends_and_a_key_does_not(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """userLogin needs no token; its session ends after an hour, the API key is valid until it is revoked."""
    login = "mutation($input: UserLogin!) { userLogin(input: $input) { token } }"
    who = {"userName": emulator.accounts.aiware_user_name, "password": emulator.accounts.aiware_password}
    body = {"query": login, "variables": {"input": who}}
    async with http.post(f"{emulator.url}/v3/graphql", json=body) as response:
        session = (await response.json())["data"]["userLogin"]["token"]
    answers = []
    for token in (session, emulator.accounts.aiware_token):
        for advance_s in (0, 3600):
            emulator.clock.advance(advance_s)
            async with http.post(f"{emulator.url}/v3/graphql", json=ME, headers=bearer(token)) as response:
                answers.append("errors" in await response.json())
    assert answers == [False, True, False, False]
    emulator.accounts.revoke_all()
    assert not emulator.accounts.knows_aiware_token(emulator.accounts.aiware_token)


async def test_refresh_and_logout_end_a_session(emulator: Emulator, aiware: Any) -> None:
    """refreshToken replaces the token; userLogout ends the session; validateToken shows both."""
    old = emulator.accounts.open_session()
    reply = await aiware("mutation($t: String!) { refreshToken(token: $t) { token } }", t=old)
    new = reply["data"]["refreshToken"]["token"]
    assert (emulator.accounts.knows_aiware_token(old), emulator.accounts.knows_aiware_token(new)) == (False, True)
    await aiware("mutation($t: String!) { userLogout(token: $t) }", t=new)
    reply = await aiware("mutation($t: String!) { validateToken(token: $t) { token } }", t=new)
    assert reply["errors"][0]["name"] == "authentication_error"


def test_secrets_differ_from_run_to_run_whatever_the_seed() -> None:
    """Two emulators with one seed have the same ids and different credentials."""
    first, second = Emulator(seed=3).accounts, Emulator(seed=3).accounts
    assert first.aiware_token != second.aiware_token
    assert first.datasaur_client_secret != second.datasaur_client_secret
    prefix, _, digits = first.aiware_token.partition(":")
    assert (len(prefix), len(bytes.fromhex(digits))) == (6, 32)
