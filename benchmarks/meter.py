"""What a contestant's process writes down: each end at the instant it knew, and what the waiting cost.

One record is a file of JSON lines: `{"began_at": ...}`, `["job id", outcome, instant]`, and at the end the figures.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from graphql_jobs.emulator.load.judge import Outcome

#: Our choice: often enough for a percentile, rarely enough to cost next to nothing. Ends are flushed at the same time.
_PROBE_S = 0.1
_PAGE_BYTES = 4096


class Meter:
    """Use as `async with Meter(path) as meter:`; call `begin` when only the waiting is left to do."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._ends: list[tuple[str, str, float | None]] = []
        self._lags_s: list[float] = []
        self._began_cpu_s = 0.0
        self._figures: dict[str, float] = {}
        #: Set when the jobs have begun.
        self.started = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._file: IO[str] = Path(self._path).open("a")  # noqa: ASYNC230, SIM115 (closed in __aexit__)
        self._probe = asyncio.create_task(self._watch())
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._on_start)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._figures["cpu_s"] = time.process_time() - self._began_cpu_s
        self._figures["peak_bytes"] = _peak_bytes()
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        self._probe.cancel()
        self._figures["lag_p99_s"] = sorted(self._lags_s)[int(len(self._lags_s) * 0.99)] if self._lags_s else 0.0
        self._flush()
        with self._file:
            self._file.write(json.dumps(self._figures) + "\n")

    def begin(self) -> None:
        """Only the waiting counts from here on: what is imported and prepared is the caller's."""
        gc.collect()
        self._figures["before_bytes"] = _resident_bytes()
        self._file.write(json.dumps({"began_at": time.time()}) + "\n")
        self._file.flush()
        self._began_cpu_s = time.process_time()

    def tell(self, job_id: str, outcome: Outcome, at: float | None = None) -> None:
        """An end that is known now, or since `at`."""
        self._ends.append((job_id, outcome, time.time() if at is None else at))

    def tell_without_instant(self, job_id: str, outcome: Outcome) -> None:
        """An end of which nobody can say when it was known: the judge takes the instant of its own answer."""
        self._ends.append((job_id, outcome, None))

    def _on_start(self) -> None:
        """The harness writes a line once all jobs are watched."""
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        sys.stdin.readline()
        cpu_s = time.process_time()
        gc.collect()
        self._figures["waiting_bytes"] = _resident_bytes()
        self._began_cpu_s += time.process_time() - cpu_s  # measuring is not waiting
        self.started.set()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_at = loop.time() + _PROBE_S
            await asyncio.sleep(_PROBE_S)
            self._lags_s.append(loop.time() - due_at)
            self._flush()

    def _flush(self) -> None:
        ends, self._ends = self._ends, []
        if ends:
            self._file.write("".join(json.dumps(end) + "\n" for end in ends))
            self._file.flush()


class Record(NamedTuple):
    """What stands in a record, of one process or of several after one another."""

    ends: list[list[Any]]
    #: When each process began to wait.
    began_at: list[float]
    #: Of the process that came to its end.
    figures: dict[str, float]


def read_record(path: Path) -> Record:
    """What was written so far. A line that was cut short by a kill is left out."""
    record = Record([], [], {})
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, list):
            record.ends.append(entry)
        elif "began_at" in entry:
            record.began_at.append(entry["began_at"])
        else:
            record.figures.update(entry)
    return record


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def _peak_bytes() -> int:
    """Of this program alone: `ru_maxrss` begins with what the parent had when it forked."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
