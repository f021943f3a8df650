"""A suspended run survives the death of its process, of its watcher and of its second process, at every request.

As in `test_every_stop`: each process is stopped dead before and after each of its requests to Prefect and to the
provider, once and twice over, and followed by one that knows nothing.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client

from graphql_jobs.emulator import Emulator, JobFault, ManualClock, Pace
from graphql_jobs.waiting import poll_queue
from tests.deployed_runs import delete_suspended_runs
from tests.exhaustive.fuse import fused_prefect, stops_around_writes
from tests.exhaustive.suspended import Case, SuspendedLife

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from blocks.runs.suspended_wait import OnFailure
    from tests.conftest import Deploy, RunsOf

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

logger = logging.getLogger(__name__)

ON_FAILURE = pytest.mark.parametrize("on_failure", ["resume", "fail"])

#: The pairs of stops are dealt to so many tests, which run at the same time.
PARTS = 3


@ON_FAILURE
async def test_every_single_stop(on_failure: OnFailure, deploy: Deploy, runs_of: RunsOf) -> None:
    """Each process is stopped at each point in turn: the run ends as it must, with one job and one run downstream."""
    async with _laboratory(on_failure, deploy) as life:
        undisturbed = await life.run({})
        cases = [undisturbed]
        for process, points in enumerate(undisturbed.points):
            cases += [await life.run({process: stop}) for stop in range(1, len(points) + 1)]
        await _judge(life, cases, on_failure, runs_of)


@pytest.mark.parametrize("part", range(PARTS))
async def test_every_pair_of_stops(part: int, deploy: Deploy, runs_of: RunsOf) -> None:
    """Each process is stopped around each of its writes, and the next one around each of its own: the same holds."""
    async with _laboratory("resume", deploy) as life:
        cases: list[Case] = []
        for process, points in enumerate((await life.run({})).points):
            for first in stops_around_writes(points)[part::PARTS]:
                then = await life.run({process: first})
                if len(then.points) > process + 1:
                    seconds = stops_around_writes(then.points[process + 1])
                    cases += [await life.run({process: first, process + 1: second}) for second in seconds]
        await _judge(life, cases, "resume", runs_of)


@asynccontextmanager
async def _laboratory(on_failure: OnFailure, deploy: Deploy) -> AsyncIterator[SuspendedLife]:
    """An emulator of its own, and a deployment for the runs and for what they start."""
    deployment = await deploy(f"suspended-{os.urandom(4).hex()}")
    async with Emulator(clock=ManualClock(), seed=7, pace=Pace(1, 2)) as emulator, fused_prefect() as prefect:
        if on_failure == "fail":
            emulator.faults.add(JobFault("job_fails", times=None))
        async with get_client() as client:
            await delete_suspended_runs(client)
            flow_id = await client.create_flow_from_name(f"life-{os.urandom(4).hex()}")
            own_id = await client.create_deployment(flow_id=flow_id, name="default")
        life = SuspendedLife(emulator, prefect, (own_id, deployment), on_failure)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(poll_queue, "_FIRST_INTERVAL_PARTS", 1)  # whatever its job is called
            life.patch(patch)
            yield life


async def _judge(life: SuspendedLife, cases: list[Case], on_failure: OnFailure, runs_of: RunsOf) -> None:
    """Each run has ended, was resumed once for each suspension, and has one job, and one run downstream of it."""
    followers = Counter(run.parameters["jobs"][0]["job_id"] for run in await runs_of(life.deployment))
    wrong = []
    for case in cases:
        states, resumed = Counter(case.states), on_failure == "resume"
        right = case.states[-1] == ("Completed" if resumed else "JobFailed") and len(case.jobs) == 1
        right &= states["Resuming"] == (states["Suspended"] if resumed else 0)
        right &= followers[case.jobs[0]] == (1 if resumed else 0) if case.jobs else False
        if not right:
            wrong.append(str(case))
    assert not wrong, f"{len(wrong)} of {len(cases)} cases are wrong:\n" + "\n".join(wrong[:20])
    logger.info("%d cases", len(cases))
