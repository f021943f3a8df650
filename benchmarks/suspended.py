"""`python -m benchmarks.suspended`: copies of one suspended run on PostgreSQL, and the watcher that resumes them."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg  # type: ignore[import-untyped]
from prefect.client.orchestration import get_client
from prefect.states import Suspended

from benchmarks.contest import COLUMNS, Result, ask, emulator
from benchmarks.report import Gate, Section, at_most, no_wrong_ends, number
from benchmarks.workloads import Workload
from blocks import DatasaurCredentials
from blocks.runs.root_run import TAG
from blocks.runs.suspended_wait import SuspendedWait, read_suspension
from flows.wait_for_jobs import wait_for_jobs
from graphql_jobs import Schedule, WaitPolicy
from graphql_jobs.many import each
from scripts.processes import Part, cpu_s, peak_mb
from scripts.scaled import ScaledStack

T, REQUESTS_TIMES_FLOOR, PEAK_MB, P50_SLACK_S, P99_SLACK_S = 5.0, 1.2, 250.0, 1.0, 3.0
#: Our choices: suspended runs for the plain loop; as many at a time as the watcher resumes; the longest time to find
#: all runs, and to resume each of them after the last job has ended.
_PLAIN, _AT_ONCE, _WITHIN_S, _PER_RUN_S = 300, 10, 600.0, 0.5
_FIGURES = ("found_s", "per_s", "plain_per_s", "watcher_s", "prefect_s", "postgres_s", "peak_mb")
_COLUMNS = ("all found, s", "resumed per s", "by a plain loop", "watcher CPU, s", "Prefect CPU, s", "PostgreSQL CPU, s")
_ALL_RESUMED = "SELECT count(DISTINCT job_id) = $1 FROM resumed"
_RATE = "SELECT count(*) / nullif(max(at) - min(at), 0) FROM resumed"


def suspended(*rows: tuple[int, float]) -> Section:
    """For each row: so many runs whose jobs end over so many seconds. In a process of its own, as `thousand`."""
    workloads = [Workload(f"over {over_s:g} s", runs, T, spread=(4.0, 4.0 + over_s / T)) for runs, over_s in rows]
    with ScaledStack() as stack:
        pids = {name: part.pid for name, part in stack.parts.items()}
        database = stack.parts["api-1"].environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
        told = json.dumps({"pids": pids, "database": database, "rows": list(map(asdict, workloads))})
        command = [sys.executable, "-m", "benchmarks.suspended"]
        done = subprocess.run(command, env=stack.environment, input=told, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    results = [Result("suspended", of, *one) for of, one in zip(workloads, found, strict=True)]
    table = [(of.workload.name, *of.cells()[1:], *(number(of.figures[name]) for name in _FIGURES)) for of in results]
    columns = ("jobs end", "runs", *COLUMNS[2:], *_COLUMNS, "watcher peak, MB")
    return Section(columns, table, "CPU: from the start of the jobs to the last resumption.", suspended_gates(results))


def suspended_gates(results: Sequence[Result]) -> list[Gate]:
    """No run is missed or resumed twice; the first row bounds the latency, the last one the watcher's memory."""
    first, last = results[0], results[-1]
    name, of_last = f"{first.workload.jobs:,} runs {first.workload.name}", f"{last.workload.jobs:,} runs"
    requests = last.verdict["requests"] / max(1, last.floor)
    return [
        *(no_wrong_ends(f"{one.workload.jobs:,} runs {one.workload.name}: wrong ends", one) for one in results),
        at_most(f"{name}: p50", first.late_s(0.5), first.workload.interval_s / 2 + P50_SLACK_S, " s"),
        at_most(f"{name}: p99", first.late_s(0.99), first.workload.interval_s + P99_SLACK_S, " s"),
        at_most(f"{of_last}: requests, times the floor", requests, REQUESTS_TIMES_FLOOR),
        at_most(f"{of_last}: the watcher's peak memory", last.figures.get("peak_mb"), PEAK_MB, " MB"),
    ]


