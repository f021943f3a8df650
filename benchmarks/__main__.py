"""`make bench`: all parts of the benchmark, as docs/benchmarks.md describes them; exits with 1 if a gate fails."""

import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from benchmarks.check import check
from benchmarks.report import Gate, Section
from benchmarks.suspended import suspended
from benchmarks.thousand import thousand
from benchmarks.waits import faults, growth, waits
from benchmarks.workloads import SEED, faulty

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
FULL: Mapping[str, Callable[[], Section]] = {
    "check": partial(check, rounds=15),
    "waits": partial(waits, 10_000, 3, {"ours_wait_each": 10_000, "coroutine_each": 1_000, "prefect_task_each": 500}),
    "growth": partial(growth, {1_000: 1, 10_000: 3, 50_000: 1}),
    "faults": partial(faults, faulty(1_000), peer_jobs=200),
    "thousand": partial(thousand, jobs=1_000, peers=50),
    "suspended": partial(suspended, (1_000, 120.0), (1_000, 1.0), (10_000, 600.0)),
}
_FEW = [row for row in faulty(1_000, t=1.0) if row.name.startswith(("5 %", "token", "killed", "30 s"))]
QUICK: Mapping[str, Callable[[], Section]] = {
    "check": partial(check, rounds=5),
    "waits": partial(waits, 10_000, 1, {}),
    "faults": partial(faults, _FEW, peer_jobs=0),
}


def main() -> int:
    """Run the parts, and show and write each when it is done. Returns the exit status."""
    is_quick = bool(os.environ.get("QUICK"))
    parts = QUICK if is_quick else FULL
    wanted = (os.environ.get("PARTS") or ",".join(parts)).split(",")
    if unknown := set(wanted) - set(parts):
        print(f"No such part: {', '.join(sorted(unknown))}. There are: {', '.join(parts)}.")
        return 2
    found: list[Gate] = []
    for name in wanted:
        load, began_s = os.getloadavg()[0], time.monotonic()
        try:
            section = parts[name]()
            conditions = _conditions(name, load, time.monotonic() - began_s)
            print(f"\n{name}\n\n{section.markdown(conditions)}", flush=True)
            found += section.gates
            if not is_quick:
                section.write(name, PAGE, conditions)
        except Exception as failure:  # the figures of the other parts are kept
            traceback.print_exc()
            found.append(Gate(f"{name} ran to its end", repr(failure), "no error", passed=False))
    failed = [gate for gate in found if not gate.passed]
    for gate in failed:
        print(f"FAILED  {gate.rule}: {gate.figure} (at most {gate.limit})")
    print(f"{len(found) - len(failed)} of {len(found)} gates passed.")
    return 1 if failed else 0


def _conditions(name: str, load: float, took_s: float) -> str:
    packages = ("aiohttp", "gql", "graphql-core", "orjson", "prefect", "tenacity")
    return (
        f"`PARTS={name} make bench`, {datetime.now(UTC):%Y-%m-%d}, {took_s / 60:.1f} minutes: seed {SEED}, Python "
        f"{platform.python_version()}, {os.cpu_count()} cores, load average {load:.1f} at its begin, loopback without "
        f"TLS, {', '.join(f'{package} {version(package)}' for package in packages)}."
    )


if __name__ == "__main__":
    sys.exit(main())
