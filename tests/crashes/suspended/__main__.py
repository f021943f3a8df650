"""`make crash-test`: suspended runs; the watcher is killed ten times, Prefect restarts, and a provider is unavailable.

`SUSPENDED` is the number of runs (60), `SEED` decides their order; `STACK=scaled` uses PostgreSQL and Redis. Exits
with 1 if a promise was broken.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from scripts.processes import StackError
from scripts.scaled import ScaledStack
from scripts.stack import Stack
from tests.crashes.suspended.plan import deal, kills

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.crashes.suspended.course import Verdict

_RUNS = 60
_KILLS = 10
_RESTARTS = 2
_AWAY_S = 20.0
#: Seconds for each run: two processes of each run alternate on two cores.
_S_PER_RUN = 3.0
_LOG_CHARACTERS = 5_000


def main() -> int:
    """Run all trials. Returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's `&` leaves SIGINT ignored; `timeout` sends SIGTERM
        signal.signal(number, signal.default_int_handler)
    kind = ScaledStack if os.environ.get("STACK") == "scaled" else Stack
    began_at = time.monotonic()
    try:
        with kind() as stack:
            # The flows that this process executes need not log their steps.
            os.environ.update(stack.environment | {"PREFECT_LOGGING_LEVEL": "CRITICAL"})
            verdicts = _run(stack)
            if any(verdict.problems for verdict in verdicts):
                _say(f"The end of the watcher's log:\n{stack.log('watcher-disturbed')[-_LOG_CHARACTERS:]}")
    except StackError as error:
        _say(f"The trials could not run: {error}")
        return 1
    except KeyboardInterrupt:
        _say("Interrupted; everything was ended.")
        return 130
    return _report(verdicts, time.monotonic() - began_at)


def _run(stack: Stack) -> list[Verdict]:
    from tests.crashes.suspended.course import Plan, run_trials  # Prefect reads its settings at import

    count, seed = int(os.environ.get("SUSPENDED") or _RUNS), int(os.environ.get("SEED") or 1)
    within_s = count * _S_PER_RUN
    trials = deal(count, seed, within_s, on_worker=count)
    return asyncio.run(run_trials(stack, Plan(trials, kills(_KILLS, seed), within_s, _RESTARTS, _AWAY_S), _say))


def _report(verdicts: Sequence[Verdict], seconds: float) -> int:
    for state, number in Counter(verdict.ending.state for verdict in verdicts).most_common():
        _say(f"{number:4d} {state}")
    broken = [verdict for verdict in verdicts if verdict.problems]
    for verdict in broken:
        for problem in verdict.problems:
            _say(f"Broken: {verdict.trial.title}: {problem}")
    _say(f"{len(verdicts)} suspended runs in {seconds / 60:.1f} minutes; {len(broken)} broke a promise.")
    return 1 if broken else 0


def _say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
