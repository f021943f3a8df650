"""One contestant, one workload, one emulator: from the planting to the verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contestant import Setup
from benchmarks.cores import give_core
from benchmarks.emulation import Emulation
from benchmarks.meter import read_record
from benchmarks.workloads import SEED, Scale, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROOT = Path(__file__).parent.parent
#: Our choices: how long a contestant may take until it has asked for every job, and how long after the last end until
#: it must know of it. The jobs begin without those that take longer, and who does not finish is judged as he stands.
_REGISTERED_WITHIN_S = 60.0
_PATIENCE_S = 30.0
_LOOK_S = 0.2
#: Our choice: of what a contestant said last.
_SHOWN_CHARACTERS = 50


@dataclass
class Result:
    """What one contestant did on one workload."""

    contestant: str
    workload: str
    jobs: int
    durations_s: list[float | None]
    #: Of the judge: counts, requests, latencies.
    verdict: dict[str, Any]
    #: Of the contestant's own process: CPU, memory, lag. Empty if it did not come to its end.
    figures: dict[str, float]
    started_at: float
    #: Why it did not come to its end; empty if it did.
    failure: str = ""
    #: When each process after the first had done its imports and began to wait.
    restarts_at: list[float] = field(default_factory=list)

    @property
    def latencies_s(self) -> list[float]:
        """How late each end was known."""
        return [late_s for _, late_s in self.verdict["latencies_s"]]


def compete(
    contestant: str,
    workload: Workload,
    scale: Scale,
    *,
    provider: str = "datasaur",
    document: str = "",
    requests_per_s: float | None = None,
    environment: Mapping[str, str] | None = None,
    seed: int = SEED,
) -> Result:
    """Let one contestant wait for the workload's jobs, and judge it."""
    options = ["--seed", str(seed), "--token-lifetime-s", str(scale.of(workload.token_lifetime_s))]
    if workload.requests_per_window:
        options += ["--requests-per-window", str(workload.requests_per_window)]
    with Emulation(*options) as emulation, tempfile.TemporaryDirectory(prefix="graphql-jobs-bench-") as folder:
        match = _Match(contestant, workload, scale, emulation, Path(folder), environment or os.environ, seed)
        match.plant(provider, document, requests_per_s)
        return match.play()


