"""The short way for load: known checks are answered without being executed, with the same bytes."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from graphql_jobs.emulator import Behaviour, Emulator, Fault, JobFault, ManualClock
from graphql_jobs.emulator.shortcut import Shortcut
from graphql_jobs.providers.aiware import documents as aiware_documents
from graphql_jobs.providers.datasaur import documents as datasaur_documents

STEPS_S = (0.0, 1.0, 1.0, 1.0, 1.5, 1.5, 1.5)
FATES = (
    "job_fails",
    "unknown_status",
    "status_for_ever",
    "stuck",
    "running_queued_running",
    "failed_task_with_standby",
)


class Twins:
    """Two emulators of one seed and one course, of which one takes the short way."""

    def __init__(self, slow: Emulator, fast: Emulator, http: aiohttp.ClientSession) -> None:
        self.both = (slow, fast)
        self.http = http

    def plant(self, provider: str) -> list[str]:
        """A job of each fate, and one of none."""
        planted: list[list[str]] = []
        for emulator in self.both:
            world: Any = getattr(emulator, provider)
            faults = [None, *(JobFault(kind, word="running") for kind in FATES)]  # type: ignore[arg-type]
            planted.append([world.plant(fault=fault).id for fault in faults])
        assert planted[0] == planted[1]
        return planted[0]

    async def ask(self, provider: str, payload: dict[str, Any]) -> bytes:
        """The answer, which is the same of both."""
        bodies = []
        for emulator in self.both:
            token, path = emulator.accounts.aiware_token, "/v3/graphql"
            if provider == "datasaur":
                token, path = emulator.accounts.issue_datasaur_token(), "/graphql"
            headers = {"Authorization": f"Bearer {token}"}
            async with self.http.post(emulator.url + path, json=payload, headers=headers) as response:
                bodies.append((response.status, await response.read()))
        assert bodies[0] == bodies[1]
        records = [emulator.ledger.requests[-1] for emulator in self.both]
        assert records[0] == records[1]
        return bodies[0][1]

    def advance(self, step_s: float) -> None:
        for emulator in self.both:
            emulator.clock.advance(step_s)


@pytest.fixture
async def twins(behaviour: Behaviour, http: aiohttp.ClientSession) -> AsyncIterator[Twins]:
    async with (
        Emulator(clock=ManualClock(), seed=5, behaviour=behaviour) as slow,
        Emulator(clock=ManualClock(), seed=5, behaviour=behaviour, takes_shortcuts=True) as fast,
    ):
        yield Twins(slow, fast, http)


@pytest.fixture
def shortcuts(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each request was answered the short way."""
    taken: list[bool] = []
    answer = Shortcut.answer

    def noted(self: Shortcut, *arguments: Any) -> Any:
        quick = answer(self, *arguments)
        taken.append(quick is not None)
        return quick

    monkeypatch.setattr(Shortcut, "answer", noted)
    return taken


def check_of(provider: str, job_ids: list[str]) -> dict[str, Any]:
    """Our own check of these jobs, as it goes over the wire."""
    if provider == "datasaur":
        return datasaur_documents.GET_JOBS.bind({"jobIds": job_ids}).payload
    variables: dict[str, object] = {f"id{number}": job_id for number, job_id in enumerate(job_ids)}
    return aiware_documents.check_jobs(len(job_ids)).bind(variables | {"offset": 0, "limit": 30}).payload


@pytest.mark.parametrize("provider", ["aiware", "datasaur"])
async def test_both_ways_give_the_same_bytes_at_every_turn(twins: Twins, shortcuts: list[bool], provider: str) -> None:
    """Seven fates, at seven instants between the submission and the end, each asked twice."""
    job_ids = twins.plant(provider)
    payload, seen = check_of(provider, job_ids), set()
    for step_s in STEPS_S:
        twins.advance(step_s)
        seen |= {await twins.ask(provider, payload), await twins.ask(provider, payload)}
    assert len(seen) >= 5
    assert shortcuts == [True] * 2 * len(STEPS_S)


