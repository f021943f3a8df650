"""One contestant (a benchmarked program), one workload, one emulator: from the creation of the jobs to the verdict."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

from benchmarks.report import no_wrong_ends, number
from benchmarks.workloads import Workload
from graphql_jobs.providers.datasaur.documents import GET_JOBS

COLUMNS = ("contestant", "jobs", "requests", "their floor", "p50, s", "p99, s", "wrong ends")
#: Our choices: the time for a contestant to poll every job once, and to learn of the last end after it.
_REGISTERED_WITHIN_S, _LATE_BY_AT_MOST_S = 60.0, 30.0


@dataclass
class Result:
    """The result of one contestant with one workload. If it failed, `figures` are empty and `failure` says why."""

    contestant: str
    workload: Workload
    verdict: dict[str, Any]
    figures: dict[str, float]
    started_at: float = 0.0
    failure: str = ""
    restarts_at: list[float] = field(default_factory=list)  # when each process after the first began to wait

    @property
    def us_per_status(self) -> float | None:
        """CPU time of the contestant for each status that it read."""
        return self.figures["cpu_s"] * 1e6 / max(1, self.verdict["statuses"]) if self.figures else None

    @property
    def floor(self) -> int:
        """The fewest requests: ceil(live / batch) summed over ticks of T, until each job's end or else its deadline."""
        of, t = self.workload, self.workload.interval_s
        batch = 1 if self.contestant in ("coroutine_each", "prefect_task_each") else min(of.batch, of.server_batch)
        last_ticks = [ceil((of.deadline_s if one is None else one) / t) for one in of.durations_s()]
        live = (sum(last >= tick for last in last_ticks) for tick in range(1, max(last_ticks) + 1))
        return sum(ceil(count / batch) for count in live)

    def late_s(self, share: float, without: Sequence[str] = ()) -> float | None:
        """The smallest latency that is not below `share` of all, without those of some jobs; None: no ends."""
        left_out = set(without)
        late_s = sorted(late_s for job_id, _, late_s in self.verdict["latencies_s"] if job_id not in left_out)
        return late_s[max(0, ceil(share * len(late_s)) - 1)] if late_s else None

    def recovery_s(self) -> float | None:
        """The longest time from an outage's or restart's end until the last earlier end was known; None: no ends."""
        backs = [self.started_at + until_s for _, until_s in self.workload.outages] + self.restarts_at
        ends = [(at, late_s) for _, at, late_s in self.verdict["latencies_s"]]
        return max((max(0.0, at + late_s - back) for back in backs for at, late_s in ends if at < back), default=None)

    def cells(self) -> tuple[str, ...]:
        """The row of a table with `COLUMNS`."""
        counts = (self.workload.jobs, self.verdict["requests"], self.floor)
        late = (number(self.late_s(0.5)), number(self.late_s(0.99)), no_wrong_ends("", self).figure)
        return (self.contestant.replace("_", " "), *(f"{count:,}" for count in counts), *late)


@contextmanager
def emulator(*options: str) -> Iterator[dict[str, str]]:
    """The emulator's `url` and credentials; its process ends with the block."""
    command = [sys.executable, "-m", "graphql_jobs.emulator", *options]
    # Ctrl-C is handled by this process.
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        pin(process.pid, 0)
        try:
            yield json.loads(process.stdout.readline() if process.stdout else "")
        finally:
            process.kill()


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    """The JSON answer to a GET, or to a POST of `body`."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def pin(process_id: int, number: int) -> None:
    """Keep a process on one of our cores, if the system can: a process that moves loses its caches."""
    if sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(process_id, {cores[number % len(cores)]})


def compete(contestant: str, workload: Workload) -> Result:
    """Let one contestant wait for the workload's jobs, and judge it."""
    options = ["--takes-shortcuts", "--token-lifetime-s", str(workload.token_lifetime_s)]
    options += ["--requests-per-window", str(workload.requests_per_window)] if workload.requests_per_window else []
    with (
        emulator(*options) as told,
        tempfile.TemporaryDirectory(prefix="graphql-jobs-bench-") as folder,
        closing(_Contest(contestant, workload, told, Path(folder))) as contest,
    ):
        return contest.play()