class _Row:
    """One workload: its emulator, its copies of a suspended run, and its watcher."""

    def __init__(self, database: Any, of: Workload, pids: Mapping[str, int]) -> None:
        self._db, self._of, self._pids = database, of, pids

    async def play(self, told: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, float]]:
        """The emulator's verdict, and the figures."""
        url, durations_s = f"{told['url']}/_emulator", self._of.durations_s()
        template = await _template(told, self._of.interval_s)
        await self._copy(template, ask(f"{url}/workload", {"durations_s": durations_s})["job_ids"], [TAG])
        with ExitStack() as undo:
            command, began_at = [sys.executable, "-m", "flows.watch_suspended_runs"], time.monotonic()
            undo.callback((watcher := Part("watcher", command, Path(os.devnull), Path(), dict(os.environ))).end)
            await _until(lambda: asyncio.to_thread(lambda: not ask(f"{url}/workload")["unpolled"]), _WITHIN_S)
            figures, before = {"found_s": time.monotonic() - began_at}, self._spent(watcher.pid)
            ask(f"{url}/workload/start", {})
            within_s = self._of.spread[1] * self._of.interval_s + _PER_RUN_S * self._of.jobs
            await _until(lambda: self._db.fetchval(_ALL_RESUMED, self._of.jobs), within_s)
            figures |= {name: now - before[name] for name, now in self._spent(watcher.pid).items()}
            figures["peak_mb"] = peak_mb(watcher.pid)
        resumed = [tuple(one) for one in await self._db.fetch("SELECT * FROM resumed")]
        ask(f"{url}/workload/ends", {"ends": [[job_id, "succeeded", at] for job_id, at in resumed]})
        figures |= {"per_s": float(await self._db.fetchval(_RATE) or 0), "plain_per_s": await self._plain(template)}
        return ask(f"{url}/workload/verdict"), figures

    async def _plain(self, template: UUID) -> float:
        """How many other runs a plain loop resumes in a second. No watcher takes them, since they have no tag."""
        await self._copy(template, [f"plain-{of}" for of in range(_PLAIN)], [])
        async with get_client() as client:
            ids = [one["id"] for one in await self._db.fetch("SELECT id FROM made")]
            await each(ids, client.resume_flow_run, _AT_ONCE)
        return float(await self._db.fetchval(_RATE) or 0)

    async def _copy(self, template: UUID, job_ids: Sequence[str], tags: Sequence[str]) -> None:
        asked = json.dumps({"template": str(template), "job_ids": job_ids, "tags": tags})
        await self._db.fetch("SELECT set_config('bench.asked', $1, false)", asked)
        await self._db.execute(Path(__file__).with_suffix(".sql").read_text())

    def _spent(self, watcher: int) -> dict[str, float]:
        prefect_s = sum(cpu_s(pid) for name, pid in self._pids.items() if name.startswith(("api", "services")))
        return {"watcher_s": cpu_s(watcher), "prefect_s": prefect_s, "postgres_s": cpu_s(self._pids["postgres"])}


async def _template(told: Mapping[str, str], interval_s: float) -> UUID:
    """A run that is created suspended, with the entry that a watcher needs."""
    names: Any = {name: told[f"datasaur_{name}"] for name in ("client_id", "client_secret")}
    await (block := DatasaurCredentials(base_url=told["url"], **names)).asave("bench", overwrite=True)
    deployment: Any = await wait_for_jobs.ato_deployment("bench")
    async with get_client() as client, block.get_client() as jobs:
        asked = {"provider": "datasaur", "job_ids": ["THE-JOB"], "suspend": True}
        state: Any = Suspended(timeout_seconds=24 * 3600, pause_key="gqw-wait-0")
        run = await client.create_flow_run_from_deployment(await deployment.aapply(), state=state, parameters=asked)
        job = jobs.handle("THE-JOB").model_copy(update={"submitted_at": datetime.now(UTC)})
        policy = WaitPolicy(Schedule(max_delay_s=interval_s))
        wait = SuspendedWait(provider="datasaur", credentials="bench", jobs=[job], policy=policy)
        await (await read_suspension(run.id)).suspend(wait)
    return run.id


async def _until(is_done: Callable[[], Awaitable[bool]], within_s: float) -> None:
    until = time.monotonic() + within_s
    while time.monotonic() < until and not await is_done():  # noqa: ASYNC110 (another process does it)
        await asyncio.sleep(0.5)


async def _main(told: Mapping[str, Any]) -> None:
    database, found = await asyncpg.connect(told["database"].replace("+asyncpg", "")), []
    for of in told["rows"]:
        with emulator("--takes-shortcuts") as its:
            found.append(await _Row(database, Workload(**of), told["pids"]).play(its))
        print(found[-1][1], file=sys.stderr, flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(_main(json.load(sys.stdin)))
