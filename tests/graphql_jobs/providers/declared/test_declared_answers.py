"""Declarations for APIs of other shapes: `userErrors`, one job per request, results, client credentials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import (
    Job,
    JobState,
    Label,
    LocalStore,
    Schedule,
    WaitPolicy,
    errors,
    require_success,
    submit_once,
    wait,
)
from graphql_jobs.emulator import Emulator, Fault, Pace
from graphql_jobs.providers.declared import declared_client
from graphql_jobs.transport.limits import Limits

if TYPE_CHECKING:
    from graphql_jobs.providers.declared import DeclaredClient
    from tests.graphql_jobs.conftest import Serve

HERE = Path(__file__).parent
#: In the shape of Shopify's bulk operations.
BULK = """
provider: shopify
title: Shopify
sign_in: { header: X-Shopify-Access-Token }
submit:
  document: |
    mutation Run($query: String!) {
      bulkOperationRunQuery(query: $query) { bulkOperation { id } userErrors { field message code } }
    }
  id: bulkOperationRunQuery.bulkOperation.id
check:
  document: "query Bulk($id: ID!) { node(id: $id) { ... on BulkOperation { id status errorCode } __typename } }"
  jobs: node
  id: id
  status: status
  failure: errorCode
cancel:
  document: |
    mutation Cancel($id: ID!) { bulkOperationCancel(id: $id) { bulkOperation { id } userErrors { message } } }
result:
  document: "query Url($id: ID!) { node(id: $id) { ... on BulkOperation { url } __typename } }"
  download: node.url
