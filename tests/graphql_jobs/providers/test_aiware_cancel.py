"""Cancelling one aiWARE job: a later poll of the job decides whether the cancel had an effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import errors
from graphql_jobs.job import JobState
from graphql_jobs.providers.aiware import AiwareClient
from graphql_jobs.transport.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import OpenSession, Serve

CANCELLED = {"data": {"cancelJob": {"id": "a", "message": "Job cancelled"}}}
REFUSED = {"data": {"cancelJob": None}, "errors": [{"name": "invalid_input", "message": "runs", "path": ["cancelJob"]}]}


def shown(status: str | None) -> dict[str, Any]:
    """The answer to a check of job a; None: the job is unknown."""
    if status is None:
        return {"data": {"j0": None}, "errors": [{"name": "not_found", "message": "gone", "path": ["j0"]}]}
    return {"data": {"j0": {"id": "a", "status": status, "tasks": {"records": []}}}}


@pytest.mark.parametrize("word", ["aborted", "cancelled"])
async def test_cancel_is_confirmed_by_reading_the_job(
    word: str, serve: Serve, open_session: OpenSession, clock: FakeClock, sample: Callable[[str], Any]
) -> None:
    """Accepted, still queued twice, then aborted: confirmed after two delays."""
    server = await serve(sample("aiware/job_cancelled"), shown("queued"), shown("queued"), shown(word))
    outcome = await AiwareClient(await open_session(server.url)).cancel("a")
    assert outcome.confirmed
    assert outcome.job is not None
    assert outcome.job.state is JobState.CANCELLED
    assert len(clock.slept) == 2


async def test_job_that_is_gone_after_an_accepted_cancel_counts_as_cancelled(
    serve: Serve, open_session: OpenSession
) -> None:
    """aiWARE may delete a cancelled job: it is then not found."""
    server = await serve(CANCELLED, shown(None))
    outcome = await AiwareClient(await open_session(server.url)).cancel("a")
    assert (outcome.confirmed, outcome.job) == (True, None)


async def test_refused_cancel_of_a_cancelled_job_is_no_failure(serve: Serve, open_session: OpenSession) -> None:
    """The first answer was lost, the second is a refusal, and the job is aborted: confirmed."""
    server = await serve(REFUSED, shown("aborted"))
    assert (await AiwareClient(await open_session(server.url)).cancel("a")).confirmed


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([REFUSED, shown("running")], "left running at aiWARE: RUNNING"),
        ([REFUSED, shown("complete")], "already ended"),
        ([CANCELLED, shown("complete")], "already ended"),
        ([CANCELLED, shown("running")], "without effect"),
    ],
)
async def test_cancel_without_effect_says_what_was_left(
    steps: list[Any], words: str, serve: Serve, open_session: OpenSession
) -> None:
    """Refused, too late, or accepted and ignored: `CancelRefused` with the state of the job."""
    server = await serve(*steps)
    with pytest.raises(errors.CancelRefused, match=words):
        await AiwareClient(await open_session(server.url)).cancel("a")


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ([REFUSED, shown(None)], errors.JobNotFound),
        ([(401, "")], errors.SignInFailed),
        ([(403, "")], errors.SignInFailed),
        ([(404, "")], errors.BadEndpoint),
        ([(502, "")], errors.ServerFailed),
        ([CANCELLED, (502, "")], errors.ServerFailed),
    ],
)
async def test_cancel_of_unknown_outcome_raises_the_cause(
    steps: list[Any], kind: type[Exception], serve: Serve, open_session: OpenSession
) -> None:
    """An unknown job, a rejected token and an outage are not refusals."""
    server = await serve(*steps)
    with pytest.raises(kind):
        await AiwareClient(await open_session(server.url, limits=Limits(attempts=1))).cancel("a")


async def test_cancel_whose_answer_was_lost_is_sent_again(serve: Serve, open_session: OpenSession) -> None:
    """A second cancel does no harm: 502, then accepted."""
    server = await serve((502, ""), CANCELLED, shown("aborted"))
    assert (await AiwareClient(await open_session(server.url)).cancel("a")).confirmed
    assert server.count == 3
