"""Guarantee 7: no secret is in an error, a log line or a repr."""

from __future__ import annotations

import logging
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from graphql_jobs import errors
from graphql_jobs.handle import JobHandle
from graphql_jobs.transport.auth import BearerToken, ClientCredentials
from graphql_jobs.transport.download import download
from graphql_jobs.transport.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from graphql_jobs.transport.operation import Operation
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import OpenSession, Serve

TOKEN, SECRET, KEPT = "tok-3f9a1c", "cs-77be0d", "kept-5512ee"
ALL = (TOKEN, SECRET, KEPT)
#: Texts of a careless server, for every part of an answer.
ECHO = f"you sent Bearer {TOKEN} and {SECRET} with {KEPT}"
STEPS: dict[str, Any] = {
    "message of an error": {"errors": [{"message": ECHO}]},
    "code of an error": {"errors": [{"message": "no", "name": ECHO}]},
    "error of one field": {"data": {"job": None}, "errors": [{"message": ECHO, "path": ["job"]}]},
    "400 with errors": (400, {"errors": [{"message": ECHO}]}),
    "401 with errors": (401, {"errors": [{"message": ECHO}]}),
    "503 with errors": (503, {"errors": [{"message": ECHO}]}),
    "HTML": f"<h1>{ECHO}</h1>",
    "502 HTML": (502, f"<h1>{ECHO}</h1>"),
    "content type": (500, "", {"Content-Type": f"text/plain; echo={TOKEN}{SECRET}{KEPT}"}),
    "location": (302, "", {"Location": f"/{TOKEN}/{SECRET}/{KEPT}"}),
}


def shown(error: BaseException | None) -> str:
    """Everything that an error can show, with its causes."""
    parts: list[str] = []
    while error is not None:
        parts += [str(error), repr(error), repr(error.args), repr(vars(error))]
        parts += traceback.format_exception(error)  # Prefect logs and keeps this
        if isinstance(error, errors.GraphqlJobsError):
            parts.append(repr(pickle.dumps(error)))
        error = error.__cause__ if isinstance(error.__cause__, errors.GraphqlJobsError) else None
    return "\n".join(parts)


