"""Guarantee 11, end to end: with any JSON from a server, only this project's errors are raised."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphql_jobs import errors
from graphql_jobs.job import Job
from graphql_jobs.providers.aiware import AiwareClient, AiwareJobSpec
from graphql_jobs.providers.aiware.reader import DIALECT
from graphql_jobs.providers.datasaur import AutoLabelSpec, DatasaurClient
from graphql_jobs.transport.auth import BearerToken
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.session import Session
from tests.clocks import FakeClock

if TYPE_CHECKING:
    from graphql_jobs.providers.base import JobClient
    from tests.graphql_jobs.conftest import Serve

SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
JSON = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
JOB = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "b", ""]) | JSON,
        "status": st.sampled_from(["complete", "DELIVERED", "failed"]) | JSON,
        "tasks": st.fixed_dictionaries({"records": st.lists(JSON, max_size=3) | JSON}) | JSON,
        "errors": JSON,
        "createdAt": JSON,
        "job": JSON,
        "message": JSON,
    },
)
PATH = st.lists(st.sampled_from(["j0", "result", "tasks"]) | st.integers(0, 3), max_size=3)
ERROR = st.fixed_dictionaries(
    {},
    optional={
        "message": JSON,
        "name": st.sampled_from(["not_found", "internal_error", "capacity_exceeded"]) | JSON,
        "path": PATH | st.lists(SCALAR, max_size=3) | SCALAR,
        "extensions": JSON,
    },
)
DATA = st.dictionaries(
    st.sampled_from(["j0", "j1", "result", "createJob", "cancelJob", "engineResults"]),
    JOB | JSON | st.lists(JOB | JSON, max_size=3),
    max_size=4,
)
ERRORS = st.lists(ERROR | JSON, max_size=3) | JSON
REPLY = st.fixed_dictionaries({}, optional={"data": DATA | JSON, "errors": ERRORS}) | JSON


async def exercise(client: JobClient) -> None:
    """Every kind of request of a client; only this project's errors may be raised."""
    spec: Any = (
        AiwareJobSpec.of(tasks=[{"engine_id": "e"}])
        if isinstance(client, AiwareClient)
        else AutoLabelSpec.of(project_id="p", labeler_email="m", target_endpoint="https://h", target_secret="s")
    )
    calls = [client.check(["a"]), client.check(["a", "b"]), client.submit(spec), client.cancel("a")]
    if isinstance(client, AiwareClient):
        calls.append(client.engine_results("a"))
    for call in calls:
        try:
            seen = await call
        except errors.GraphqlJobsError as error:
            assert len(str(error)) < 5000  # noqa: PT017 (either outcome is right)
            continue
        if isinstance(seen, dict):
            assert all(isinstance(one, Job | errors.JobNotFound | errors.RequestFailed) for one in seen.values())


@pytest.mark.parametrize("kind", [AiwareClient, DatasaurClient])
async def test_any_json_is_read_or_raises_one_of_our_errors(
    kind: type[JobClient], serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Checks, submissions, cancels and results, with answers of any shape."""
    caplog.set_level(logging.CRITICAL)
    replies: list[Any] = []

    @settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
    @given(REPLY)
    def collect(reply: Any) -> None:
        replies.append(reply)

    collect()
    server = await serve({})
    async with Session(server.url, BearerToken("t"), DIALECT, Limits(attempts=1), FakeClock()) as session:
        for reply in replies:
            server.steps[:] = [(200, reply)]
            try:
                async with asyncio.timeout(30):
                    await exercise(kind(session))
            except (errors.GraphqlJobsError, AssertionError):
                raise
            except Exception as error:
                raise AssertionError(f"{type(error).__name__} for {reply!r}") from error


@pytest.mark.parametrize("depth", [100, 900, 5000, 200_000])
async def test_json_of_any_depth_is_read_or_raises_one_of_our_errors(depth: int, serve: Serve) -> None:
    """Deeper than Python's stack: `BadReply`, not a RecursionError."""
    nested = "[" * depth + "]" * depth
    text = f'{{"data": {{"result": [{{"id": "a", "status": "FAILED", "errors": [{{"args": {nested}}}]}}]}}}}'
    server = await serve(text)
    async with Session(server.url, BearerToken("t"), DIALECT, Limits(attempts=1), FakeClock()) as session:
        await exercise(DatasaurClient(session))