states: { CREATED: PENDING, RUNNING: RUNNING, COMPLETED: SUCCEEDED, FAILED: FAILED, CANCELED: CANCELLED }
errors: { userErrors: refused, OPERATION_IN_PROGRESS: rate limited, Missing: not found }
"""
ID = "gid://shopify/BulkOperation/720918"
LABEL = Label("gqj-one")


def connected(text: str, url: str, token: str = "t0k3n-5ecret") -> DeclaredClient:
    """A client that sends each request once."""
    kind = declared_client(text)
    return kind.connect(
        url.removesuffix("/graphql"), kind.sign_in(url.removesuffix("/graphql"), token), Limits(attempts=1)
    )


def bulk(status: object, **more: object) -> dict[str, Any]:
    """An answer about the operation."""
    return {"data": {"node": {"__typename": "BulkOperation", "id": ID, "status": status, **more}}}


def run(operation: object, *user_errors: dict[str, Any]) -> dict[str, Any]:
    """An answer to the create."""
    return {"data": {"bulkOperationRunQuery": {"bulkOperation": operation, "userErrors": list(user_errors)}}}


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (run(None, {"field": ["query"], "message": "bad query"}), errors.RequestRefused, "userErrors: bad query"),
        (run(None, {"code": "OPERATION_IN_PROGRESS", "message": "busy"}), errors.RateLimited, "busy"),
        (run(None), errors.SubmissionUnknown, "no id at bulkOperationRunQuery.bulkOperation.id"),
        (run({"id": ["x"]}), errors.SubmissionUnknown, "no id"),
        (run({"id": "two words"}), errors.SubmissionUnknown, "cannot be used"),
        ({"data": {"bulkOperationRunQuery": 7}}, errors.SubmissionUnknown, "it is int"),
        ({"errors": [{"message": "odd", "extensions": {"code": "NEW"}}]}, errors.SubmissionUnknown, "NEW: odd"),
        ({"errors": [{"message": "no", "extensions": {"code": "userErrors"}}]}, errors.RequestRefused, "no"),
        (run(None, *[{"message": "x"}] * 5000), errors.RequestRefused, "and 999 more"),
    ],
)
async def test_answer_to_a_create_decides_whether_a_job_may_exist(
    serve: Serve, answer: dict[str, Any], kind: type[Exception], words: str
) -> None:
    """A declared error proves that nothing was started; anything else without an id does not."""
    server = await serve(answer)
    async with connected(BULK, server.url) as client:
        with pytest.raises(kind, match=words):
            await client.submit(client.spec({"query": "{ shop }"}))
    assert server.count == 1
    assert server.headers[0]["X-Shopify-Access-Token"] == "t0k3n-5ecret"


async def test_job_with_user_errors_beside_its_id_is_started(serve: Serve) -> None:
    """A warning in `userErrors`: the job exists, and its id may contain slashes."""
    async with connected(BULK, (await serve(run({"id": ID}, {"message": "slow"}))).url) as client:
        assert (await client.submit(client.spec({"query": "{ shop }"}))).job_id == ID


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (bulk("RUNNING"), JobState.RUNNING),
        (bulk("NEW WORD"), JobState.UNKNOWN),
        ({"data": {"node": None}}, errors.JobNotFound),
        ({"data": {"node": {"__typename": "Missing"}}}, errors.JobNotFound),
        ({"data": {"node": {"__typename": "Strange", "message": "?"}}}, errors.BadReply),
        (bulk("RUNNING", id="gid://another"), errors.BadReply),
        (bulk({"word": 1}), errors.BadReply),
        ({"data": {"node": [1]}}, errors.BadReply),
        ({"data": {"another": None}}, errors.BadReply),
        ({"data": {"node": None}, "errors": [{"message": "broken", "path": ["node"]}]}, errors.OperationFailed),
    ],
)
async def test_answer_about_one_job_is_a_job_or_the_reason_why_not(
    serve: Serve, answer: dict[str, Any], expected: object
) -> None:
    """Only null and a declared "not found" say that the job does not exist."""
    async with connected(BULK, (await serve(answer)).url) as client:
        seen = (await client.check([ID]))[ID]
    assert seen.state is expected if isinstance(seen, Job) else type(seen) is expected


async def test_failure_has_the_words_of_the_provider(serve: Serve) -> None:
    """ACCESS_DENIED in `errorCode`."""
    async with connected(BULK, (await serve(run({"id": ID}), bulk("FAILED", errorCode="ACCESS_DENIED"))).url) as client:
        job = await wait(client, await client.submit(client.spec({"query": "{ shop }"})))
    with pytest.raises(errors.JobFailed, match="ACCESS_DENIED"):
        require_success(job)


async def test_result_is_downloaded_from_the_declared_address(serve: Serve, tmp_path: Path) -> None:
    """The file has a name without slashes, and the address is in no message."""
    server = await serve(bulk("COMPLETED"))
    url = server.url.replace("/graphql", "/file?sig=s1gnature-of-a-file")
    server.steps = [bulk("COMPLETED"), {"data": {"node": {"__typename": "BulkOperation", "url": url}}}, "the rows"]
    async with connected(BULK, server.url) as client:
        handle = client.handle(ID)
        job = await wait(client, handle)
        result = await client.result(handle, job, tmp_path)
        assert "s1gnature" not in client.session.redact(url)
    [file] = list(tmp_path.iterdir())  # noqa: ASYNC240 (a folder of the test)
    assert (result, file.read_text()) == ({"file": str(file), "size_bytes": 8}, "the rows")
    assert "X-Shopify-Access-Token" not in server.headers[-1]


async def test_missing_result_says_so(serve: Serve, tmp_path: Path) -> None:
    """The job is done, and its address is null."""
    server = await serve(bulk("COMPLETED"), {"data": {"node": {"__typename": "BulkOperation", "url": None}}})
    async with connected(BULK, server.url) as client:
        job = require_success(await wait(client, client.handle(ID)))
        with pytest.raises(errors.ResultUnavailable, match=r"nothing at node\.url"):
            await client.result(client.handle(ID), job, tmp_path)


@pytest.mark.parametrize(
    ("old", "given", "message"),
    [
        ("{ header: X-Shopify-Access-Token }", {}, "token: the sign-in of Shopify needs it. Nothing was sent."),
        ("none", {"token": "t"}, "token: the sign-in of Shopify does not use it. Nothing was sent."),
        (
            "{ client_credentials: /oauth }",
            {"client_id": "a"},
            "client_secret: the sign-in of Shopify needs it. Nothing was sent.",
        ),
    ],
)
def test_secrets_fit_the_sign_in(old: str, given: dict[str, str], message: str) -> None:
    """A missing and a superfluous secret."""
    kind = declared_client(BULK.replace("{ header: X-Shopify-Access-Token }", old))
    with pytest.raises(errors.InvalidInput) as raised:
        kind.sign_in("https://shop.example.com", **given)
    assert str(raised.value) == message


async def test_datasaur_can_be_declared() -> None:
    """An auto-label job on the emulator: client credentials, a poll that fails, and no cancel."""
    kind = declared_client((HERE / "datasaur.yaml").read_text(), "datasaur.yaml")
    async with Emulator(seed=3, pace=Pace(0.05, 0.1)) as emulator:
        accounts = emulator.accounts
        auth = kind.sign_in(
            emulator.url, client_id=accounts.datasaur_client_id, client_secret=accounts.datasaur_client_secret
        )
        target = {"endpoint": "https://model.example.com", "secretKey": "model-s3cret"}
        options = {"numberOfFilesPerRequest": 0, "serviceProvider": "CUSTOM"}
        values = {"labelerEmail": "a@example.com", "projectId": "HvdyIL2iwZn", "options": options, "targetAPI": target}
        policy = WaitPolicy(Schedule(first_delay_s=0.05, max_delay_s=0.1))
        async with kind.connect(emulator.url, auth) as client:
            emulator.faults.add(Fault("server_error", operation="getJob", times=1))
            handle = await submit_once(client, client.spec({"input": values}), LocalStore(), LABEL)
            job = require_success(await wait(client, handle, policy))
            assert (job.raw_status, job.provider) == ("DELIVERED", "datasaur-declared")
            with pytest.raises(errors.CancelRefused, match="no way to cancel"):
                await client.cancel(handle.job_id)
        assert [one.job_id for one in emulator.ledger.submissions if one.job_id] == [handle.job_id]
