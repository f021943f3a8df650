"""The error of each kind of HTTP answer, and how often reads and creates are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import errors
from graphql_jobs.providers.datasaur.reader import DIALECT
from graphql_jobs.transport.auth import ClientCredentials
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.operation import Operation
from graphql_jobs.transport.retry import is_transient

if TYPE_CHECKING:
    from tests.graphql_jobs.conftest import Answer, OpenSession, Serve

THREE = Limits(attempts=3)
ERRORS = {"errors": [{"message": "no"}]}
UNKNOWN = errors.SubmissionUnknown
TOO_LARGE = {"name": "invalid_input", "message": "too large", "data": {"limitInBytes": 1, "requestSize": 2}}


def coded(code: str, data: Any = None) -> dict[str, Any]:
    """An answer with one error with aiWARE's code, and the given `data`."""
    return {"data": data, "errors": [{"message": "no", "name": code}]}


def apollo(code: str) -> dict[str, Any]:
    """An answer with one error with Apollo's code."""
    return {"data": None, "errors": [{"message": "no", "extensions": {"code": code}}]}


#: name: the answer; the class of the error; how often a read is sent, at most three times; how often a create is sent;
#: what the create raises.
Row = tuple["Answer", type[errors.RequestFailed], int, int, type[errors.GraphqlJobsError]]
ROWS: dict[str, Row] = {
    # 1.3: gql's exceptions
    "429, JSON errors": ((429, ERRORS), errors.RateLimited, 3, 3, errors.RateLimited),
    "429, JSON errors with another code": ((429, coded("not_allowed")), errors.RateLimited, 3, 3, errors.RateLimited),
    "429, JSON without errors": ((429, {"message": "slow"}), errors.RateLimited, 3, 3, errors.RateLimited),
    "429, HTML": ((429, "<h1>slow</h1>"), errors.RateLimited, 3, 3, errors.RateLimited),
    "429, JSON data": ((429, {"data": {"job": {}}}), errors.RateLimited, 3, 1, UNKNOWN),
    "401, JSON errors": ((401, ERRORS), errors.SignInFailed, 1, 1, errors.SignInFailed),
    "401, HTML": ((401, "<h1>who?</h1>"), errors.SignInFailed, 1, 1, errors.SignInFailed),
    "401, JSON data": ((401, {"data": {"job": {}}}), errors.SignInFailed, 1, 1, UNKNOWN),
    "503, JSON errors": ((503, ERRORS), errors.ServerFailed, 3, 1, UNKNOWN),
    "503, Retry-After": ((503, "later", {"Retry-After": "1"}), errors.ServerFailed, 3, 1, UNKNOWN),
    "502, HTML": ((502, "<h1>bad gateway</h1>"), errors.ServerFailed, 3, 1, UNKNOWN),
    "500, JSON data": ((500, {"data": {"job": {"id": "1"}}}), errors.ServerFailed, 3, 1, UNKNOWN),
    "504, empty": ((504, ""), errors.ServerFailed, 3, 1, UNKNOWN),
    "200, HTML": ("<h1>welcome</h1>", errors.BadReply, 3, 1, UNKNOWN),
    "200, no keys of GraphQL": ({"message": "hello"}, errors.BadReply, 3, 1, UNKNOWN),
    "200, empty": ("", errors.BadReply, 3, 1, UNKNOWN),
    "data null": ({"data": None}, errors.BadReply, 3, 1, UNKNOWN),
    "data null, no errors": ({"data": None, "errors": []}, errors.BadReply, 3, 1, UNKNOWN),
    "a number": ((200, 5), errors.BadReply, 3, 1, UNKNOWN),
    "null": ((200, None), errors.BadReply, 3, 1, UNKNOWN),
    "a list": ([{"data": {}}], errors.BadReply, 3, 1, UNKNOWN),
    "the text data": ((200, "data"), errors.BadReply, 3, 1, UNKNOWN),
    "data is a list": ({"data": []}, errors.BadReply, 3, 1, UNKNOWN),
    "errors is text": ({"errors": "boom"}, errors.BadReply, 3, 1, UNKNOWN),
    "errors is a list of text": ({"errors": ["boom"]}, errors.OperationFailed, 1, 1, UNKNOWN),
    "an error without a code": (ERRORS, errors.OperationFailed, 1, 1, UNKNOWN),
    "a non-null field failed": ({"data": None, "errors": ERRORS["errors"]}, errors.OperationFailed, 1, 1, UNKNOWN),
    # by status
    "302": ((302, "", {"Location": "/elsewhere"}), errors.BadEndpoint, 1, 1, errors.BadEndpoint),
    "307": ((307, "", {"Location": "/elsewhere"}), errors.BadEndpoint, 1, 1, errors.BadEndpoint),
    "400": ((400, ERRORS), errors.RequestRefused, 1, 1, errors.RequestRefused),
    "403": ((403, "no"), errors.SignInFailed, 1, 1, errors.SignInFailed),
    "404": ((404, "no"), errors.BadEndpoint, 1, 1, errors.BadEndpoint),
    "405": ((405, "no"), errors.BadEndpoint, 1, 1, errors.BadEndpoint),
    "408": ((408, "no"), errors.ConnectionLost, 3, 1, UNKNOWN),
    "413": ((413, "no"), errors.TooMuchAtOnce, 1, 1, errors.TooMuchAtOnce),
    "418": ((418, "no"), errors.RequestRefused, 1, 1, errors.RequestRefused),
    "599": ((599, "no"), errors.ServerFailed, 3, 1, UNKNOWN),
    # by code, which takes precedence over the status
    "not_found": (coded("not_found"), errors.NotFound, 1, 1, errors.NotFound),
    "not_allowed": (coded("not_allowed"), errors.NotAllowed, 1, 1, errors.NotAllowed),
    "invalid_input": (coded("invalid_input"), errors.RequestRefused, 1, 1, errors.RequestRefused),
    "not_implemented": (coded("not_implemented"), errors.RequestRefused, 1, 1, errors.RequestRefused),
    "authentication_error": (coded("authentication_error"), errors.SignInFailed, 1, 1, errors.SignInFailed),
    "rate_limited": (coded("rate_limited"), errors.RateLimited, 3, 3, errors.RateLimited),
    "capacity_exceeded": (coded("capacity_exceeded"), errors.TooMuchAtOnce, 1, 1, errors.TooMuchAtOnce),
    "service_unavailable": (coded("service_unavailable"), errors.ServerFailed, 3, 1, UNKNOWN),
    "service_failure": (coded("service_failure"), errors.ServerFailed, 3, 1, UNKNOWN),
    "internal_error": (coded("internal_error"), errors.ServerFailed, 3, 1, UNKNOWN),
    "413 as aiWARE words it": ((413, {"errors": [TOO_LARGE]}), errors.TooMuchAtOnce, 1, 1, errors.TooMuchAtOnce),
    "500 with a known code": ((500, coded("not_found")), errors.NotFound, 1, 1, UNKNOWN),
}
APOLLO = {
    "UNAUTHENTICATED": errors.SignInFailed,
    "FORBIDDEN": errors.NotAllowed,
    "BAD_REQUEST": errors.RequestRefused,
    "BAD_USER_INPUT": errors.RequestRefused,
    "GRAPHQL_PARSE_FAILED": errors.RequestRefused,
    "GRAPHQL_VALIDATION_FAILED": errors.RequestRefused,
    "OPERATION_RESOLUTION_FAILURE": errors.RequestRefused,
    "INTERNAL_SERVER_ERROR": errors.ServerFailed,
    "SOMETHING_ELSE": errors.OperationFailed,
}
#: The promise in the docstring of each class.
TRANSIENT = {
    errors.Unreachable,
    errors.ConnectionLost,
    errors.ServerFailed,
    errors.RateLimited,
    errors.BadReply,
}