class _Contest:
    """The steps of one contest."""

    def __init__(self, name: str, of: Workload, told: dict[str, str], folder: Path) -> None:
        self._name, self._of, self._url = name, of, f"{told['url']}/_emulator"
        self._log, self._record, self._input = folder / "log", folder / "record", folder / "input"
        if of.job_fault:
            ask(f"{self._url}/faults", {"operation": "plant", "times": None, **of.job_fault})
        self._job_ids = job_ids = ask(f"{self._url}/workload", {"durations_s": of.durations_s()})["job_ids"]
        cancelled_ids = job_ids[: int(of.jobs * of.cancelled_share)]
        self._setup = {**asdict(of), "emulator": told, "cancelled_ids": cancelled_ids, "document": GET_JOBS.text}
        self._spawn(job_ids)

    def play(self) -> Result:
        """Start the jobs when all of them were polled, and wait for the contestant's end."""
        until = time.monotonic() + _REGISTERED_WITHIN_S
        while time.monotonic() < until and self._process.poll() is None and ask(f"{self._url}/workload")["unpolled"]:
            time.sleep(0.2)
        started_at = ask(f"{self._url}/workload/start", {})["started_at"]
        for fault in self._of.faults:
            window = {f"{name[:-2]}_at": started_at + fault[name] for name in fault.keys() & {"from_s", "until_s"}}
            ask(f"{self._url}/faults", {name: fault[name] for name in fault.keys() - {"from_s", "until_s"}} | window)
        for kill_at_s in self._of.kills_at_s:
            time.sleep(max(0.0, started_at + kill_at_s - time.time()))
            self._restart()
        failure = self._failure(started_at)
        self.close()
        ends, began_at, figures = read_record(self._record)
        ask(f"{self._url}/workload/ends", {"ends": ends})
        verdict = ask(f"{self._url}/workload/verdict")
        return Result(self._name, self._of, verdict, {} if failure else figures, started_at, failure, began_at[1:])

    def close(self) -> None:
        """End the contestant's process like a crash."""
        self._process.kill()
        self._process.wait()

    def _spawn(self, job_ids: list[str]) -> None:
        self._input.write_text(json.dumps(self._setup | {"job_ids": job_ids, "record": str(self._record)}))
        command = [sys.executable, "-m", "benchmarks.contestants", self._name]
        with self._log.open("a") as log, self._input.open() as told:
            self._process = subprocess.Popen(command, stdin=told, stdout=log, stderr=log, start_new_session=True)
        pin(self._process.pid, 1)

    def _restart(self) -> None:  # a new process gets the jobs without a recorded end
        self.close()
        time.sleep(self._of.interval_s)
        ended = {end[0] for end in read_record(self._record)[0]}
        self._spawn([job_id for job_id in self._job_ids if job_id not in ended])

    def _failure(self, started_at: float) -> str:
        lasts_s = [self._of.deadline_s if one is None else one for one in self._of.durations_s()]
        last_s = max([*lasts_s, *(until_s for _, until_s in self._of.outages)]) + 4 * self._of.interval_s
        try:
            status = self._process.wait(max(1.0, started_at + last_s + _LATE_BY_AT_MOST_S - time.time()))
        except subprocess.TimeoutExpired:
            return "did not finish"
        lines = self._log.read_text(errors="replace").strip().splitlines() or [""]
        return f"ended with {status}: {lines[-1][:80]}" if status else ""


def read_record(path: Path) -> tuple[list[list[Any]], list[float], dict[str, float]]:
    """The ends, when each process began, and the figures of the one that finished."""
    entries = [json.loads(line) for line in (path.read_text().splitlines() if path.exists() else ())]
    ends, others = [one for one in entries if isinstance(one, list)], [one for one in entries if isinstance(one, dict)]
    began_at = [one["began_at"] for one in others if "began_at" in one]
    return ends, began_at, next((one for one in others if "cpu_s" in one), {})
