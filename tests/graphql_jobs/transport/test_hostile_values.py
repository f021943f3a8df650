"""Values that Python refuses, or reads in quadratic time, are a bad reply or are ignored (guarantee 11)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from graphql_jobs import errors
from graphql_jobs.parsing import MAX_DEPTH, brief, decoded, http_date_or_none
from graphql_jobs.providers.aiware import AiwareClient, AiwareJobSpec
from graphql_jobs.providers.aiware.reader import DIALECT
from graphql_jobs.providers.datasaur import DatasaurClient
from graphql_jobs.transport.auth import BearerToken, ClientCredentials
from graphql_jobs.transport.diagnosis import MAX_ERRORS
from graphql_jobs.transport.http import Exchange
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.session import Session
from graphql_jobs.urls import urls_in
from tests.clocks import FakeClock

if TYPE_CHECKING:
    from graphql_jobs.transport.operation import Operation
    from tests.graphql_jobs.conftest import OpenSession, Serve

DATES = [
    "Mon, 01 Jan 2020 00:00:00 +99999999999999999999",
    "Mon, 01 Jan 9" + "9" * 40 + " 00:00:00 GMT",
    "Mon, 01 Jan 2020 00:00:00 +9999",
    "Mon, 01 Jan 2020 00:00:00 GMT" + " " * 1000,
    "-",
    "",
]


@pytest.mark.parametrize("date", DATES)
def test_bad_date_header_is_ignored(date: str) -> None:
    """A time zone that overflows: the skew of the clocks is unknown, and no wait ends."""
    assert http_date_or_none(date) is None
    assert Exchange(True, 200, {"Date": date}).skew_s(0.0) is None


@pytest.mark.parametrize("opening", ["[", '{"a":', '["},{","},{",', "[{},{},{},"])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 1000, 1023, 1100, 100_000])
def test_too_deeply_nested_json_is_refused(opening: str, depth: int) -> None:
    """With 900 to 1,024 levels, orjson reads a value that Python cannot print. Objects beside it hide no level."""
    closing = "]" if opening[0] == "[" else "}"
    for leaf in ("1", "NaN", "1" * 100, '"\\ud800"'):
        with pytest.raises(ValueError, match=r".+"):
            decoded(opening * depth + leaf + closing * depth)


def test_json_that_is_not_nested_too_deeply_is_read_and_shown() -> None:
    """Exactly the bound, with and without a number that is too large for orjson."""
    for leaf in ("1", "NaN"):
        value = decoded("[" * MAX_DEPTH + leaf + "]" * MAX_DEPTH)
        assert brief(value).startswith("[[[")
        assert repr(value).startswith("[[[")


def test_too_deeply_nested_json_is_never_encoded_by_orjson() -> None:
    """orjson 3.13.0 writes beyond its buffer and the process crashes, so the test uses a separate process."""
    done = subprocess.run([sys.executable, "-c", _DEEP], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "fine"), done.stderr


_DEEP = """
from graphql_jobs.parsing import decoded
from graphql_jobs.transport.http import encoded
deep = "[" * 240 + "]" * 240
for padding in range(0, 700, 7):
    text = '["%s",%s]' % ("x" * padding, ",".join([deep] * 250))
    try:
        decoded(text)
    except ValueError:
        pass
inner = []
for _ in range(240):
    inner = [inner]
for padding in range(0, 700, 35):
    encoded(["x" * padding, *[inner] * 250])
