"""Submissions share `requests_per_s`: they take turns, and a create that was not sent is not called unknown."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from graphql_jobs import BearerToken, ClientCredentials, Label, LocalStore, errors, submit_once
from graphql_jobs.clock import SystemClock
from graphql_jobs.emulator import Fault
from graphql_jobs.providers.aiware import AiwareClient
from graphql_jobs.providers.aiware.reader import DIALECT as AIWARE
from graphql_jobs.providers.datasaur import DatasaurClient
from graphql_jobs.providers.datasaur.reader import DIALECT as DATASAUR
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.session import Session
from tests.clocks import use_clock
from tests.conftest import driven
from tests.graphql_jobs.submitting import AUTO_LABEL, LABEL, TASKS, jobs, kinds, submitted

if TYPE_CHECKING:
    from blocks import AiwareCredentials, DatasaurCredentials
    from graphql_jobs import JobClient, JobSpec
    from graphql_jobs.emulator import Emulator


def limited(provider: str, emulator: Emulator) -> tuple[JobClient, JobSpec]:
    """A client that may send one request per second of the emulator's time, and its specs."""
    accounts, limits, clock = emulator.accounts, Limits(requests_per_s=1), driven(emulator)
    if provider == "aiware":
        url, auth = f"{emulator.url}/v3/graphql", BearerToken(accounts.aiware_token)
        return AiwareClient(Session(url, auth, AIWARE, limits, clock)), TASKS
    credentials = ClientCredentials(
        f"{emulator.url}/api/oauth/token", accounts.datasaur_client_id, accounts.datasaur_client_secret
    )
    return DatasaurClient(Session(f"{emulator.url}/graphql", credentials, DATASAUR, limits, clock)), AUTO_LABEL


@pytest.mark.parametrize("provider", ["aiware", "datasaur"])
async def test_submissions_wait_for_their_turn(provider: str, emulator: Emulator) -> None:
    """200 concurrent submissions, one request per second, 120 s for each: 200 jobs, none refused or unknown."""
    client, spec = limited(provider, emulator)
    async with client:
        labels = [Label(f"gqj-{number}", "run") for number in range(200)]
        handles = await asyncio.gather(*(submit_once(client, spec, LocalStore(), label) for label in labels))
        assert client.session.rate_limit.window._submissions == 0
    assert len({handle.job_id for handle in handles}) == len(jobs(emulator)) == 200


async def test_cancelled_submission_gives_its_turn_back(emulator: Emulator) -> None:
    """All submissions that have begun, and one that waits, are cancelled: the next one begins."""
    client, spec = limited("aiware", emulator)
    async with client:
        going = [asyncio.create_task(submit_once(client, spec, LocalStore(), Label(f"gqj-{n}"))) for n in range(16)]
        await client.session.clock.sleep(1)
        for one in going:
            one.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        assert await submit_once(client, spec, LocalStore(), LABEL)


@pytest.mark.parametrize("provider", ["aiware", "datasaur"])
async def test_create_that_was_not_sent_in_time_is_not_unknown(
    provider: str, emulator: Emulator, aiware: AiwareCredentials, datasaur: DatasaurCredentials
) -> None:
    """The server asks for a delay of 10 s, and a submission may take 0.1 s: the error says that nothing was started."""
    client, spec = (aiware.get_client(), TASKS) if provider == "aiware" else (datasaur.get_client(), AUTO_LABEL)
    client.session.limits = replace(client.session.limits, submission_s=0.1)
    use_clock(client.session, SystemClock())  # real time: the sleep for the delay is cancelled
    client.session.server_delay.extend(10)
    store = LocalStore()
    with pytest.raises(errors.RequestFailed, match=r"not sent within submission_s=0\.1.*Nothing was started") as caught:
        await submitted(client, spec, store)
    assert caught.value.unexecuted
    assert kinds(await store.read(LABEL.key))[-1] == "void"
    assert emulator.ledger.requests == []


async def test_job_whose_container_was_made_and_whose_create_was_not_sent_is_submitted_again(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """The delay begins after the container: the next attempt creates the one job in the same container."""
    client, store = aiware.get_client(), LocalStore()
    client.session.limits = replace(client.session.limits, submission_s=0.2)
    use_clock(client.session, SystemClock())
    make_container, containers = client.make_container, list[str]()

    async def and_then_a_delay(spec: JobSpec, label: Label) -> dict[str, object]:
        location = await make_container(spec, label)
        containers.append(str(location["target_id"]))
        client.session.server_delay.extend(0.3)
        return location

    client.make_container = and_then_a_delay  # type: ignore[method-assign]
    await submitted(client, TASKS, store)
    assert [job.target_id for job in jobs(emulator)] == containers
    assert kinds(await store.read(LABEL.key))[:3] == ["intent", "container", "void"]


async def test_create_that_was_sent_and_not_answered_in_time_is_unknown(
    emulator: Emulator, datasaur: DatasaurCredentials
) -> None:
    """The answer to an auto-label takes longer than `submission_s`: its outcome is unknown, and it is sent once."""
    client = datasaur.get_client()
    client.session.limits = replace(client.session.limits, submission_s=0.2)
    emulator.faults.add(Fault("delay", delay_s=1.0, operation=AUTO_LABEL.operation))
    with pytest.raises(errors.SubmissionUnknown, match="it took too long"):
        await submitted(client, AUTO_LABEL)
    assert len(emulator.ledger.requests) == 1


async def test_create_that_is_cancelled_before_it_is_sent_is_not_unknown(
    emulator: Emulator, datasaur: DatasaurCredentials
) -> None:
    """The attempt is cancelled during a delay: the next one submits the auto-label, whose outcome is not unknown."""
    client, store = datasaur.get_client(), LocalStore()
    use_clock(client.session, SystemClock())
    client.session.server_delay.extend(10)
    going = asyncio.create_task(submitted(client, AUTO_LABEL, store))
    while not await store.read(LABEL.key):  # noqa: ASYNC110 (the store has no event)
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    assert kinds(await store.read(LABEL.key)) == ["intent", "void"]
    assert emulator.ledger.requests == []
