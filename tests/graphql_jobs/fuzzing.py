"""Mutated answers: read, used in all ways, and searched for the secret. For the fuzz tests."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
from typing import TYPE_CHECKING
from urllib.parse import unquote

from graphql_jobs import errors
from graphql_jobs.handle import JobHandle
from graphql_jobs.job import Job
from graphql_jobs.label import Label
from graphql_jobs.waiting.checkpoints import Checkpoint
from graphql_jobs.waiting.policy import WaitPolicy
from graphql_jobs.waiting.wait import require_success
from graphql_jobs.waiting.watch import Watch
from tasks.outcome import outcome
from tests.graphql_jobs.mutations import TOKEN

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.graphql_jobs.canned import CannedSession

FIRST = int(os.environ.get("FUZZ_FIRST", "14000000"))
ANSWERS = int(os.environ.get("FUZZ_ANSWERS", "100000"))
#: Only a hang takes this long.
HANG_S = 60
NOW = 1_800_000_000.0
LABEL = Label("gqj-0123456789abcdef0123456789abcdef", "a run")


class Hang(BaseException):
    """Not an Exception, so that no code treats it as an error of a server."""


def use(seen: object) -> str:
    """Use the result in all ways; returns all texts that are shown of it."""
    if isinstance(seen, dict):
        return " ".join(use(one) for one in seen.values())
    if isinstance(seen, list):
        return " ".join(use(one) for one in seen if not isinstance(one, dict))
    if isinstance(seen, JobHandle):
        return f"{json.dumps(seen.to_json())} {seen!r}"
    if isinstance(seen, Job | errors.JobNotFound | errors.RequestFailed):
        watch = Watch(JobHandle(provider="p", endpoint="e", job_id="a"), WaitPolicy(), Checkpoint(NOW))
        shown = f"{watch.judge(seen, NOW + 1)} {watch.judge(seen, NOW + 1e6)}"
        if isinstance(seen, Job):
            try:
                require_success(seen)
            except errors.JobEnded as ended:
                shown += f"{pickle.loads(pickle.dumps(ended))}"
            shown += json.dumps(outcome("p", "a", seen, {"result_id": seen.result_id}), allow_nan=False)
            return f"{shown} {seen.describe()} {seen.created_at} {[task.started_at for task in seen.tasks]} {seen!r}"
        return shown
    return str(seen)


async def used(session: CannedSession, call: Awaitable[object]) -> None:
    """Use what the call returns or raises. Raises any error of another package."""
    try:
        shown = use(await call)
    except (errors.GraphqlJobsError, LookupError) as error:
        if not isinstance(error, errors.GraphqlJobsError) and type(error).__module__ == "builtins":
            raise
        shown = f"{error!r} {error} {use(error)}"
    if heard := session.last_heard:
        assert isinstance(heard[0].skew_s(heard[1]), float | None)
    assert TOKEN not in unquote(shown), shown[:1000]


async def fuzz(kind: str, one_answer: Callable[[int], Awaitable[None]], number: int) -> None:
    """A number of mutated answers, each by its seed."""
    for seed in range(FIRST, FIRST + number):
        signal.setitimer(signal.ITIMER_REAL, HANG_S)
        try:
            async with asyncio.timeout(HANG_S / 2):
                await one_answer(seed)
        except (Exception, Hang) as error:
            raise AssertionError(
                f"{type(error).__name__} for {kind}, seed {seed}: FUZZ_FIRST={seed} FUZZ_ANSWERS=1"
            ) from error
    signal.setitimer(signal.ITIMER_REAL, 0)
