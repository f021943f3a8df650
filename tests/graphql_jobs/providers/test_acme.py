"""The adapter of docs/how-to/add-a-provider.md, against a small server of its service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from graphql_jobs import BearerToken, JobState, Label, LocalStore, errors, require_success, submit_once, wait
from graphql_jobs.transport.limits import Limits
from graphql_jobs.waiting.policy import Schedule, WaitPolicy
from tests.acme_page import PAGE, block_of, installed
from tests.clocks import use_clock
from tests.graphql_jobs.providers.acme_server import Acme

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests import acme_jobs as acme
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Serve

else:
    acme = installed()

LABEL = Label("gqj-one")
FILM = acme.RenderSpec.of(film="f-1")
POLICY = WaitPolicy(Schedule(5, 0, 5))


@pytest.fixture
def server() -> Acme:
    """Acme."""
    return Acme()


@pytest.fixture
async def client(server: Acme, serve: Serve, clock: FakeClock) -> AsyncIterator[acme.AcmeClient]:
    """A client of that server, on the fake clock."""
    url = (await serve(server.handle)).url
    client = acme.AcmeClient.connect(url.removesuffix("/graphql"), BearerToken("t0k3n-5ecret"), Limits(attempts=1))
    use_clock(client.session, clock)
    async with client:
        yield client


async def test_submitted_job_is_waited_for_and_has_a_result(client: acme.AcmeClient, tmp_path: Path) -> None:
    """WAITING, RENDERING, DONE: three polls, and the id of its file."""
    handle = await submit_once(client, FILM, LocalStore(), LABEL)
    job = require_success(await wait(client, handle, POLICY))
    assert await client.result(handle, job, tmp_path) == {"result_id": "file-1"}


async def test_failed_job_ends_the_wait_with_the_reason_of_the_service(client: acme.AcmeClient, server: Acme) -> None:
    """BROKEN: `JobFailed`, with the service's words."""
    server.words = ["WAITING", "BROKEN"]
    job = await wait(client, await client.submit(FILM), POLICY)
    assert job.state is JobState.FAILED
    with pytest.raises(errors.JobFailed, match="film too long"):
        require_success(job)


async def test_unknown_status_does_not_end_the_wait(
    client: acme.AcmeClient, server: Acme, caplog: pytest.LogCaptureFixture
) -> None:
    """A new status before DONE: the wait continues, and the log has the word without the token in it."""
    server.words = ["PAUSED t0k3n-5ecret", "DONE"]
    assert (await wait(client, await client.submit(FILM), POLICY)).state is JobState.SUCCEEDED
    assert "PAUSED" in caplog.text
    assert "t0k3n" not in caplog.text


async def test_lost_answer_is_found_again(client: acme.AcmeClient, server: Acme) -> None:
    """The connection is closed after the render was started: the only render is found by its key."""
    server.fault = "lost"
    handle = await submit_once(client, FILM, LocalStore(), LABEL)
    assert (handle.job_id, list(server.renders)) == ("r-0", ["r-0"])


async def test_refused_create_is_not_searched_for(client: acme.AcmeClient, server: Acme) -> None:
    """An unknown film: `RequestRefused` after the search that precedes every create, and no second create."""
    server.fault = "refused"
    with pytest.raises(errors.RequestRefused):
        await submit_once(client, FILM, LocalStore(), LABEL)
    assert server.calls == {"FindRenders": 1, "StartRender": 1}


async def test_search_that_is_not_whole_decides_nothing(client: acme.AcmeClient, server: Acme) -> None:
    """A lost answer, and a list with a null in it: `SubmissionUnknown`, and no second render."""
    server.fault = "lost twice"
    with pytest.raises(errors.SubmissionUnknown, match="no list of objects"):
        await submit_once(client, FILM, LocalStore(), LABEL)
    assert len(server.renders) == 1


async def test_batch_that_is_refused_is_split(client: acme.AcmeClient, server: Acme) -> None:
    """The service accepts ten ids: all of 25 are read, and later polls ask for no more than ten."""
    handles = [await client.submit(FILM) for _ in range(25)]
    seen = await client.check([*(handle.job_id for handle in handles), "r-99"])
    assert isinstance(seen.pop("r-99"), errors.JobNotFound)
    assert [job.state for job in seen.values() if not isinstance(job, Exception)] == [JobState.PENDING] * 25
    assert client.batch_size <= 13


async def test_cancel_is_confirmed_or_refused(client: acme.AcmeClient, server: Acme) -> None:
    """A waiting render is stopped; a running one is left running, and the error says so."""
    waiting = await client.submit(FILM)
    assert (await client.cancel(waiting.job_id)).confirmed
    server.words = ["RENDERING"]
    with pytest.raises(errors.CancelRefused, match=r"refused by the provider .* left running at Acme"):
        await client.cancel((await client.submit(FILM)).job_id)


def test_page_has_the_whole_adapter_in_at_most_150_lines() -> None:
    """Its Python block is `tests/acme_jobs.py`, which ruff and mypy check."""
    assert block_of("python") == (Path(__file__).parents[2] / "acme_jobs.py").read_text()
    assert len(PAGE.read_text().splitlines()) <= 150
