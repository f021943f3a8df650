"""The fast path answers status checks without executing them, with the same bytes."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from graphql_jobs.emulator import Behaviour, Emulator, Fault, JobFault, ManualClock
from graphql_jobs.emulator.load.fast_path import FastPath
from graphql_jobs.providers.datasaur.documents import GET_JOBS

STEPS_S = (0.0, 1.0, 1.0, 1.0, 1.5, 1.5, 1.5)
FAULTS = ("job_fails", "unknown_status", "status_for_ever", "stuck", "running_queued_running")


class Twins:
    """Two emulators with one seed and one clock; the second has the fast path."""

    def __init__(self, slow: Emulator, fast: Emulator, http: aiohttp.ClientSession) -> None:
        self.both = (slow, fast)
        self.http = http

    def plant(self) -> list[str]:
        """A job with each fault, and one without."""
        faults = [None, *(JobFault(kind, word="running") for kind in FAULTS)]  # type: ignore[arg-type]
        planted = [[emulator.datasaur.plant(fault=fault).id for fault in faults] for emulator in self.both]
        assert planted[0] == planted[1]
        return planted[0]

    async def ask(self, payload: dict[str, Any]) -> bytes:
        """The answer and the record, which are the same in both emulators."""
        bodies = []
        for emulator in self.both:
            headers = {"Authorization": f"Bearer {emulator.accounts.issue_datasaur_token()}"}
            async with self.http.post(f"{emulator.url}/graphql", json=payload, headers=headers) as response:
                bodies.append((response.status, await response.read()))
        assert bodies[0] == bodies[1]
        records = [emulator.ledger.requests[-1] for emulator in self.both]
        assert records[0] == records[1]
        return bodies[0][1]


@pytest.fixture
async def twins(behaviour: Behaviour, http: aiohttp.ClientSession) -> AsyncIterator[Twins]:
    async with (
        Emulator(clock=ManualClock(), seed=5, behaviour=behaviour) as slow,
        Emulator(clock=ManualClock(), seed=5, behaviour=behaviour, takes_shortcuts=True) as fast,
    ):
        yield Twins(slow, fast, http)


@pytest.fixture
def fast_replies(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each request was answered by the fast path."""
    taken: list[bool] = []
    reply = FastPath.reply

    def noted(self: FastPath, *arguments: Any) -> Any:
        fast = reply(self, *arguments)
        taken.append(fast is not None)
        return fast

    monkeypatch.setattr(FastPath, "reply", noted)
    return taken


def check_of(job_ids: list[str]) -> dict[str, Any]:
    """The client's own check of these jobs, as it is sent."""
    return GET_JOBS.bind({"jobIds": job_ids}).payload


async def test_both_ways_give_the_same_bytes_at_every_status(twins: Twins, fast_replies: list[bool]) -> None:
    """Six jobs, one of them unknown, at seven instants between their submission and their end."""
    payload, seen = check_of([*twins.plant(), "AutoLabelQueue:none"]), set()
    for step_s in STEPS_S:
        for emulator in twins.both:
            emulator.clock.advance(step_s)
        seen.add(await twins.ask(payload))
    assert len(seen) >= 5
    assert fast_replies == [True] * len(STEPS_S)


SINGLE = "query($id: String!) { getJob(jobId: $id) { id status } }"
EXECUTED = [
    {"query": '{ getJobs(jobIds: ["AutoLabelQueue:none"]) { id status } }'},
    {"query": SINGLE, "variables": {"id": "AutoLabelQueue:none"}},
    {"query": SINGLE, "variables": {}},
    {"query": SINGLE, "operationName": "Other", "variables": {"id": "x"}},
    {"query": SINGLE.replace("status", "status @skip(if: true)"), "variables": {"id": "x"}},
    {"query": SINGLE.replace("status", "other: status"), "variables": {"id": "x"}},
    {"query": SINGLE.replace("status", "status additionalData { documentIds }"), "variables": {"id": "x"}},
    {"query": "{ getProject(input: { projectId: 1 }) { id } }"},
    {"query": "{"},
]


@pytest.mark.parametrize("payload", EXECUTED)
async def test_other_documents_are_executed(twins: Twins, fast_replies: list[bool], payload: dict[str, Any]) -> None:
    """Literals, one unknown job, missing variables, wrong names, directives, aliases, other fields."""
    await twins.ask(payload)
    assert fast_replies == [False]


async def test_single_job_takes_the_fast_path(twins: Twins, fast_replies: list[bool]) -> None:
    """`getJob` with a variable."""
    await twins.ask({"query": SINGLE, "variables": {"id": twins.plant()[0]}})
    assert fast_replies == [True]


@pytest.mark.parametrize("behaviour", [Behaviour(missing_jobs="omit"), Behaviour(reverse_get_jobs=True)], indirect=True)
async def test_unusual_lists_are_executed(twins: Twins, fast_replies: list[bool]) -> None:
    """Unknown jobs that are omitted, or an answer in reverse order."""
    await twins.ask(check_of(twins.plant()))
    assert fast_replies == [False]


@pytest.mark.parametrize("behaviour", [Behaviour(requests_per_window=1)], indirect=True)
async def test_rate_limit_holds_on_the_fast_path(twins: Twins) -> None:
    """The second request is refused."""
    payload = check_of(twins.plant())
    await twins.ask(payload)
    await twins.ask(payload)
    assert twins.both[1].ledger.requests[-1].status == 429


async def test_faults_and_sign_in_hold_on_the_fast_path(twins: Twins, http: aiohttp.ClientSession) -> None:
    """A fault applies; a request without a token is refused."""
    payload = check_of(twins.plant())
    for emulator in twins.both:
        emulator.faults.add(Fault("null_member", operation="getJobs"), Fault("server_error"))
    assert (await twins.ask(payload)).startswith(b'{"data": {"result": [null, {')
    assert b"502" in await twins.ask(payload)
    async with http.post(f"{twins.both[1].url}/graphql", json=payload) as response:
        assert (await response.json())["errors"][0]["message"] == "Unauthorized"
