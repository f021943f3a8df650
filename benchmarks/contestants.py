"""`python -m benchmarks.contestants NAME`: one contestant, as a process that imports only what it needs."""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import aiohttp

_GET_JOB = "query GetJob($jobId: String!) { result: getJob(jobId: $jobId) { id status } }"
_ENDS = {"DELIVERED": "succeeded", "FAILED": "failed"}
#: The workload, and: `emulator`, `job_ids`, `cancelled_ids`, `record`, and as `document` that of our own check.
Setup = SimpleNamespace


class _Meter:
    """Writes the record: a JSON line for each end, with the instant when it was known, and the cost of the waiting."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("a", buffering=1)  # noqa: SIM115 (open until the process ends)

    def begin(self) -> None:
        """Only the waiting counts from here on, without imports and preparation."""
        self._write({"began_at": time.time()})
        self._began = (time.monotonic(), time.process_time())

    def tell(self, job_id: str, outcome: str) -> None:
        self._write((job_id, outcome, time.time()))

    def finish(self) -> None:
        """Write the figures. The peak is that of this program: `ru_maxrss` starts with the parent's (Linux only)."""
        wall_s, cpu_s = time.monotonic() - self._began[0], time.process_time() - self._began[1]
        status = Path("/proc/self/status").read_text() if sys.platform == "linux" else ""
        peak = {"peak_mb": int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6} if status else {}
        self._write({"wall_s": wall_s, "cpu_s": cpu_s, **peak})

    def _write(self, entry: object) -> None:
        self._file.write(json.dumps(entry) + "\n")


async def raw_loop(setup: Setup, meter: _Meter) -> None:
    """A raw loop: the same bytes as ours by aiohttp and the standard decoder; each interval's requests in one burst."""
    async with aiohttp.ClientSession() as http:
        server = _Server(http, setup)
        live, loop = dict.fromkeys(setup.job_ids), asyncio.get_running_loop()
        meter.begin()
        due_at = loop.time()
        while live:
            job_ids = list(live)
            for first in range(0, len(job_ids), setup.batch):
                for job in await server.ask(setup.document, {"jobIds": job_ids[first : first + setup.batch]}):
                    if outcome := _ENDS.get(job["status"]):
                        del live[job["id"]]
                        meter.tell(job["id"], outcome)
            due_at += setup.interval_s
            await asyncio.sleep(due_at - loop.time())


async def ours_wait_many(setup: Setup, meter: _Meter) -> None:
    """One `wait_many` for all jobs."""
    from graphql_jobs import wait_many

    client, policy = _ours(setup)
    async with client:
        handles = [client.handle(job_id) for job_id in setup.job_ids]
        meter.begin()
        async for handle, ended in wait_many(client, handles, policy):
            meter.tell(handle.job_id, _outcome(ended))


async def ours_wait_each(setup: Setup, meter: _Meter) -> None:
    """A task and a `wait` for every job, as if each came from a separate flow."""
    from graphql_jobs import GraphqlJobsError, wait

    client, policy = _ours(setup)

    async def one(job_id: str) -> None:
        try:
            meter.tell(job_id, _outcome(await wait(client, client.handle(job_id), policy)))
        except GraphqlJobsError as error:
            meter.tell(job_id, _outcome(error))

    async with client:
        meter.begin()
        await _one_task_each(one, setup, meter)


async def coroutine_each(setup: Setup, meter: _Meter, task: Any = lambda one: one, flow: Any = lambda run: run) -> None:
    """A coroutine per job on a fixed grid of T with spread phases, one session; a failed poll is made again after T."""
    random, loop = Random(1), asyncio.get_running_loop()  # noqa: S311 (spreads load, guards nothing)
    async with aiohttp.ClientSession() as http:
        server = _Server(http, setup)

        async def one(job_id: str) -> None:
            due_at, give_up_at = loop.time() + random.uniform(0, setup.interval_s), loop.time() + setup.deadline_s
            outcome = ""
            while not outcome and due_at < give_up_at:
                await asyncio.sleep(due_at - loop.time())
                outcome = await server.outcome(job_id)
                due_at = max(due_at + setup.interval_s, loop.time())
            meter.tell(job_id, outcome or "gave_up")

        async def wait_for_all() -> None:
            await _one_task_each(task(one), setup, meter)

        meter.begin()
        await flow(wait_for_all)()


