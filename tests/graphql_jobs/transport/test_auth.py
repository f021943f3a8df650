"""Signing in: forms, one fetch for many requests, renewal before expiry and after a rejection."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from graphql_jobs import errors
from graphql_jobs.clock import SystemClock
from graphql_jobs.providers.datasaur.reader import DIALECT
from graphql_jobs.transport.auth import Auth, BearerToken, ClientCredentials
from graphql_jobs.transport.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphql_jobs.transport.operation import Operation
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import OpenSession, ScriptedServer, Serve

GOOD: dict[str, Any] = {"data": {"job": {"id": "1"}}}
MADE: dict[str, Any] = {"data": {"createJob": {"id": "7"}}}


class Issuer:
    """A token endpoint that issues T1, T2 and so on, and a GraphQL endpoint that accepts only the newest token."""

    def __init__(self, rejection: Callable[[], web.Response], expires_in: object = 3600) -> None:
        self.fetched = 0
        self.valid = ""
        self.rejection = rejection
        self.expires_in = expires_in

    async def token(self, request: web.Request) -> web.StreamResponse:
        """Issue the next token, which becomes the valid one."""
        self.fetched += 1
        self.valid = f"T{self.fetched}"
        await asyncio.sleep(0)
        return web.json_response({"access_token": self.valid, "expires_in": self.expires_in, "token_type": "Bearer"})

    async def graphql(self, request: web.Request) -> web.StreamResponse:
        """Answer if the token is valid."""
        if request.headers.get("Authorization") != f"Bearer {self.valid}":
            return self.rejection()
        return web.json_response(GOOD | {"data": GOOD["data"] | MADE["data"]})


def unauthorized_200() -> web.Response:
    """Datasaur's words for it, with status 200."""
    entry = {"message": "Unauthorized", "extensions": {"type": "AuthenticationError"}}
    return web.json_response({"errors": [entry], "data": None})


def unauthorized_401() -> web.Response:
    """Only the status says it."""
    return web.Response(status=401, text="no")


def credentials(server: ScriptedServer, style: Literal["body", "basic"] = "body") -> ClientCredentials:
    """Credentials for the token endpoint at `server`."""
    return ClientCredentials(server.url, "my-id", "my-s3cret", style)


async def test_id_and_secret_go_into_the_form(serve: Serve, open_session: OpenSession, operation: Operation) -> None:
    """Style "body", as Datasaur's documentation shows: no Authorization header at the token endpoint."""
    tokens, api = await serve({"access_token": "T"}), await serve(GOOD)
    await (await open_session(api.url, credentials(tokens))).read(operation, {"id": "1"})
    form = {"grant_type": ["client_credentials"], "client_id": ["my-id"], "client_secret": ["my-s3cret"]}
    assert parse_qs(tokens.bodies[0]) == form
    assert "Authorization" not in tokens.headers[0]
    assert api.headers[0]["Authorization"] == "Bearer T"


