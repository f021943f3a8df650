"""The adapter of docs/how-to/add-a-provider.md, against a small server of its service."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import BearerToken, JobState, Label, LocalStore, errors, require_success, submit_once, wait
from graphql_jobs.transport.limits import Limits
from graphql_jobs.waiting.policy import Schedule, WaitPolicy
from tests.clocks import use_clock
from tests.graphql_jobs.conftest import plain_answer
from tests.graphql_jobs.providers import acme

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Serve

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "add-a-provider.md"
LABEL = Label("gqj-one")
FILM = acme.RenderSpec.of(film="f-1")
POLICY = WaitPolicy(Schedule(5, 0, 5))


class Acme:
    """Acme's server: each read of a render shows the next word of `words`."""

    def __init__(self) -> None:
        self.renders: dict[str, dict[str, Any]] = {}
        self.words = ["WAITING", "RENDERING", "DONE"]
        self.calls = Counter[str]()
        self.fault = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One operation."""
        call = await request.json()
        name, variables = call["operationName"], call["variables"]
        self.calls[name] += 1
        return plain_answer(getattr(self, re.sub("(?<!^)(?=[A-Z])", "_", name).lower())(variables, request))

    def start_render(self, variables: dict[str, Any], request: web.Request) -> Any:
        """Create a render. Faults: refuse it, lose the answer, or also lose a part of each later list."""
        if self.fault == "refused":
            return {"errors": [{"message": "no such film", "code": "UNKNOWN_FILM"}]}
        render_id = f"r-{len(self.renders)}"
        words = iter(self.words)
        self.renders[render_id] = {"note": variables["note"], "words": words, "status": next(words)}
        if self.fault:
            assert request.transport is not None
            request.transport.close()
        return {"data": {"startRender": {"id": render_id}}}

    def find_renders(self, variables: dict[str, Any], request: web.Request) -> Any:
        """The renders with a note."""
        found = [{"id": one} for one, render in self.renders.items() if render["note"] == variables["note"]]
        return {"data": {"findRenders": [*found, *([None] if found and self.fault == "lost twice" else [])]}}

    def read_renders(self, variables: dict[str, Any], request: web.Request) -> Any:
        """Renders by their ids, at most ten."""
        if len(variables["ids"]) > 10:
            return {"errors": [{"message": "ten at most", "code": "TOO_MANY_IDS"}]}
        known = [one for one in variables["ids"] if one in self.renders]
        return {"data": {"renders": [self.shown(one) for one in known]}}

    def cancel_render(self, variables: dict[str, Any], request: web.Request) -> Any:
        """Stop a render that has not started."""
        render = self.renders[variables["id"]]
        if render["status"] != "WAITING":
            return {"data": {"cancelRender": None}, "errors": [{"message": "it runs", "path": ["cancelRender"]}]}
        render.update(status="STOPPED", words=iter(()))
        return {"data": {"cancelRender": {"id": variables["id"]}}}

    def shown(self, render_id: str) -> dict[str, Any]:
        """The current state of a render; the next read shows the next word."""
        render = self.renders[render_id]
        word = render["status"]
        render["status"] = next(render["words"], word)
        error = "film too long" if word == "BROKEN" else None
        return {"id": render_id, "status": word, "error": error, "fileId": "file-1" if word == "DONE" else None}


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
    with pytest.raises(errors.SubmissionUnknown, match="no list of renders"):
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


def test_page_shows_the_adapter_that_is_tested() -> None:
    """The Python blocks on the page, except the last one, are the file `acme.py`."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[:-1]
    assert "".join(blocks).split() == Path(acme.__file__).read_text().split()


def test_adapter_is_short() -> None:
    """At most a hundred lines that are not blank."""
    assert len([line for line in Path(acme.__file__).read_text().splitlines() if line.strip()]) <= 100