async def prefect_task_each(setup: Setup, meter: _Meter) -> None:
    """The same with a Prefect task run per job, all in one flow and one event loop."""
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE

    await coroutine_each(setup, meter, task(cache_policy=NO_CACHE), flow)


class _Server:
    """Requests without a library, with one token; after an error the next request fetches another token."""

    def __init__(self, http: aiohttp.ClientSession, setup: Setup) -> None:
        self._http, self._emulator, self._token = http, setup.emulator, ""

    async def ask(self, query: str, variables: dict[str, Any]) -> Any:  # raises ValueError and aiohttp's errors
        url, names = self._emulator["url"], ("client_id", "client_secret")
        if not self._token:
            form = {name: self._emulator[f"datasaur_{name}"] for name in names} | {"grant_type": "client_credentials"}
            async with self._http.post(f"{url}/api/oauth/token", data=form, raise_for_status=True) as response:
                self._token = (await response.json())["access_token"]
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        async with self._http.post(f"{url}/graphql", data=body, headers=headers, raise_for_status=True) as response:
            reply = json.loads(await response.read())
        if reply.get("errors"):
            self._token = ""
            raise ValueError(reply["errors"])
        return reply["data"]["result"]

    async def outcome(self, job_id: str) -> str:
        """The job's final state; empty: not ended, or this poll failed."""
        try:
            job = await self.ask(_GET_JOB, {"jobId": job_id})
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return ""
        return _ENDS.get(job["status"], "") if job else ""


def _ours(setup: Setup) -> tuple[Any, Any]:
    """A client, and a policy that polls every T until the deadline."""
    from graphql_jobs import ClientCredentials, Deadlines, Limits, Schedule, WaitPolicy
    from graphql_jobs.providers.datasaur import DatasaurClient

    of, DatasaurClient.max_batch = setup.emulator, setup.batch
    sign_in = ClientCredentials(f"{of['url']}/api/oauth/token", of["datasaur_client_id"], of["datasaur_client_secret"])
    schedule = Schedule(first_delay_s=setup.interval_s, growth=1.0, max_delay_s=setup.interval_s)
    client = DatasaurClient.connect(of["url"], sign_in, Limits(requests_per_s=setup.requests_per_s))
    return client, WaitPolicy(schedule, Deadlines(total_s=setup.deadline_s))


def _outcome(ended: object) -> str:
    status = getattr(ended, "raw_status", "")  # by name: an import per end would count as our CPU
    return _ENDS.get(status, "gave_up" if type(ended).__name__ == "WaitTimedOut" else "failed")


async def _one_task_each(one: Callable[[str], Any], setup: Setup, meter: _Meter) -> None:
    """Run all waits; cancel those that the workload names, before the first jobs end."""
    tasks = {job_id: asyncio.ensure_future(one(job_id)) for job_id in setup.job_ids}
    if setup.cancelled_ids:
        await asyncio.sleep(2 * setup.interval_s)  # by then each job was polled
    for job_id in setup.cancelled_ids:
        await asyncio.sleep(setup.interval_s / len(setup.cancelled_ids))
        if tasks[job_id].cancel():
            meter.tell(job_id, "cancelled")
    await asyncio.gather(*tasks.values(), return_exceptions=True)


if __name__ == "__main__":
    logging.getLogger("graphql_jobs").setLevel(logging.ERROR)  # its warnings about injected faults would fill the log
    given = Setup(**json.load(sys.stdin))
    record = _Meter(given.record)
    asyncio.run(globals()[sys.argv[1]](given, record))
    record.finish()