async def test_id_and_secret_go_into_a_basic_header(
    serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """Style "basic": the form has only the grant."""
    tokens, api = await serve({"access_token": "T"}), await serve(GOOD)
    await (await open_session(api.url, credentials(tokens, "basic"))).read(operation, {"id": "1"})
    assert parse_qs(tokens.bodies[0]) == {"grant_type": ["client_credentials"]}
    assert tokens.headers[0]["Authorization"] == f"Basic {b64encode(b'my-id:my-s3cret').decode()}"


async def test_one_token_is_fetched_for_many_requests(
    serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """Fifty concurrent requests: one sign-in."""
    issuer = Issuer(unauthorized_401)
    tokens, api = await serve(issuer.token), await serve(issuer.graphql)
    session = await open_session(api.url, credentials(tokens), dialect=DIALECT)
    await asyncio.gather(*(session.read(operation, {"id": "1"}) for _ in range(50)))
    assert (tokens.count, api.count) == (1, 50)


@pytest.mark.parametrize(
    ("expires_in", "still_good_s", "renewed_s"),
    [(3600, 3539, 3540), (100, 89, 90), (None, 3539, 3540), ("600", 3539, 3540), (0, 3539, 3540), (-1, 3539, 3540)],
)
async def test_a_token_is_renewed_before_it_expires(
    expires_in: object,
    still_good_s: float,
    renewed_s: float,
    serve: Serve,
    open_session: OpenSession,
    clock: FakeClock,
    operation: Operation,
) -> None:
    """With a tenth of its lifetime left, at most a minute; the lifetime is an hour if the answer has none."""
    issuer = Issuer(unauthorized_401, expires_in)
    tokens, api = await serve(issuer.token), await serve(issuer.graphql)
    session = await open_session(api.url, credentials(tokens), dialect=DIALECT)
    began_at = clock.now()
    for at_s, fetched in ((0, 1), (still_good_s, 1), (renewed_s, 2)):
        clock.now_s = began_at + at_s
        await session.read(operation, {"id": "1"})
        assert issuer.fetched == fetched


@pytest.mark.parametrize("rejection", [unauthorized_200, unauthorized_401])
async def test_a_rejected_token_is_replaced_once_for_all(
    rejection: Callable[[], web.Response], serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """The token is revoked during fifty requests: each is sent again, and one new token is fetched."""
    issuer = Issuer(rejection)
    tokens, api = await serve(issuer.token), await serve(issuer.graphql)
    session = await open_session(api.url, credentials(tokens), dialect=DIALECT)
    await session.read(operation, {"id": "1"})
    issuer.valid = "revoked"
    replies = await asyncio.gather(*(session.read(operation, {"id": "1"}) for _ in range(50)))
    assert all(reply.data["job"] == {"id": "1"} for reply in replies)
    assert issuer.fetched == 2


async def test_a_create_with_a_rejected_token_is_sent_again(
    serve: Serve, open_session: OpenSession, creation: Operation
) -> None:
    """It was refused before any work (guarantee 2): a new token, and the job is created once."""
    issuer = Issuer(unauthorized_401)
    tokens, api = await serve(issuer.token), await serve(issuer.graphql)
    session = await open_session(api.url, credentials(tokens), dialect=DIALECT)
    await session.create(creation, {"input": {}})
    issuer.valid = "revoked"
    assert await session.create(creation, {"input": {}}) == {"id": "7"}
    assert api.count == 3


async def test_a_new_token_that_is_rejected_too_is_the_end(
    serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """The account was closed: two requests, two tokens, `SignInFailed`."""
    tokens, api = await serve({"access_token": "T"}), await serve((401, ""))
    with pytest.raises(errors.SignInFailed):
        await (await open_session(api.url, credentials(tokens))).read(operation, {"id": "1"})
    assert (tokens.count, api.count) == (2, 2)


async def test_a_static_token_that_is_rejected_is_not_sent_again(
    serve: Serve, open_session: OpenSession, operation: Operation, creation: Operation
) -> None:
    """There is no other token: `SignInFailed` after exactly one request, for reads and creates."""
    api = await serve((401, ""))
    session = await open_session(api.url, BearerToken("T"))
    for count, attempt in enumerate((session.read(operation, {}), session.create(creation, {})), 1):
        with pytest.raises(errors.SignInFailed):
            await attempt
        assert api.count == count


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        ((400, {"error": "invalid_client"}), errors.SignInFailed),
        ((401, {"error": "invalid_client"}), errors.SignInFailed),
        ((403, "no"), errors.SignInFailed),
        ((404, "no"), errors.BadEndpoint),
        ((302, "", {"Location": "/login"}), errors.BadEndpoint),
    ],
)
async def test_a_sign_in_that_was_refused_is_not_repeated(
    step: Any, kind: type[errors.RequestFailed], serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """400 `invalid_client` (RFC 6749 5.2): one request to the token endpoint, none to the service."""
    tokens, api = await serve(step), await serve(GOOD)
    with pytest.raises(kind):
        await (await open_session(api.url, credentials(tokens))).read(operation, {"id": "1"})
    assert (tokens.count, api.count) == (1, 0)


@pytest.mark.parametrize("step", [(500, "down"), "<h1>welcome</h1>", {"token": "T"}, [1], (200, None)])
async def test_a_sign_in_that_fails_is_repeated_as_often_as_any_request(
    step: Any, serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """500, HTML, JSON without a token: at most three requests where three attempts are allowed."""
    tokens, api = await serve(step), await serve(GOOD)
    session = await open_session(api.url, credentials(tokens), limits=Limits(attempts=3))
    with pytest.raises(errors.RequestFailed) as caught:
        await session.read(operation, {"id": "1"})
    assert caught.value.transient
    assert api.count == 0
    assert tokens.count <= 3


@pytest.mark.parametrize("step", [(500, "down"), "<h1>welcome</h1>"])
async def test_a_create_whose_sign_in_failed_surely_did_not_happen(
    step: Any, serve: Serve, open_session: OpenSession, creation: Operation
) -> None:
    """The token endpoint fails: `RequestFailed`, not `SubmissionUnknown`; nothing reached the service."""
    tokens, api = await serve(step), await serve(MADE)
    session = await open_session(api.url, credentials(tokens), limits=Limits(attempts=2))
    with pytest.raises(errors.RequestFailed):
        await session.create(creation, {"input": {}}, "x")
    assert api.count == 0


@pytest.mark.parametrize("token", ["", "a\nb", "a\r\nX-Evil: 1", "t\u00f6ken\u2028"])
async def test_a_token_that_cannot_be_sent_is_a_bad_answer(
    token: str, serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """A token with a line feed, or an empty one: `RequestFailed`, and no header is injected."""
    tokens, api = await serve({"access_token": token}), await serve(GOOD)
    session = await open_session(api.url, credentials(tokens), limits=Limits(attempts=1))
    with pytest.raises(errors.RequestFailed):
        await session.read(operation, {"id": "1"})
    assert api.count == 0


@pytest.mark.parametrize("value", ["", "   ", "a\nb", "t\u00f6ken"])
def test_a_secret_that_cannot_be_sent_is_bad_input(value: str) -> None:
    """Empty, two lines, not ASCII: the error names the parameter and does not show the value."""
    for make in (lambda: BearerToken(value), lambda: ClientCredentials("http://h", "id", value)):
        with pytest.raises(errors.InvalidInput) as caught:
            make()
        assert not value.strip() or value not in str(caught.value)


def test_white_space_around_a_secret_is_dropped() -> None:
    """The secret was pasted with a line feed at its end."""
    assert BearerToken(" abc\n").secrets == ("abc",)


def test_fingerprints_tell_credentials_apart_and_hide_them() -> None:
    """Equal for equal credentials, different if any part differs, and not the secret."""
    same = [ClientCredentials("http://h", "id", "s3cret").fingerprint for _ in range(2)]
    others: list[Auth] = [
        ClientCredentials("http://h2", "id", "s3cret"),
        ClientCredentials("http://h", "id2", "s3cret"),
        ClientCredentials("http://h", "id", "s3cret2"),
        ClientCredentials("http://h", "id", "s3cret", "basic"),
        BearerToken("s3cret"),
        BearerToken("s3cret2"),
    ]
    assert same[0] == same[1]
    assert len({same[0], *(other.fingerprint for other in others)}) == 7
    assert "s3cret" not in same[0]


def test_credentials_serve_two_event_loops(operation: Operation) -> None:
    """One object, two loops one after the other (Prefect's sync tasks): two concurrent requests in each."""

    class Clock(SystemClock):
        def now(self) -> float:
            return 0.0

        monotonic = now

        async def sleep(self, delay_s: float) -> None:
            raise AssertionError

    shared = ClientCredentials("http://h", "id", "s3cret")

    async def post_form(url: str, form: object, basic: object) -> dict[str, object]:
        await asyncio.sleep(0)
        return {"access_token": "T", "expires_in": 1}

    async def two() -> list[str]:
        shared.reject("T")
        return await asyncio.gather(*(shared.token(post_form, Clock()) for _ in range(2)))

    assert asyncio.run(two()) == ["T", "T"]
    assert asyncio.run(two()) == ["T", "T"]