print("fine")
"""


@pytest.mark.parametrize(("value", "shown"), [(None, ""), ("a", "a"), (1, "1"), ({"a": [True]}, '{"a": [true]}')])
def test_any_value_can_be_shown(value: object, shown: str) -> None:
    """The text of any value is bounded in length."""
    assert brief(value) == shown
    assert len(brief(["x" * 100_000])) < 20_000
    assert "cannot be shown" in brief({"a": 10**5000})


@pytest.mark.parametrize("depth", [300, 970, 1000, 1010])
async def test_deep_json_anywhere_in_an_answer_is_a_bad_reply(depth: int, serve: Serve) -> None:
    """In a job, an error's message, a token's answer; after a create the outcome is unknown."""
    nested = "[" * depth + "]" * depth
    server = await serve(f'{{"data":null,"errors":[{{"message":{nested}}}]}}')
    async with Session(server.url, BearerToken("t"), DIALECT, Limits(attempts=1), FakeClock()) as session:
        client = AiwareClient(session)
        assert type((await client.check(["a"]))["a"]) is errors.BadReply
        with pytest.raises(errors.SubmissionUnknown):
            await client.submit(AiwareJobSpec.of(tasks=[{"engine_id": "e"}]))
    auth = ClientCredentials(server.url, "i", "s")
    async with Session(server.url, auth, DIALECT, Limits(attempts=1), FakeClock()) as session:
        assert type((await DatasaurClient(session).check(["a"]))["a"]) is errors.BadReply


@pytest.mark.parametrize("charset", ["utf-7", "idna", "punycode", "unicode_escape", "rot13", "no-such", "latin-1"])
async def test_an_answer_is_utf_8_whatever_charset_the_server_names(
    charset: str, serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """A codec that the server chooses could take quadratic time, or raise another exception."""

    async def answer(request: web.Request) -> web.Response:
        body = '{"data": {"job": {"id": "\\u00e4ä"}}}'.encode()
        return web.Response(body=body, headers={"Content-Type": f"application/json; charset={charset}"})

    session = await open_session((await serve(answer)).url, limits=Limits(attempts=1))
    assert (await session.read(operation, {"id": "1"})).data == {"job": {"id": "ää"}}


@pytest.mark.parametrize("body", [b'{"data": {"job": "\xe4"}}', b"\xff\xfe{\x00}\x00", "\ufeff{}".encode(), b"\x00"])
async def test_an_answer_that_is_not_utf_8_is_a_bad_reply(
    body: bytes, serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """Latin-1, UTF-16, a byte order mark, a NUL."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    session = await open_session((await serve(answer)).url, limits=Limits(attempts=1))
    with pytest.raises(errors.BadReply):
        await session.read(operation, {"id": "1"})


async def test_an_answer_with_too_many_errors_is_refused_as_a_whole(
    serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """Half a million errors would each become an exception; a job whose error was left out would seem absent."""
    server = await serve({"data": {"job": None}, "errors": [1] * 100_000})
    session = await open_session(server.url, limits=Limits(attempts=1))
    with pytest.raises(errors.BadReply, match="errors"):
        await session.read(operation, {"id": "1"})
    server.steps[:] = [(200, {"data": {"job": {}}, "errors": [{"message": "no", "path": ["job", "x"]}] * MAX_ERRORS})]
    assert (await session.read(operation, {"id": "1"})).data == {"job": {}}


@pytest.mark.parametrize(
    ("expires_in", "fetches"),
    [
        (10**400, 1),
        (float("nan"), 2),
        (float("inf"), 1),
        (-1, 2),
        (0, 2),
        (True, 2),
        ("3600", 2),
        ([], 2),
        (None, 2),
        (30 * 86_400, 2),
        (7 * 86_400, 1),
    ],
)
async def test_token_lifetime_is_an_hour_by_default_and_a_week_at_most(
    expires_in: Any, fetches: int, clock: FakeClock
) -> None:
    """Renewed after six days (seven for a lifetime of 30 days): NaN would never be renewed, 10^400 overflows."""
    auth, asked = ClientCredentials("http://h", "id", "secret"), []

    async def post_form(url: str, form: object, headers: object) -> dict[str, object]:
        asked.append(url)
        return {"access_token": "token", "expires_in": expires_in}

    await auth.token(post_form, clock)
    clock.now_s += 7 * 86_400 if expires_in == 30 * 86_400 else 6 * 86_400
    await auth.token(post_form, clock)
    assert len(asked) == fetches


async def test_token_that_is_too_long_for_a_header_is_a_bad_reply(
    serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """A megabyte would be sent with each request."""
    tokens = await serve({"access_token": "x" * 1_000_000})
    session = await open_session(tokens.url, ClientCredentials(tokens.url, "i", "s3cret"), limits=Limits(attempts=1))
    with pytest.raises(errors.BadReply, match="access_token"):
        await session.read(operation, {"id": "1"})


LONG = ["deadbeef" * 50_000, "a://" * 100_000, "://" * 130_000, "a+" * 200_000, "a:// " * 80_000]


@pytest.mark.parametrize("text", LONG)
def test_urls_are_found_in_linear_time(text: str) -> None:
    """400 kB of hex took minutes; now it takes at most some hundred times as long as writing it as JSON."""
    started = time.perf_counter()
    json.dumps(text)
    json_s = time.perf_counter() - started
    started = time.perf_counter()
    list(urls_in({"data": [text]}))
    assert time.perf_counter() - started < 2_000 * json_s + 1


def test_urls_are_found_at_any_depth() -> None:
    """The input of a caller may be nested more deeply than Python's stack."""
    plain: object = "https://h/?s=1"
    for _ in range(5_000):
        plain = {"a": [plain]}
    assert list(urls_in(plain)) == ["https://h/?s=1"]
