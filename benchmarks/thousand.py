"""`python -m benchmarks.thousand JOBS PEERS`: many jobs in one flow run, a flow run for each, and cancelling them."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.base import PrefectHttpxAsyncClient
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.states import Cancelled
from pydantic import SecretStr

from benchmarks.contest import ask
from benchmarks.report import Gate, Section, at_most, number
from blocks import AiwareCredentials
from blocks.api import one_client
from blocks.runs.submit import submit_from_here
from flows.run_aiware_job import run_aiware_job
from graphql_jobs.many import each
from graphql_jobs.providers.aiware import EngineJobSpec
from scripts.processes import cpu_s
from scripts.stack import Stack
from tasks.cancelling.layers import clean_up_after
from tasks.downstream import start_downstream
from tasks.flow_runs import submissions_of
from tasks.outcome import outcome_of
from tasks.submit import submit_job
from tasks.wait import wait_for_jobs

_ENGINE_ID, _NEXT = "c0e55cde-340b-44d7-bb42-2e0d65e98255", "next/bench"
_MEDIA = "https://media.example.com"
_RUNS_AT_ONCE = 10  # of the runs of one job each; a Prefect server on SQLite refuses fifty
_NOTE = "On one Prefect server, requests without logs. The wait includes 12 s of work. Flow runs share a process."


def thousand(jobs: int, peers: int) -> Section:
    """Run in a separate process, since Prefect reads its settings at import. `peers`: runs of one job each."""
    with Stack(emulator_options=("--queued-s", "2", "--running-s", "10")) as stack:
        command = [sys.executable, "-m", "benchmarks.thousand", str(jobs), str(peers)]
        told = json.dumps(stack.emulator | {"server_pid": stack.parts["server"].pid})
        done = subprocess.run(command, env=stack.environment, input=told, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    names = ("wall, ms", "client CPU, ms", "server CPU, ms", "requests to the provider", "requests to Prefect")
    columns = ("step", "jobs", "wall, s", *(f"{name} per job" for name in names))
    rows = [(name, f"{of:,}", number(cost[0] * of / 1000), *map(number, cost)) for name, of, cost in found["steps"]]
    return Section(columns, rows, _NOTE, thousand_gates(found["counts"], jobs, peers))


def thousand_gates(counts: Mapping[str, int], jobs: int, peers: int) -> list[Gate]:
    """Every job is submitted once, has a result, is handed over once, and is cancelled with its run."""
    expected = {"jobs": 2 * jobs + peers, "keys of jobs": 2 * jobs + peers, "results": jobs, "hand-overs": 1 + peers}
    expected |= {"jobs that the cancelled run remembers": jobs, "cancelled jobs": jobs}
    gates = [at_most(f"{name}: {of:,}, off by", abs(counts[name] - of), 0) for name, of in expected.items()]
    return [*gates, at_most("task runs beside the submissions of many jobs", counts["task runs"], 3)]


class _Steps:
    """The cost of each step per job: ms of wall, client and server, requests to the provider and to Prefect."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.all: list[tuple[str, int, list[float]]] = []
        self._told, self._prefect_requests, send = told, 0, PrefectHttpxAsyncClient.send
        self.ledger = partial(ask, f"{told['url']}/_emulator/ledger")

        async def counting(client: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
            self._prefect_requests += not request.url.path.endswith("/logs/")
            return await send(client, request, *args, **kwargs)

        PrefectHttpxAsyncClient.send = counting  # type: ignore # counts

    @contextmanager
    def step(self, name: str, jobs: int) -> Iterator[None]:
        before = self._spent()
        yield
        self.all.append((name, jobs, [(now - then) / jobs for now, then in zip(self._spent(), before, strict=True)]))

    def _spent(self) -> list[float]:
        times_s = (time.monotonic(), time.process_time(), cpu_s(self._told["server_pid"]))
        return [*(1000 * of for of in times_s), len(self.ledger()["requests"]), self._prefect_requests]


async def _submit(submit: Callable[[EngineJobSpec], Any], jobs: int) -> dict[str, Any]:
    urls = [f"{_MEDIA}/{number}" for number in range(jobs)]
    handles: Any = await each(urls, lambda url: submit(EngineJobSpec(engine_id=_ENGINE_ID, upload_url=url)))
    return {handle.job_id: handle for handle in handles.values()}


async def _to_the_end(credentials: Any, steps: _Steps, jobs: int) -> int:
    """Submit, wait, fetch and hand over, in a flow run. Returns the number of results."""
    async with credentials.get_client() as client:
        with steps.step("submit", jobs):
            handles = await _submit(partial(submit_job, credentials), jobs)
        with steps.step("wait", jobs):
            ended: Any = await wait_for_jobs(credentials, list(handles.values()))
        with steps.step("fetch", jobs):
            made: Any = await each(handles, lambda of: client.result(handles[of], ended[of], Path(), 60.0))
        with steps.step("hand over", jobs):
            finished = [outcome_of(handles[job_id], ended[job_id], result) for job_id, result in made.items()]
            await start_downstream([_NEXT], client.provider, client.session.url, finished)
    return sum(isinstance(result, dict) and bool(result) for result in made.values())


async def _cancel(credentials: Any, steps: _Steps, jobs: int) -> int:
    """Submit in a flow run that a person cancels, and clean up. Returns the number of jobs in the run's record."""

    @flow
    async def many_to_cancel() -> Any:
        async with credentials.get_client() as client:
            await _submit(partial(submit_from_here, credentials, client), jobs)
        return str(flow_run.id)

    run_id = await many_to_cancel()
    async with get_client() as prefect, one_client():
        await prefect.set_flow_run_state(run_id, Cancelled(), force=True)
        remembered = [one for one in await submissions_of(run_id) if one.record and one.record.handle]
    with steps.step("cancel", jobs):
        await clean_up_after(run_id)
    return len(remembered)


async def _main(jobs: int, peers: int, told: dict[str, Any]) -> None:
    steps, api, counts = _Steps(told), os.environ["PREFECT_API_URL"], dict[str, int]()
    block: Any = AiwareCredentials(base_url=told["url"], token=SecretStr(told["aiware_token"]))
    await block.asave("aiware")
    credentials: Any = await AiwareCredentials.aload("aiware")

    @flow(name="next")
    async def downstream(jobs: list[dict[str, Any]]) -> None:
        """Never runs, since there is no worker."""

    @flow
    async def many() -> int:
        return await _to_the_end(credentials, steps, jobs)

    deployment: Any = await downstream.ato_deployment("bench")
    await deployment.aapply()
    with steps.step("all of it, in one flow run", jobs):
        counts["results"] = await many()
    counts["task runs"] = ask(f"{api}/task_runs/count", {}) - jobs
    with steps.step("all of it, a flow run per job", peers):
        args: Any = {"engine_id": _ENGINE_ID, "downstream": [_NEXT]}
        await each(range(peers), lambda of: run_aiware_job(upload_url=f"{_MEDIA}/peer-{of}", **args), _RUNS_AT_ONCE)
    counts["hand-overs"] = ask(f"{api}/flow_runs/count", {"flows": {"name": {"any_": ["next"]}}})
    ask(f"{told['url']}/_emulator/faults", {"kind": "stuck", "times": None})
    counts["jobs that the cancelled run remembers"] = await _cancel(credentials, steps, jobs)
    ledger = steps.ledger()
    keys = [one["key"] for one in ledger["submissions"] if one["job_id"]]
    cancelled = {cancel["job_id"] for cancel in ledger["cancels"] if cancel["accepted"]}
    counts |= {"jobs": len(keys), "keys of jobs": len(set(keys)), "cancelled jobs": len(cancelled)}
    print(json.dumps({"steps": steps.all, "counts": counts}))


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2]), json.load(sys.stdin)))
