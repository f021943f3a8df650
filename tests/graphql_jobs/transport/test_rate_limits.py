"""An answer that says "rate limited" in any form delays the whole endpoint and is not a refusal (guarantee 6)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import errors
from graphql_jobs.providers.aiware.reader import DIALECT as AIWARE
from graphql_jobs.providers.datasaur.reader import DIALECT as DATASAUR
from graphql_jobs.transport.auth import ClientCredentials
from graphql_jobs.transport.limits import Limits

if TYPE_CHECKING:
    from graphql_jobs.transport.diagnosis import Dialect
    from graphql_jobs.transport.operation import Operation
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import OpenSession, Serve

GOOD: dict[str, Any] = {"data": {"job": {"id": "1"}}}
MADE: dict[str, Any] = {"data": {"createJob": {"id": "7"}}}
SEVEN_S = {"Retry-After": "7"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 425, 429, 451])
@pytest.mark.parametrize("code", [None, "FORBIDDEN", "UNAUTHENTICATED", "RATELIMITED"])
async def test_client_error_with_retry_after_is_a_delay(
    status: int,
    code: str | None,
    serve: Serve,
    open_session: OpenSession,
    clock: FakeClock,
    operation: Operation,
    creation: Operation,
) -> None:
    """409 with `Retry-After: 7` and any body: a read and a create are sent again after 7 s."""
    body = {"errors": [{"message": "no", "extensions": {"code": code}}]} if code else {"message": "no"}
    server = await serve((status, body, SEVEN_S), GOOD, (status, body, SEVEN_S), MADE)
    session, began_at = await open_session(server.url, dialect=DATASAUR), clock.now()
    await session.read(operation, {"id": "1"})
    assert 7 <= clock.now() - began_at <= 10
    assert await session.create(creation, {"input": {}}) == {"id": "7"}
    assert 14 <= clock.now() - began_at <= 20
    assert server.count == 4


@pytest.mark.parametrize(("status", "body"), [(200, GOOD), (403, ""), (413, ""), (503, ""), (302, "")])
async def test_retry_after_delays_the_whole_endpoint(
    status: int, body: Any, serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """An hour, in any answer: no other request is sent, and an error is transient."""
    server = await serve((status, body, {"Retry-After": "3600"}))
    session = await open_session(server.url)
    if status != 200:
        with pytest.raises(errors.RequestFailed) as caught:
            await session.read(operation, {"id": "1"})
        assert caught.value.transient
    else:
        await session.read(operation, {"id": "1"})
    with pytest.raises(errors.RateLimited, match="delay"):
        await session.read(operation, {"id": "2"})
    assert server.count == 1


async def test_request_that_is_too_large_for_now_is_still_one_to_make_smaller(
    serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """413 with `Retry-After` (RFC 9110 15.5.14): after the delay a smaller request, or the same one."""
    server = await serve((413, "", SEVEN_S))
    with pytest.raises(errors.TooMuchAtOnce) as caught:
        await (await open_session(server.url, limits=Limits(attempts=1))).read(operation, {"id": "1"})
    assert caught.value.transient


async def test_rejected_token_with_retry_after_is_renewed(
    serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """401 with a delay: after the delay the request has a new token."""
    tokens = await serve({"access_token": "one"}, {"access_token": "two"})
    server = await serve((401, "", SEVEN_S), GOOD)
    session = await open_session(server.url, ClientCredentials(tokens.url, "id", "s3cret"))
    await session.read(operation, {"id": "1"})
    assert [headers["Authorization"] for headers in server.headers] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize("status", [400, 403, 429, 503])
async def test_delay_that_the_token_endpoint_asks_for_is_kept(
    status: int, serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """The token endpoint asks for an hour: the credentials are not called wrong, and it is asked once."""
    tokens, server = await serve((status, {"error": "slow_down"}, {"Retry-After": "3600"})), await serve(GOOD)
    session = await open_session(server.url, ClientCredentials(tokens.url, "id", "s3cret"))
    for _ in range(2):
        with pytest.raises(errors.RequestFailed) as caught:
            await session.read(operation, {"id": "1"})
        assert caught.value.transient
        assert not isinstance(caught.value, errors.SignInFailed)
    assert (tokens.count, server.count) == (1, 0)


THROTTLED: dict[str, dict[str, Any]] = {
    **{
        code: {"message": "no", "extensions": {"code": code}}
        for code in (
            *("THROTTLED", "RATE_LIMITED", "RATELIMITED", "rate-limited", "RateLimitExceeded", "RATE_LIMIT_EXCEEDED"),
            *("TOO_MANY_REQUESTS", "TooManyRequestsException", "ThrottlingException", "ENHANCE_YOUR_CALM", "429"),
            "RequestRateTooLarge",
        )
    },
    "AWS": {"message": "no", "__type": "com.amazonaws#ThrottlingException"},
    "top level": {"message": "no", "type": "RATE_LIMITED"},
    "aiWARE's own": {"message": "no", "name": "rate_limited"},
    "errorName": {"message": "no", "name": "internal_error", "data": {"errorName": "rate_limited"}},
    "status": {"message": "no", "extensions": {"code": "INTERNAL_SERVER_ERROR", "response": {"statusCode": 429}}},
    "http": {"message": "no", "extensions": {"http": {"status": 429}}},
    "NestJS": {
        "message": "ThrottlerException: Too Many Requests",
        "extensions": {"code": "INTERNAL_SERVER_ERROR"},
    },
    **{
        words: {"message": words}
        for words in (
            *("Too many requests", "Apply Tags Bulk Too Many Requests Error", "Rate limit exceeded", "Rate exceeded"),
            *(
                "API rate limit exceeded for user 7",
                "You have exceeded a secondary rate limit. Please wait.",
                "Throttled",
            ),
            *("Request was throttled. Expected available in 3 seconds.", "You are being rate limited.", "slow down"),
        )
    },
}


@pytest.mark.parametrize("dialect", [AIWARE, DATASAUR], ids=lambda dialect: dialect.provider)
@pytest.mark.parametrize("data", [None, {"createJob": None}], ids=["no data", "null root"])
@pytest.mark.parametrize("spelling", THROTTLED)
async def test_create_that_is_throttled_in_the_body_is_sent_again(
    spelling: str, data: Any, dialect: Dialect, serve: Serve, open_session: OpenSession, creation: Operation
) -> None:
    """HTTP 200 with THROTTLED: refused before any work, so the second request creates the one job."""
    server = await serve({"data": data, "errors": [{"message": "first"}, THROTTLED[spelling]]}, MADE)
    session = await open_session(server.url, dialect=dialect)
    assert await session.create(creation, {"input": {}}) == {"id": "7"}
    assert (server.count, session.sent["rate_limited"]) == (2, 1)


@pytest.mark.parametrize("spelling", THROTTLED)
async def test_throttled_create_that_was_begun_is_unknown(
    spelling: str, serve: Serve, open_session: OpenSession, creation: Operation
) -> None:
    """A rate-limit error below the created object: the job may exist."""
    entry = THROTTLED[spelling] | {"path": ["createJob", "target"]}
    server = await serve({"data": {"createJob": None}, "errors": [entry]})
    with pytest.raises(errors.SubmissionUnknown):
        await (await open_session(server.url, dialect=DATASAUR)).create(creation, {"input": {}})
    assert server.count == 1


@pytest.mark.parametrize(
    "entry",
    [
        {"message": "Request failed with status code 500 after a rate limiter was created"},
        {"message": "Too many requests", "extensions": {"code": "INTERNAL_SERVER_ERROR"}},
        {"message": "the job was made, and its engine then said: no"},
        {"message": "no", "extensions": {"code": "SOMETHING_ELSE", "status": 500}},
        {"message": "no such thing", "data": {"name": "throttled.mp4", "type": "rate_limited"}},
        {"message": 429, "extensions": [429], "data": "429"},
        {"message": "x" * 10_000 + "too many requests", "extensions": {"code": "THROTTLED" * 1000}},
    ],
)
async def test_words_that_may_mean_something_else_are_no_proof(
    entry: Any, serve: Serve, open_session: OpenSession, creation: Operation
) -> None:
    """An internal error whose text comes from another service behind it: the outcome is unknown."""
    server = await serve({"data": None, "errors": [entry]})
    with pytest.raises(errors.SubmissionUnknown):
        await (await open_session(server.url, dialect=DATASAUR)).create(creation, {"input": {}})
    assert server.count == 1


@pytest.mark.parametrize("status", [400, 403, 409])
async def test_client_error_with_a_rate_limit_code_is_a_delay(
    status: int, serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """403 whose second error is RATE_LIMITED, without `Retry-After`: sent again after the default delay."""
    body = {"errors": [{"message": "no", "extensions": {"code": "FORBIDDEN"}}, THROTTLED["RATE_LIMITED"]]}
    server = await serve((status, body), GOOD)
    await (await open_session(server.url, dialect=DATASAUR)).read(operation, {"id": "1"})
    assert server.count == 2


GATEWAYS: dict[str, dict[str, Any]] = {
    "GitHub": {
        "message": "You have exceeded a secondary rate limit. Please wait a few minutes.",
        "documentation_url": "u",
    },
    "code": {"code": "RATE_LIMITED"},
    "error": {"error": "too_many_requests", "error_description": "later"},
    "an object": {"error": {"code": "THROTTLED", "message": "no"}},
    "words": {"error": {"message": "Rate limit exceeded"}},
}


@pytest.mark.parametrize("status", [400, 403, 409])
@pytest.mark.parametrize("gateway", GATEWAYS)
async def test_refusal_that_is_not_graphql_and_says_rate_limit_is_a_delay(
    gateway: str, status: int, serve: Serve, open_session: OpenSession, operation: Operation, creation: Operation
) -> None:
    """A gateway's 403 with another JSON object: a read, a create and a sign-in are sent again."""
    refused = (status, GATEWAYS[gateway])
    server = await serve(refused, GOOD, refused, MADE)
    tokens = await serve(refused, {"access_token": "one"})
    session = await open_session(server.url, ClientCredentials(tokens.url, "id", "s3cret"))
    await session.read(operation, {"id": "1"})
    assert await session.create(creation, {"input": {}}) == {"id": "7"}
    assert (server.count, tokens.count) == (4, 2)