async def test_five_hundred_aliases_go_the_short_way(twins: Twins, shortcuts: list[bool]) -> None:
    """The same document with the same job five hundred times."""
    job_id = twins.plant("aiware")[0]
    assert (await twins.ask("aiware", check_of("aiware", [job_id] * 500))).count(job_id.encode()) == 1000
    assert shortcuts == [True]


SINGLE = "query($id: String!) { getJob(jobId: $id) { id status } }"
LONG_WAYS = [
    ("datasaur", {"query": '{ getJobs(jobIds: ["AutoLabelQueue:none"]) { id status } }'}),
    ("datasaur", {"query": SINGLE, "variables": {"id": "AutoLabelQueue:none"}}),
    ("datasaur", {"query": SINGLE, "variables": {}}),
    ("datasaur", {"query": SINGLE, "operationName": "Other", "variables": {"id": "x"}}),
    ("datasaur", {"query": SINGLE.replace("status", "status @skip(if: true)"), "variables": {"id": "x"}}),
    ("aiware", {"query": "query($id: ID!) { job(id: $id) { id status } }", "variables": {"id": "none"}}),
    ("aiware", {"query": "query($id: ID!) { job(id: $id) { id status target { id } } }", "variables": {"id": "none"}}),
    ("aiware", {"query": "{ me { id } }"}),
]


@pytest.mark.parametrize(("provider", "payload"), LONG_WAYS)
async def test_what_is_not_known_goes_the_long_way(
    twins: Twins, shortcuts: list[bool], provider: str, payload: dict[str, Any]
) -> None:
    """Literals, jobs that are not there, missing variables, wrong names, directives, other fields."""
    await twins.ask(provider, payload)
    assert shortcuts == [False]


async def test_a_list_with_an_unknown_job_holds_null(twins: Twins, shortcuts: list[bool]) -> None:
    """Also on the short way."""
    job_id = twins.plant("datasaur")[0]
    body = await twins.ask("datasaur", check_of("datasaur", ["AutoLabelQueue:none", job_id]))
    assert body.startswith(b'{"data": {"result": [null, {"id": ')
    assert shortcuts == [True]


async def test_a_change_by_hand_shows_at_once(twins: Twins) -> None:
    """A job is cancelled between two checks of one instant."""
    [job_id, *_] = twins.plant("aiware")
    await twins.ask("aiware", check_of("aiware", [job_id]))
    cancel = {"query": f'mutation {{ cancelJob(id: "{job_id}") {{ id }} }}'}
    await twins.ask("aiware", cancel)
    assert b"aborted" in await twins.ask("aiware", check_of("aiware", [job_id]))


@pytest.mark.parametrize("behaviour", [Behaviour(requests_per_window=1)], indirect=True)
async def test_limits_hold_on_the_short_way(twins: Twins) -> None:
    """The second request is one too many."""
    payload = check_of("datasaur", twins.plant("datasaur"))
    await twins.ask("datasaur", payload)
    await twins.ask("datasaur", payload)
    assert twins.both[1].ledger.requests[-1].status == 429


async def test_faults_and_sign_in_hold_on_the_short_way(twins: Twins, http: aiohttp.ClientSession) -> None:
    """A planned fault strikes; a request without a token is refused."""
    payload = check_of("datasaur", twins.plant("datasaur"))
    for emulator in twins.both:
        emulator.faults.add(Fault("null_member", operation="getJobs"), Fault("server_error"))
    assert (await twins.ask("datasaur", payload)).startswith(b'{"data": {"result": [null, {')
    assert b"502" in await twins.ask("datasaur", payload)
    async with http.post(f"{twins.both[1].url}/graphql", json=payload) as response:
        assert (await response.json())["errors"][0]["message"] == "Unauthorized"