@pytest.mark.parametrize("name", ROWS)
async def test_a_read_is_sent_again_only_if_that_may_help(
    name: str, serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """A read is sent three times after 502, once after 400: each answer has its class, and the class decides."""
    answer, kind, reads, _, _ = ROWS[name]
    server = await serve(answer)
    session = await open_session(server.url, limits=THREE)
    with pytest.raises(errors.RequestFailed) as caught:
        await session.read(operation, {"id": "1"}, "job 1")
    assert type(caught.value) is kind
    assert is_transient(caught.value) == (kind in TRANSIENT) == (reads > 1)
    assert (caught.value.provider, caught.value.operation, caught.value.subject) == ("aiware", "job", "job 1")
    assert server.count == reads


@pytest.mark.parametrize("name", ROWS)
async def test_a_create_is_sent_again_only_if_nothing_happened(
    name: str, serve: Serve, open_session: OpenSession, creation: Operation
) -> None:
    """Sent once after 502, with unknown outcome; three times after 429 and once after 400, with nothing done."""
    answer, _, _, creates, kind = ROWS[name]
    server = await serve(answer)
    session = await open_session(server.url, limits=THREE)
    with pytest.raises(errors.GraphqlJobsError) as caught:
        await session.create(creation, {"input": {}}, "one task")
    assert isinstance(caught.value, kind)
    assert server.count == creates
    if isinstance(caught.value, errors.SubmissionUnknown):
        assert (caught.value.operation, caught.value.subject) == ("createJob", "one task")
    else:
        assert isinstance(caught.value, errors.RequestFailed)
        assert caught.value.unexecuted


@pytest.mark.parametrize("code", APOLLO)
async def test_the_codes_of_apollo_are_known(
    code: str, serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """FORBIDDEN under `extensions.code`: the account lacks the right."""
    server = await serve(apollo(code))
    session = await open_session(server.url, dialect=DIALECT, limits=THREE)
    with pytest.raises(errors.RequestFailed) as caught:
        await session.read(operation, {"id": "1"})
    assert type(caught.value) is APOLLO[code]
    assert code in caught.value.detail


async def test_errors_of_one_field_beside_good_data_are_left_to_the_caller(
    serve: Serve, open_session: OpenSession
) -> None:
    """Partial data: the good field has its value, the bad one its error."""
    both = Operation("query Two { a: job(id: 1) { id } b: job(id: 2) { id } }")
    entry = {"message": "gone", "name": "not_found", "path": ["b"]}
    server = await serve({"data": {"a": {"id": "1"}, "b": None}, "errors": [entry]})
    reply = await (await open_session(server.url)).read(both, {})
    assert reply.data["a"] == {"id": "1"}
    assert reply.error_at("a") is None
    assert isinstance(reply.error_at("b"), errors.NotFound)


async def test_no_redirect_is_followed(serve: Serve, open_session: OpenSession, operation: Operation) -> None:
    """A 302 would turn the POST into a GET with a successful answer, and send the token to another host."""
    other = await serve({"data": {"job": {"id": "1"}}})
    server = await serve((302, "", {"Location": other.url}))
    with pytest.raises(errors.BadEndpoint, match="HTTP 302"):
        await (await open_session(server.url)).read(operation, {"id": "1"})
    assert (server.count, other.count) == (1, 0)


async def test_read_is_repeated_until_the_failure_passes(
    serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """502, 503, then the answer: three requests, one result."""
    server = await serve((502, ""), (503, ""), {"data": {"job": {"id": "1"}}})
    reply = await (await open_session(server.url)).read(operation, {"id": "1"})
    assert reply.data == {"job": {"id": "1"}}
    assert server.count == 3


@pytest.mark.parametrize("code", ["authentication_error", "rate_limited"])
async def test_create_that_returned_an_id_is_never_sent_again(
    code: str, serve: Serve, open_session: OpenSession, creation: Operation
) -> None:
    """Guarantee 2: the job exists and a part of the answer was refused: one request, and the id."""
    entry = {"message": "no", "name": code, "path": ["createJob", "target"]}
    answer = {"data": {"createJob": {"id": "7"}}, "errors": [entry]}
    server = await serve(answer)
    tokens = await serve({"access_token": "abc", "expires_in": 3600})
    session = await open_session(server.url, ClientCredentials(tokens.url, "id", "secret"), limits=THREE)
    try:
        assert await session.create(creation, {"input": {}}) == {"id": "7"}
    finally:
        assert server.count == 1


@pytest.mark.parametrize("code", ["not_found", "not_allowed", "invalid_input"])
async def test_an_error_below_the_created_object_does_not_prove_that_nothing_happened(
    code: str, serve: Serve, open_session: OpenSession, creation: Operation
) -> None:
    """`createJob.id` failed, so `createJob` is null: the job may exist."""
    entry = {"message": "no", "name": code, "path": ["createJob", "id"]}
    server = await serve({"data": {"createJob": None}, "errors": [entry]})
    with pytest.raises(errors.SubmissionUnknown):
        await (await open_session(server.url)).create(creation, {"input": {}}, "x")
    assert server.count == 1
