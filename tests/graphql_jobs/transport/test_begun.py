"""Guarantee 2: a create that has begun is never sent again, even if the answer says "rate limited"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import errors

if TYPE_CHECKING:
    from graphql_jobs.transport.operation import Operation
    from tests.graphql_jobs.conftest import OpenSession, Serve

WORDS = ("rate_limited", "authentication_error", "not_allowed", "capacity_exceeded")


def deep(name: str, data: Any) -> dict[str, Any]:
    """An error below the root field: the mutation ran, and a part of its result could not be read."""
    return {"data": data, "errors": [{"name": name, "message": "no", "path": ["createJob", "id"]}]}


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("data", [None, {"createJob": None}], ids=["no data", "null root"])
async def test_an_error_below_the_root_proves_that_the_create_ran(
    name: str, data: Any, serve: Serve, open_session: OpenSession, creation: Operation
) -> None:
    """`rate_limited` at `createJob.id`: one request, and the outcome is unknown."""
    server = await serve(deep(name, data))
    session = await open_session(server.url)
    with pytest.raises(errors.SubmissionUnknown):
        await session.create(creation, {"input": {}}, "one task")
    assert server.count == 1


@pytest.mark.parametrize("status", [500, 504])
@pytest.mark.parametrize("name", WORDS)
async def test_create_that_ends_with_5xx_may_have_happened(
    status: int, name: str, serve: Serve, open_session: OpenSession, creation: Operation
) -> None:
    """504 with the job's id and `rate_limited` in its body: one request, and the outcome is unknown."""
    body = {"data": {"createJob": {"id": "j1"}}, "errors": [{"name": name, "message": "no"}]}
    server = await serve((status, body))
    session = await open_session(server.url)
    with pytest.raises(errors.SubmissionUnknown):
        await session.create(creation, {"input": {}}, "one task")
    assert server.count == 1
