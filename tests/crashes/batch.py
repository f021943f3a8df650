"""`make crash-test`: a batch whose flow-run process is killed at random, and run again with the same key.

`BATCH` is the number of jobs (1,000), `SEED` decides when the process is killed (ten times). Exits with 1 if a promise
was broken. With an argument, this is the process of one flow run.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID

from scripts.processes import StackError
from scripts.stack import ROOT, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_JOBS = 1_000
_KILLS = 10
_ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
_POLL_S = 0.1
#: With a hundred, a Prefect server on SQLite ran out of database connections on two busy cores.
_PER_S = 10
#: Far above the duration of one run on two busy cores. A longer one hangs.
_HUNG_AFTER_S = 1200.0
#: As in `runs`: short, so that a run need not wait long for the lease of a killed one.
_SUBMISSION_S, _VISIBILITY_S = 10.0, 3.0
#: Whatever the number of jobs: a progress in percent and a report; the lines of each group, and of each tenth.
_MAX_WRITES, _MAX_LOG_LINES = 110, 60
#: The beginning of the line with which the process of a flow run tells what it did.
_TOLD = "batch: "


@dataclass
class Course:
    """What happened to one batch. A step is a submission, a stored result or the hand-over."""

    jobs: int
    #: The steps after which the process was killed.
    struck: list[int] = field(default_factory=list)
    #: How often each job was submitted, by its key.
    submissions: Counter[str] = field(default_factory=Counter)
    downstream_runs: int = 0
    # Of the last run, which was not killed:
    run_id: str = ""
    state: str = "none"
    writes: int = 0
    log_lines: int = 0
    task_runs: Sequence[str] = ()

    def broken_promises(self) -> list[str]:
        """Return the promises that were broken, in words; empty if none was."""
        twice = [key for key, number in self.submissions.items() if number > 1]
        checks = {
            f"the last run ended as {self.state}": self.state == "Completed",
            f"there are {len(self.submissions)} jobs": len(self.submissions) == self.jobs,
            f"submitted twice: {len(twice)}": not twice,
            f"downstream was started {self.downstream_runs} times": self.downstream_runs == 1,
            f"{self.writes} writes of artifacts": self.writes <= _MAX_WRITES,
            f"{self.log_lines} lines in the log": self.log_lines <= _MAX_LOG_LINES,
            f"task runs {self.task_runs}": len(self.task_runs) <= ceil(self.jobs / 100) + 2,
        }
        return [words for words, is_kept in checks.items() if not is_kept]


class Batch:
    """One batch on a stack, whose API is this process's."""

    def __init__(self, stack: Stack, jobs: int, seed: int) -> None:
        self.stack, self.jobs, self.seed = stack, jobs, seed
        self.name = f"batch-{seed}-{jobs}"
        self.results = stack.folder / self.name

    async def run(self, kills: int, say: Callable[[str], object]) -> Course:
        """Run the batch until it has ended: killed after random steps, and once more when it has handed over."""
        course = Course(self.jobs)
        self.results.mkdir()
        await self._prepare()
        points = sorted(Random(self.seed).sample(range(1, 2 * self.jobs), kills - 1))
        for point in [*points, 2 * self.jobs + 1]:
            with self._started() as process:
                steps = await asyncio.to_thread(self._until, point, process)
                process.kill()
                output, _ = process.communicate()
            if process.returncode == -signal.SIGKILL:
                course.struck.append(steps)
            else:
                say(output[-3000:])
            say(f"{time.strftime('%H:%M:%S')} killed after {steps} of {2 * self.jobs + 1} steps, planned: {point}")
        with self._started() as process:
            output, _ = await asyncio.to_thread(process.communicate, None, _HUNG_AFTER_S)
        for line in output.splitlines():
            if line.startswith(_TOLD):
                vars(course).update(json.loads(line.removeprefix(_TOLD)))
        if course.state != "Completed":
            say(output[-3000:])
        await self._judge(course)
        return course

    async def _prepare(self) -> None:
        from prefect.client.orchestration import get_client  # Prefect reads its settings when it is imported
        from prefect.utilities.callables import parameter_schema
        from pydantic import SecretStr

        from blocks import AiwareCredentials
        from flows.store_results import store_results

        where = self.stack.emulator
        block = AiwareCredentials(
            base_url=where["url"],
            token=SecretStr(where["aiware_token"]),
            visibility_s=_VISIBILITY_S,
            submission_s=_SUBMISSION_S,
        )
        await block.asave(self.name, overwrite=True)
        async with get_client() as client:
            self.downstream_id = await client.create_deployment(
                flow_id=await client.create_flow_from_name(store_results.name),
                name=self.name,
                parameter_openapi_schema=parameter_schema(store_results).model_dump_for_openapi(),
                enforce_parameter_schema=True,
            )

    @contextmanager
    def _started(self) -> Iterator[subprocess.Popen[str]]:
        """A process of a flow run, which is ended in any case."""
        parameters = {
            "engine_id": _ENGINE_ID,
            "recordings": [f"https://media.example.com/{number}.mp4?token=1" for number in range(self.jobs)],
            "template_fields": {"batch": self.name},
            "credentials": self.name,
            "key": self.name,
            "submissions_per_s": _PER_S,
            "max_poll_interval_s": 1,
            "results": str(self.results),
            "downstream": [f"store-results/{self.name}"],
        }
        command = [sys.executable, "-m", "tests.crashes.batch", json.dumps(parameters)]
        # As in prefect.yaml.
        environment = self.stack.environment | {"PREFECT_LOGGING_EXTRA_LOGGERS": "graphql_jobs,tasks"}
        pipe: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, **pipe)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def _until(self, point: int, process: subprocess.Popen[str]) -> int:
        """Return the number of steps once there are as many as planned, or once the process has ended."""
        give_up_at = time.monotonic() + _HUNG_AFTER_S
        while (steps := self._steps()) < point and process.poll() is None and time.monotonic() < give_up_at:
            time.sleep(_POLL_S)
        return steps

    def _steps(self) -> int:
        submitted = self._submissions().total()
        stored = sum(1 for file in self.results.iterdir() if file.suffix == ".json")
        return submitted + stored + (min(self._downstream_runs(), 1) if stored == self.jobs else 0)

    def _submissions(self) -> Counter[str]:
        made = [one for one in self.stack.ledger()["submissions"] if one["operation"] == "launchSingleEngineJob"]
        return Counter(one["key"] for one in made if self.name in json.dumps(one["spec"]))

    def _downstream_runs(self) -> int:
        from tests.browser import post

        url = f"{self.stack.environment['PREFECT_API_URL']}/flow_runs/count"
        return int(post(url, {"deployments": {"id": {"any_": [str(self.downstream_id)]}}}))

    async def _judge(self, course: Course) -> None:
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

        from tests.tasks.task_runs import task_run_names

        course.submissions, course.downstream_runs = self._submissions(), self._downstream_runs()
        if course.run_id:
            course.task_runs = await task_run_names(course.run_id, ceil(self.jobs / 100) + 2)
            only = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[UUID(course.run_id)]))
            async with get_client() as client:
                course.log_lines = len(await client.read_logs(only, limit=200))


