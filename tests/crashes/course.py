"""The whole crash test: waves of trials, each continued by a new worker with an empty home, then the verdict."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.crashes.judge import Ending, broken_promises, jobs_of
from tests.crashes.proxy import Proxy
from tests.crashes.runs import POOL, Runs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from scripts.stack import Stack
    from tests.crashes.plan import Trial

#: Our choices: the trials per worker, and the concurrent trials, for two cores.
WAVE = 40
AT_A_TIME = 6


@dataclass(frozen=True)
class Verdict:
    """One trial with its result."""

    trial: Trial
    ending: Ending
    jobs: tuple[str, ...]
    problems: tuple[str, ...]


async def run_trials(
    stack: Stack, trials: Sequence[Trial], say: Callable[[str], object], *, wave: int = WAVE, at_a_time: int = AT_A_TIME
) -> list[Verdict]:
    """Run all on `stack`, whose environment is in `os.environ`, and judge them by the emulator's ledger."""
    folder = stack.folder / "plans"
    folder.mkdir(exist_ok=True)
    endings = {trial.number: Ending() for trial in trials}
    # Two queues, so that a run that is run again does not wait for those that are not killed yet.
    slots, again = asyncio.Semaphore(at_a_time // 2), asyncio.Semaphore(at_a_time // 2)
    async with Proxy(stack.emulator["url"], folder) as proxy, Runs(stack, proxy, folder) as runs:

        async def kill(trial: Trial) -> None:
            ending = endings[trial.number]
            async with slots, _told(ending):
                await runs.kill(trial, ending)
            if not trial.moves:  # immediately, while the killed process's submission may still be leased
                await run_again(trial)

        async def run_again(trial: Trial) -> None:
            ending = endings[trial.number]
            if ending.struck:
                async with again, _told(ending):
                    await runs.run_again(trial, ending)
            say(f"{trial.title}: {ending.state}, {ending.seconds:.0f} s")

        moving: list[Trial] = []
        for start in range(0, len(trials), wave):
            fresh = trials[start : start + wave]
            await _with_worker(stack, runs, [*map(run_again, moving), *map(kill, fresh)])
            moving = [trial for trial in fresh if trial.moves]
        if moving:
            await _with_worker(stack, runs, [*map(run_again, moving)])
    ledger = stack.ledger()
    return [_verdict(trial, endings[trial.number], ledger) for trial in trials]


async def _with_worker(stack: Stack, runs: Runs, work: Sequence[Awaitable[None]]) -> None:
    """Do the work with a new worker, as on a machine without data of the last one."""
    if not work:
        return
    runs.worker = await asyncio.to_thread(stack.start_worker, POOL, empty_home=True)
    try:
        await asyncio.gather(*work)
    finally:
        await asyncio.to_thread(runs.worker.end)


@asynccontextmanager
async def _told(ending: Ending) -> AsyncIterator[None]:
    """An error concerns one trial: the others continue, and that trial does not count as good."""
    try:
        yield
    except Exception as error:
        ending.struck, ending.state, ending.message = False, type(error).__name__, str(error)


def _verdict(trial: Trial, ending: Ending, ledger: dict[str, Any]) -> Verdict:
    jobs = jobs_of(trial, ledger)
    return Verdict(trial, ending, tuple(jobs), tuple(broken_promises(trial, ending, jobs)))


def hide_new_jobs(stack: Stack) -> None:
    """Half of all new jobs are visible only after a second, as in services that read from replicas."""
    fault = {"kind": "not_visible", "delay_s": 1.0, "times": None, "probability": 0.5}
    request = urllib.request.Request(
        f"{stack.emulator['url']}/_emulator/faults", json.dumps(fault).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=30).close()