@pytest.mark.parametrize("where", STEPS)
async def test_secret_that_a_server_repeats_is_not_shown(
    where: str,
    serve: Serve,
    open_session: OpenSession,
    operation: Operation,
    creation: Operation,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Token, client secret and a kept secret in every part of an answer: not in the error, not in a log at DEBUG."""
    caplog.set_level(logging.DEBUG)
    tokens, api = await serve({"access_token": TOKEN}), await serve(STEPS[where])
    session = await open_session(api.url, ClientCredentials(tokens.url, "id", SECRET), limits=Limits(attempts=2))
    session.kept_secrets.keep(KEPT)
    texts: list[str] = []
    for sent in (session.read(operation, {"id": KEPT}, "s"), session.create(creation, {"input": {"key": KEPT}}, "s")):
        try:
            reply = await sent
        except errors.GraphqlJobsError as error:
            texts.append(shown(error))
        else:
            texts += [shown(error) for error in reply.field_errors.values()]
    assert len(texts) == 2
    for text in (*texts, caplog.text):
        assert not [secret for secret in ALL if secret in text]


@pytest.mark.parametrize("status", [400, 401, 500])
async def test_secret_that_a_token_endpoint_repeats_is_not_shown(
    status: int, serve: Serve, open_session: OpenSession, operation: Operation, caplog: pytest.LogCaptureFixture
) -> None:
    """It echoes the client secret in its refusal."""
    caplog.set_level(logging.DEBUG)
    tokens = await serve((status, {"error": ECHO, "errors": [{"message": ECHO}]}))
    session = await open_session(tokens.url, ClientCredentials(tokens.url, "id", SECRET), limits=Limits(attempts=1))
    with pytest.raises(errors.RequestFailed) as caught:
        await session.read(operation, {"id": "1"})
    assert SECRET not in shown(caught.value)
    assert SECRET not in caplog.text


async def test_a_good_exchange_logs_no_secret(
    serve: Serve, open_session: OpenSession, operation: Operation, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG gql would log whole requests and answers, variables included."""
    caplog.set_level(logging.DEBUG)
    tokens, api = await serve({"access_token": TOKEN}), await serve({"data": {"job": {"id": KEPT}}})
    session = await open_session(api.url, ClientCredentials(tokens.url, "id", SECRET))
    await session.read(operation, {"id": KEPT})
    assert not [secret for secret in ALL if secret in caplog.text]


def test_no_repr_shows_a_secret() -> None:
    """Credentials, and a handle whose details hold a pre-signed address."""
    handle = JobHandle(provider="p", endpoint="e", job_id="1", details={"file_url": f"https://h/f?sig={KEPT}"})
    for thing in (BearerToken(TOKEN), ClientCredentials("http://h", "id", SECRET), handle):
        assert not [secret for secret in ALL if secret in f"{thing!r} {thing}"]


async def test_a_text_is_cut_and_stays_on_one_line(open_session: OpenSession) -> None:
    """A megabyte with line feeds and terminal codes becomes a short line; a short text stays unchanged."""
    session = await open_session("http://127.0.0.1:9")
    text = session.redact("a\nb\x1b[31m" + "x" * 1_000_000)
    assert len(text) < 500
    assert text.isprintable()
    assert session.redact("short") == "short"


async def test_a_secret_that_spans_the_cut_is_not_shown_in_part(open_session: OpenSession) -> None:
    """It begins just before the cut."""
    session = await open_session("http://127.0.0.1:9", BearerToken(TOKEN))
    for before in range(380, 401):
        assert TOKEN[:5] not in session.redact("x" * before + TOKEN)


async def test_an_empty_secret_is_no_secret(open_session: OpenSession) -> None:
    """Otherwise stars would stand between all characters."""
    session = await open_session("http://127.0.0.1:9")
    session.kept_secrets.keep("")
    assert session.redact("text") == "text"


async def test_a_secret_that_holds_another_is_removed_whole(open_session: OpenSession) -> None:
    """The token "abc" and the kept secret "abc-def": no part of either remains."""
    session = await open_session("http://127.0.0.1:9", BearerToken("abc"))
    session.kept_secrets.keep("abc-def")
    assert "def" not in session.redact("you sent abc-def")


async def test_a_token_that_was_replaced_is_still_a_secret(clock: FakeClock) -> None:
    """The token was renewed, and a pending request's answer repeats the old one."""
    auth = ClientCredentials("http://h", "id", SECRET)
    names = iter(["first-token", "second-token", "third-token"])

    async def post_form(url: str, form: object, basic: object) -> dict[str, object]:
        return {"access_token": next(names), "expires_in": 3600}

    assert await auth.token(post_form, clock) == "first-token"
    clock.now_s += 3600
    assert await auth.token(post_form, clock) == "second-token"
    assert "first-token" in auth.secrets
    auth.reject("second-token")
    assert "second-token" in auth.secrets


async def test_a_pre_signed_address_is_not_shown_in_another_spelling(
    serve: Serve, open_session: OpenSession, tmp_path: Path
) -> None:
    """The signature holds %7E, which aiohttp writes as a tilde in "400, message=..., url=...": still starred."""

    async def garbage(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"\x00 what?\r\n\r\n")
        request.transport.close()
        return web.Response()

    server = await serve(garbage)
    session = await open_session(server.url, limits=Limits(attempts=1))
    address = f"{server.url}?X-Amz-Signature=5ec%7Eret77"
    with pytest.raises(errors.RequestFailed) as caught:
        await download(session, address, tmp_path / "f.zip")
    assert "ret77" not in shown(caught.value)