class _Match:
    """The steps of one contest."""

    def __init__(
        self,
        contestant: str,
        workload: Workload,
        scale: Scale,
        emulation: Emulation,
        folder: Path,
        environment: Mapping[str, str],
        seed: int,
    ) -> None:
        self._contestant = contestant
        self._workload = workload
        self._scale = scale
        self._emulation = emulation
        self._folder = folder
        self._record = folder / "record"
        self._environment = dict(environment)
        self._seed = seed
        self._failure = ""

    def plant(self, provider: str, document: str, requests_per_s: float | None) -> None:
        """Put the jobs into the emulator, and write down what the contestant is told."""
        workload, scale = self._workload, self._scale
        for fault in workload.standing:
            self._emulation.add_fault(fault)
        if workload.job_fault:
            self._emulation.add_fault(self._scaled({"operation": "plant", "times": None, **workload.job_fault}, 0.0))
        self._durations_s = workload.durations_s(scale, self._seed)
        job_ids = self._emulation.plant(provider, self._durations_s)
        self._setup = Setup(
            emulator=self._emulation.introduction,
            job_ids=job_ids,
            interval_s=scale.interval_s,
            batch=workload.batch,
            waits_at_most_s=scale.of(workload.waits_at_most_s),
            requests_per_s=requests_per_s,
            cancelled_ids=workload.cancelled(job_ids, self._seed),
            record=str(self._record),
            document=document,
        )

    def play(self) -> Result:
        """Start the contestant, let the jobs begin once it watches all of them, and wait for its end."""
        self._process = self._spawn(self._setup)
        try:
            self._wait_for_registration()
            self._say_start()
            started_at = self._emulation.start()
            for fault in self._workload.faults:
                self._emulation.add_fault(self._scaled(fault, started_at))
            self._kill_and_restart(started_at)
            self._wait_for_end(started_at)
        finally:
            self._end()
        record = read_record(self._record)
        verdict = self._emulation.verdict(record.ends)
        return Result(
            self._contestant,
            self._workload.name,
            self._workload.jobs,
            self._durations_s,
            verdict,
            {} if self._failure else record.figures,
            started_at,
            self._failure,
            record.began_at[1:],
        )

    def _spawn(self, setup: Setup) -> subprocess.Popen[str]:
        with (self._folder / "log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.contestant", self._contestant],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=_ROOT,
                env=self._environment,
                text=True,
                start_new_session=True,  # Ctrl-C reaches us alone
            )
        give_core(process.pid, 1)
        assert process.stdin is not None  # noqa: S101 (a pipe was asked for)
        process.stdin.write(json.dumps(asdict(setup)) + "\n")
        process.stdin.flush()
        return process

    def _say_start(self) -> None:
        assert self._process.stdin is not None  # noqa: S101 (as above)
        with suppress(BrokenPipeError):  # it has ended, which is seen later
            self._process.stdin.write("start\n")
            self._process.stdin.flush()

    def _wait_for_registration(self) -> None:
        give_up_at = time.monotonic() + _REGISTERED_WITHIN_S
        while self._process.poll() is None and time.monotonic() < give_up_at and self._emulation.unasked():
            time.sleep(_LOOK_S)

    def _kill_and_restart(self, started_at: float) -> None:
        """As the workload says. A new process is given the jobs of which no end is written down."""
        for kill_at_s in self._workload.kills_at_s:
            time.sleep(max(0.0, started_at + self._scale.of(kill_at_s) - time.time()))
            self._end()
            time.sleep(self._scale.of(self._workload.restart_after_s))
            ended = {end[0] for end in read_record(self._record).ends}
            remaining = [job_id for job_id in self._setup.job_ids if job_id not in ended]
            self._process = self._spawn(Setup(**{**asdict(self._setup), "job_ids": remaining}))
            self._say_start()

    def _wait_for_end(self, started_at: float) -> None:
        last_s = max((duration_s for duration_s in self._durations_s if duration_s is not None), default=0.0)
        if None in self._durations_s:
            last_s = max(last_s, self._setup.waits_at_most_s)
        outages_s = max((self._scale.of(outage.until_s) for outage in self._workload.outages), default=0.0)
        give_up_at = started_at + max(last_s, outages_s) + 4 * self._scale.interval_s + _PATIENCE_S
        try:
            status = self._process.wait(max(1.0, give_up_at - time.time()))
        except subprocess.TimeoutExpired:
            self._failure = "did not finish"
            return
        if status:
            lines = (self._folder / "log").read_text(errors="replace").strip().splitlines() or [""]
            kind, _, words = lines[-1].partition(": ")
            self._failure = f"ended with {status}: {kind.rpartition('.')[2]}: {words[:_SHOWN_CHARACTERS]}"

    def _end(self) -> None:
        """End the contestant's process for sure, as a crash would."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin:
            with suppress(BrokenPipeError):
                self._process.stdin.close()

    def _scaled(self, fault: dict[str, Any], started_at: float) -> dict[str, Any]:
        """The fault at this scale, with its window on the emulator's clock."""
        scaled = dict(fault)
        for name, instant in (("from_s", "from_at"), ("until_s", "until_at")):
            if name in scaled:
                scaled[instant] = started_at + self._scale.of(scaled.pop(name))
        if "delay_s" in scaled:
            scaled["delay_s"] = self._scale.of(scaled["delay_s"])
        if "retry_after" in scaled:
            scaled["retry_after"] = max(1, round(self._scale.of(scaled["retry_after"])))
        return scaled
