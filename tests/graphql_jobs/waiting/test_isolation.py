"""Guarantee 5: a bug that concerns one job ends only the wait for that job."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import errors, wait, wait_many
from graphql_jobs.job import Job
from graphql_jobs.providers.aiware import AiwareClient
from graphql_jobs.providers.aiware import reader as aiware_reader
from graphql_jobs.providers.aiware.reader import DIALECT
from graphql_jobs.providers.datasaur import DatasaurClient
from graphql_jobs.providers.datasaur import reader as datasaur_reader
from graphql_jobs.transport.auth import BearerToken
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.session import Session
from graphql_jobs.waiting.watch import Watch
from tests.clocks import FakeClock
from tests.graphql_jobs.waits import EVERY_5_S, handle, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.graphql_jobs.conftest import Scripted, Serve


FROM_A_SERVER = "s3cret"


def failing_for(original: Callable[..., Any], is_bad: Callable[..., bool]) -> Callable[..., Any]:
    """`original`, which raises for some jobs."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if is_bad(*args, **kwargs):
            raise RecursionError(FROM_A_SERVER)
        return original(*args, **kwargs)

    return call


async def test_bug_in_judging_a_job_ends_the_wait_for_that_job_only(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of three waits, the second ends as a `WaitStopped`, and the others see their jobs end."""
    bad = failing_for(Watch.judge, lambda watch, *args, **kwargs: watch.handle.job_id == "b")
    monkeypatch.setattr(Watch, "judge", bad)
    waits = [wait(scripted(until(20)), handle(name), EVERY_5_S) for name in "abc"]
    first, second, third = await asyncio.gather(*waits, return_exceptions=True)
    assert isinstance(first, Job)
    assert type(second) is errors.WaitStopped
    assert isinstance(third, Job)
    assert "s3cret" not in f"{second} {second.args} {caplog.text}"
    assert "RecursionError" in caplog.text


async def test_on_change_that_raises_ends_the_wait_for_that_job_only(scripted: Scripted) -> None:
    """One call waits for three jobs, and `on_change` raises for the second."""

    def on_change(job: Job) -> None:
        if job.job_id == "b":
            raise KeyError("mine")

    client, ends = scripted(until(20)), {}
    async for one, ended in wait_many(client, [handle(name) for name in "abc"], EVERY_5_S, on_change=on_change):
        assert one.job_id not in ends
        ends[one.job_id] = ended
    assert isinstance(ends["a"], Job)
    assert isinstance(ends["c"], Job)
    assert type(ends["b"]) is errors.WaitStopped
    assert isinstance(ends["b"].__cause__, KeyError)


@pytest.mark.parametrize("provider", ["aiware", "datasaur"])
async def test_bug_in_reading_a_job_is_a_bad_reply_about_that_job_only(
    provider: str, serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer has two jobs: the other one is read."""
    reader: Any = aiware_reader if provider == "aiware" else datasaur_reader
    bad = failing_for(reader.read_job, lambda entry, *args, **kwargs: entry["id"] == "b")
    monkeypatch.setattr(reader, "read_job", bad)
    jobs = [{"id": name, "status": "running", "tasks": {"limit": 30, "records": []}} for name in "ab"]
    server = await serve({"data": {"j0": jobs[0], "j1": jobs[1], "result": jobs}})
    async with Session(server.url, BearerToken("token"), DIALECT, Limits(attempts=1), FakeClock()) as session:
        client: Any = AiwareClient(session) if provider == "aiware" else DatasaurClient(session)
        seen = await client.check(["a", "b"])
    assert isinstance(seen["a"], Job)
    assert type(seen["b"]) is errors.BadReply
    assert "s3cret" not in f"{seen['b']} {caplog.text}"