async def test_refusal_without_such_words_is_none(
    serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """A gateway's 403 that names a rule: one request, and `SignInFailed`."""
    for body in ({"message": "blocked by rule 7"}, ["THROTTLED"], "THROTTLED", {"message": ["too many requests"]}):
        server = await serve((403, body))
        with pytest.raises(errors.SignInFailed):
            await (await open_session(server.url)).read(operation, {"id": "1"})
        assert server.count == 1


async def test_requests_that_wait_for_one_sign_in_share_its_failure(
    serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """Thirty requests and a failing token endpoint: it is asked once, not thirty times in a row."""
    tokens, server = await serve((401, {"error": "invalid_client"})), await serve(GOOD)
    session = await open_session(server.url, ClientCredentials(tokens.url, "id", "s3cret"))
    ended = await asyncio.gather(
        *(session.read(operation, {"id": str(number)}) for number in range(30)), return_exceptions=True
    )
    assert {type(one) for one in ended} == {errors.SignInFailed}
    assert len({id(one) for one in ended}) == 30
    assert (tokens.count, server.count) == (1, 0)


async def test_sign_in_of_a_cancelled_request_is_done_by_the_next_one(
    serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """The first of two requests is cancelled during its sign-in: the second signs in and is answered."""
    tokens, server = await serve({"access_token": "one"}), await serve(GOOD)
    session = await open_session(server.url, ClientCredentials(tokens.url, "id", "s3cret"))
    first, second = (asyncio.create_task(session.read(operation, {"id": number})) for number in "12")
    while not tokens.count:  # noqa: ASYNC110 (the server has no event)
        await asyncio.sleep(0)
    first.cancel()
    assert (await second).data == GOOD["data"]
