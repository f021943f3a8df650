"""Our own contestants: `wait_many` by ids and by aliases, and one `wait` per job."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from benchmarks.cancelling import cancel_some
from graphql_jobs import (
    BearerToken,
    ClientCredentials,
    Deadlines,
    Job,
    JobClient,
    JobState,
    Limits,
    Schedule,
    WaitPolicy,
    wait,
    wait_many,
)
from graphql_jobs.errors import GraphqlJobsError, WaitTimedOut
from graphql_jobs.providers.aiware import AiwareClient
from graphql_jobs.providers.aiware.documents import ALIAS_SIZES
from graphql_jobs.providers.datasaur import DatasaurClient

if TYPE_CHECKING:
    from benchmarks.contestant import Setup
    from benchmarks.meter import Meter
    from graphql_jobs import JobHandle
    from graphql_jobs.emulator.load.judge import Outcome


def policy_of(setup: Setup) -> WaitPolicy:
    """A look every T, and a deadline."""
    # The growth does not matter where the cap is the first delay.
    schedule = Schedule(first_delay_s=setup.interval_s, growth=1.0, max_delay_s=setup.interval_s)
    return WaitPolicy(schedule, Deadlines(total_s=setup.waits_at_most_s))


def limits_of(setup: Setup) -> Limits:
    """With the request budget, where there is one."""
    budget: dict[str, Any] = {"requests_per_s": setup.requests_per_s} if setup.requests_per_s else {}
    known = {field.name for field in fields(Limits)}
    return Limits(**{name: value for name, value in budget.items() if name in known})


def datasaur(setup: Setup) -> DatasaurClient:
    """A client whose batches are as large as the workload says."""
    DatasaurClient.max_batch = setup.batch
    return DatasaurClient.connect(setup.emulator["url"], sign_in_of(setup), limits_of(setup))


def sign_in_of(setup: Setup) -> ClientCredentials:
    """Of the emulator's Datasaur."""
    emulator = setup.emulator
    token_url = f"{emulator['url']}/api/oauth/token"
    return ClientCredentials(token_url, emulator["datasaur_client_id"], emulator["datasaur_client_secret"])


async def by_ids(setup: Setup, meter: Meter) -> None:
    """One `wait_many` for all, over Datasaur's list of ids."""
    async with datasaur(setup) as client:
        await wait_for_all(client, setup, meter)


async def by_aliases(setup: Setup, meter: Meter) -> None:
    """One `wait_many` for all, over aiWARE's aliases."""
    AiwareClient.max_batch = alias_batch(setup.batch)
    emulator = setup.emulator
    async with AiwareClient.connect(emulator["url"], BearerToken(emulator["aiware_token"]), limits_of(setup)) as client:
        await wait_for_all(client, setup, meter)


async def one_wait_each(setup: Setup, meter: Meter) -> None:
    """A task and a `wait` for every job, as if each came from a flow of its own."""
    async with datasaur(setup) as client:
        handles = [client.handle(job_id) for job_id in setup.job_ids]
        meter.begin()
        tasks = {handle.job_id: asyncio.create_task(_wait_for_one(client, handle, setup, meter)) for handle in handles}
        cancelling = asyncio.create_task(cancel_some(tasks, setup, meter))
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        await cancelling


def alias_batch(batch: int) -> int:
    """Aliases come in fixed sizes: the largest that is not above `batch`."""
    return max(size for size in ALIAS_SIZES if size <= batch)


def outcome_of(ended: Job | GraphqlJobsError) -> Outcome:
    """In the judge's words."""
    if isinstance(ended, Job):
        return "succeeded" if ended.state is JobState.SUCCEEDED else "failed"
    return "gave_up" if isinstance(ended, WaitTimedOut) else "failed"


async def wait_for_all(client: JobClient, setup: Setup, meter: Meter) -> None:
    """One `wait_many`, each end told as it comes."""
    handles = [client.handle(job_id) for job_id in setup.job_ids]
    meter.begin()
    async for handle, ended in wait_many(client, handles, policy_of(setup)):
        meter.tell(handle.job_id, outcome_of(ended))


async def _wait_for_one(client: JobClient, handle: JobHandle, setup: Setup, meter: Meter) -> None:
    ended: Job | GraphqlJobsError
    try:
        ended = await wait(client, handle, policy_of(setup))
    except GraphqlJobsError as error:
        ended = error
    meter.tell(handle.job_id, outcome_of(ended))