async def _run(parameters: dict[str, Any]) -> None:
    """Run the flow in this process, and tell how it ended."""
    from blocks.reporting import artifacts
    from flows.run_aiware_jobs import run_aiware_jobs

    writes, write = 0, artifacts._write

    async def counted(*args: Any) -> None:
        nonlocal writes
        writes += 1
        await write(*args)

    artifacts._write = counted  # type: ignore[assignment] # it is called with positional arguments
    state: Any = await run_aiware_jobs(**parameters, return_state=True)
    told = {"run_id": str(state.state_details.flow_run_id), "state": state.name, "writes": writes}
    print(f"{_TOLD}{json.dumps(told)}", flush=True)


def main() -> int:
    """Run the batch. Returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's `&` leaves SIGINT ignored; `timeout` sends SIGTERM
        signal.signal(number, signal.default_int_handler)
    jobs, seed = int(os.environ.get("BATCH") or _JOBS), int(os.environ.get("SEED") or 1)
    began_at = time.monotonic()
    try:
        with Stack(emulator_options=("--queued-s", "0.5", "--running-s", "1.5", "--seed", str(seed))) as stack:
            os.environ.update(stack.environment)
            from tests.crashes.course import hide_new_jobs  # Prefect reads its settings when it is imported

            hide_new_jobs(stack)
            course = asyncio.run(Batch(stack, jobs, seed).run(_KILLS, print))
    except StackError as error:
        print(f"The batch could not run: {error}")
        return 1
    except KeyboardInterrupt:
        print("Interrupted; everything was ended.")
        return 130
    problems = course.broken_promises()
    for problem in problems:
        print(f"Broken: {problem}")
    print(
        f"{jobs} jobs, killed {len(course.struck)} times and run {_KILLS + 1} times, in "
        f"{(time.monotonic() - began_at) / 60:.1f} minutes: {course.submissions.total()} submissions, "
        f"{course.downstream_runs} downstream run. The last run: {len(course.task_runs)} task runs, "
        f"{course.log_lines} log lines, {course.writes} writes of artifacts."
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_run(json.loads(sys.argv[1]))) if len(sys.argv) > 1 else main())
