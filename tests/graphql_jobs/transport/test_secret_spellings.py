"""Guarantee 7: a secret that a server repeats in another spelling is not shown either."""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import timeit
import urllib.parse
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs import errors
from graphql_jobs.job import Job, JobFailure, JobState, JobTask
from graphql_jobs.providers.aiware import AiwareClient, AiwareJobSpec
from graphql_jobs.providers.aiware import reader as aiware_reader
from graphql_jobs.providers.cleaning import cleaned
from graphql_jobs.providers.datasaur import DatasaurClient
from graphql_jobs.transport.auth import BearerToken, ClientCredentials
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.redaction import KeptSecrets, Secrets, redacted

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphql_jobs.transport.operation import Operation
    from tests.graphql_jobs.conftest import OpenSession, Serve

SECRET = 'pa"ss\\wörd-5ecret+/=&<x> 1'
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON": json.dumps,
    "JSON with letters as they are": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "JSON with slashes escaped": lambda text: json.dumps(text).replace("/", "\\/"),
    "percent-encoded": lambda text: urllib.parse.quote(text, safe=""),
    "percent-encoded in lower case": lambda text: re.sub(
        "%..", lambda hex_: hex_[0].lower(), urllib.parse.quote(text, safe="")
    ),
    "percent-encoded twice": lambda text: urllib.parse.quote(urllib.parse.quote(text)),
    "partly percent-encoded": lambda text: text.replace("/", "%2f").replace("&", "%26"),
    "all percent-encoded": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "form": urllib.parse.quote_plus,
    "HTML": html.escape,
    "JSON in HTML": lambda text: html.escape(json.dumps(text)),
    "HTML by number": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "Python": repr,
    "Python's ASCII": ascii,
    "Go": lambda text: json.dumps(text).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 of more": lambda text: base64.b64encode(f"me:{text}, you".encode()).decode(),
    "base64 of more, for addresses": lambda text: base64.urlsafe_b64encode(f"x{text}yz".encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_is_not_shown_in_another_spelling(spelling: str) -> None:
    """The letters that need no escape are removed too, and the text around the secret stays."""
    kept = KeptSecrets(lambda: (SECRET,))
    spelled = SPELLINGS[spelling](SECRET)
    shown = kept.redact(f"you sent {spelled} to us")
    assert shown.startswith("you sent ")
    assert shown.endswith(" to us")
    assert "5ecret" not in shown
    assert len(shown) < len("you sent  to us") + 20


@pytest.mark.parametrize("spelling", list(SPELLINGS)[:-3])
def test_a_part_of_a_secret_that_a_cut_left_is_not_shown(spelling: str) -> None:
    """The provider's text is cut before it is redacted, within a secret or an escape."""
    kept = KeptSecrets(lambda: (SECRET,))
    spelled = SPELLINGS[spelling](SECRET)
    for length in range(len(spelled)):
        shown = kept.redact("x" * 180 + spelled[:length])
        assert "ss" not in shown.removeprefix("x" * 180)


PRINTABLE = st.text(st.characters(exclude_categories=("C", "Z")), min_size=8, max_size=40)


@given(PRINTABLE, st.lists(st.sampled_from(list(SPELLINGS)[:-3]), max_size=2), st.text())
def test_any_secret_is_found_in_any_spelling(secret: str, spellings: list[str], around: str) -> None:
    """Also a secret that looks like an escape."""
    spelled = secret
    for one in spellings:
        spelled = SPELLINGS[one](spelled)
    assert Secrets([secret]).spans(f"{around} {spelled} {around}")


SIGNATURE = "AbCdEf%2FghIJklmn0123456789%2BopqrSTuv%3D"
ADDRESS = f"https://me:hunter22@acct.blob.example/c/b.mp4?sv=2024-08-04&sr=b&sig={SIGNATURE}&se=2026-12-01&code=pin4"


@pytest.mark.parametrize(
    "text",
    [
        f"403 for b.mp4?se=2026-12-01&sig={SIGNATURE}&sr=b",
        f"403 for sig {urllib.parse.unquote(SIGNATURE)}",
        json.dumps({"sig": urllib.parse.unquote(SIGNATURE)}),
        html.escape(ADDRESS),
        urllib.parse.quote(ADDRESS, safe=""),
        "wrong code pin4",
        "no such user: me:hunter22",
    ],
)
def test_one_value_of_a_signed_query_is_not_shown(text: str) -> None:
    """In another order, alone, encoded or decoded; also values with secret names, and passwords."""
    kept = KeptSecrets()
    kept.keep_queries({"url": [ADDRESS]})
    shown = redacted(text, kept)
    assert not [part for part in ("IJklmn", "opqrST", "pin4", "hunter22") if part in shown]


TOKEN = "t0k3n-5ecret-of-the-account"


@pytest.mark.parametrize("spelled", [TOKEN, urllib.parse.quote(TOKEN).replace("-", "%2d"), f"a{TOKEN}b"])
async def test_a_secret_in_an_id_or_a_status_is_not_shown(
    spelled: str, serve: Serve, open_session: OpenSession, caplog: pytest.LogCaptureFixture
) -> None:
    """Status words and ids of tasks, engines, targets and results, which downstream and Prefect's database get."""
    caplog.set_level(logging.DEBUG)
    task = {"id": spelled, "status": "failed", "engineId": spelled, "startedDateTime": spelled}
    tasks = {"limit": 30, "records": [task, task | {"status": spelled}]}
    job = {"id": "j", "targetId": spelled, "createdDateTime": spelled, "modifiedDateTime": spelled, "tasks": tasks}
    server = await serve({})
    session = await open_session(server.url, BearerToken(TOKEN), limits=Limits(attempts=1))
    seen: list[Any] = []
    for status in (spelled, "failed"):
        server.steps[:] = [(200, {"data": {"j0": job | {"status": status}}})]
        seen.append((await AiwareClient(session).check(["j"]))["j"])
    for status in (spelled, "FAILED"):
        entry = {"id": "j", "status": status, "errors": [{"id": spelled}], "resultId": spelled, "createdAt": spelled}
        server.steps[:] = [(200, {"data": {"result": [entry]}})]
        seen.append((await DatasaurClient(session).check(["j", "k"]))["j"])
    server.steps[:] = [(200, {"data": {"createJob": {"id": "new", "targetId": spelled}}})]
    handle = await AiwareClient(session).submit(AiwareJobSpec.of(tasks=[{"engine_id": "e"}]))
    for job_ in seen:
        assert isinstance(job_, Job)
        assert job_.raw_status
    shown = f"{handle!r} {handle.to_json()} {caplog.text} " + " ".join(f"{one!r} {one.to_json()}" for one in seen)
    assert TOKEN not in shown
    assert spelled not in shown


async def test_job_id_that_holds_a_secret_is_refused(serve: Serve, open_session: OpenSession) -> None:
    """Its handle would be stored and shown."""
    server = await serve({"data": {"createJob": {"id": TOKEN}}})
    session = await open_session(server.url, BearerToken(TOKEN), limits=Limits(attempts=1))
    with pytest.raises(errors.SubmissionUnknown) as caught:
        await AiwareClient(session).submit(AiwareJobSpec.of(tasks=[{"engine_id": "e"}]))
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("status", [400, 503, 302])
async def test_the_query_of_a_token_address_is_not_shown(
    status: int, serve: Serve, open_session: OpenSession, operation: Operation
) -> None:
    """`token_url` has a function key in its query."""
    tokens = await serve((status, {}))
    auth = ClientCredentials(f"{tokens.url}?code=function-5ecret#f", "id", "client-secret")
    session = await open_session(tokens.url, auth, limits=Limits(attempts=1))
    with pytest.raises(errors.RequestFailed) as caught:
        await session.read(operation, {"id": "1"})
    assert "5ecret" not in f"{caught.value} {caught.value!r} {caught.value.args}"
    assert tokens.url in str(caught.value)


def test_a_status_that_is_known_and_ids_without_secrets_are_left_as_they_are() -> None:
    """They are not even copied."""
    kept = KeptSecrets(lambda: (TOKEN,))
    task = {"id": "a_b-c", "status": "running", "engineId": "e", "startedDateTime": "2026-01-01T00:00:00+00:00"}
    job = aiware_reader.read_job({"id": "j", "status": "running", "targetId": "t"}, [task] * 30)
    assert cleaned(job, kept) is job


def test_a_short_secret_is_no_part_of_an_id() -> None:
    """A token of one letter is replaced in messages, not in ids."""
    kept = KeptSecrets(lambda: ("a",))
    failure = JobFailure("r", "m", "a-1")
    job = Job("p", "a", JobState.FAILED, "failed", (JobTask("a-1", JobState.FAILED, "failed"),), (failure,))
    assert cleaned(job, kept) is job


def test_oldest_secrets_are_dropped_and_those_of_the_credentials_stay() -> None:
    """After 2,000 others the oldest is dropped; a replaced token is dropped with the credentials."""
    current = [("token-one-1234",)]
    kept = KeptSecrets(lambda: current[0])
    kept.keep("token-one-1234")
    kept.keep("the-first-kept")
    for number in range(2_000):
        kept.keep(f"kept-{number:010d}", base64=False)
    assert kept.redact("the-first-kept token-one-1234 kept-0000000000") == "the-first-kept *** ***"
    current[0] = ("token-two-1234",)
    assert kept.redact("token-one-1234 token-two-1234") == "token-one-1234 ***"


def test_overlapping_secrets_are_removed_whole() -> None:
    """The secret "aa" in "aaa": no letter of it remains."""
    assert redacted("xaaay", ["aa"]) == "x***y"


def test_many_secrets_cost_hardly_more_than_few() -> None:
    """2,000 signed addresses with the same beginning take at most a hundred times as long; a loop took a thousand."""
    message = "the media at the place could not be fetched, X-Amz-Algorithm=AWS4-HMAC-SHA256 was told: " * 5
    few, many = KeptSecrets(lambda: ("a-long-token-1",)), KeptSecrets(lambda: ("a-long-token-1",))
    for number in range(2_000):
        many.keep(f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={number:064d}", base64=False)
    assert few.redact(message) == many.redact(message).replace("***", "")
    cost = [min(timeit.repeat(partial(kept.redact, message), number=5, repeat=10)) for kept in (few, many)]
    assert cost[1] < 100 * cost[0]
