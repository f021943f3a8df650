"""Contestants under Prefect: our one task run for all waits, and one task run for each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import SecretStr

from benchmarks.ours import outcome_of, policy_of
from benchmarks.wire import GET_JOB, Datasaur, is_good_end
from blocks import DatasaurCredentials
from graphql_jobs.providers.datasaur import DatasaurClient
from tasks.wait import wait_for_jobs

if TYPE_CHECKING:
    from benchmarks.contestant import Setup
    from benchmarks.meter import Meter


async def one_task_for_all(setup: Setup, meter: Meter) -> None:
    """`wait_for_jobs` in a flow. It gives all ends at once, so the judge takes the instants of its own answers."""
    DatasaurClient.max_batch = setup.batch
    emulator = setup.emulator
    credentials = DatasaurCredentials(
        base_url=emulator["url"],
        client_id=emulator["datasaur_client_id"],
        client_secret=SecretStr(emulator["datasaur_client_secret"]),
    )

    @flow(name="bench: one task run for all waits")
    async def wait_for_all() -> None:
        for job_id, ended in (await wait_for_jobs(credentials, setup.job_ids, policy_of(setup))).items():
            meter.tell_without_instant(job_id, outcome_of(ended))

    meter.begin()
    await wait_for_all()


async def one_task_each(setup: Setup, meter: Meter) -> None:
    """A task run per wait, all in one flow and one event loop, with one shared session."""
    async with aiohttp.ClientSession() as http:
        datasaur = Datasaur(http, setup.emulator)

        @task(name="wait for one job", task_run_name="wait for {job_id}", cache_policy=NO_CACHE)
        async def wait_for_one(job_id: str) -> None:
            while True:
                good = is_good_end((await datasaur.ask(GET_JOB, {"jobId": job_id}))["status"])
                if good is not None:
                    meter.tell(job_id, "succeeded" if good else "failed")
                    return
                await asyncio.sleep(setup.interval_s)

        @flow(name="bench: a task run per wait")
        async def wait_for_all() -> None:
            await asyncio.gather(*(wait_for_one(job_id) for job_id in setup.job_ids))

        meter.begin()
        await wait_for_all()
