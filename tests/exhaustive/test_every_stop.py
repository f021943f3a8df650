"""The proof that nothing is lost or run twice, wherever a process dies: every stop of every operation is tried.

The protocol (submit, wait, collect, hand over) runs against the emulator and a real Prefect server. One process is
stopped dead at a point, before a request is sent or after its answer came, and the protocol is run again by another
process that knows nothing but the flow run's id ("once"); or that one is stopped too, and a third one runs ("twice
over"). Requests are those to the provider and those to Prefect's API, in which the records are kept. The emulator's
ledger and the server's flow runs are the judges. Clocks are driven, so that leases and delays cost nothing.

"Once" tries every point three ways: jobs can be found at once; they stay hidden for a while; and the request that the
dead process was about to send arrives all the same, later. "Twice over" tries every pair of stops that differ outside
of the process. Between an answer and the next request nothing happens, and a request that only reads changes nothing,
so a stop before and one after each write are enough. `GRAPHQL_JOBS_ALL_PAIRS=1` tries every pair of points.
"""

from __future__ import annotations

import logging
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId

from graphql_jobs.emulator import Emulator, JobFault, ManualClock, Pace
from graphql_jobs.waiting import poll_queue
from tests.exhaustive.fuse import fused_prefect
from tests.exhaustive.protocol import Case, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from prefect.client.schemas.objects import FlowRun

    from tests.conftest import Deploy

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

logger = logging.getLogger(__name__)

EVERY_PAIR = os.environ.get("GRAPHQL_JOBS_ALL_PAIRS") == "1"
#: Seconds that a job stays hidden where it does; shorter than every provider's `visibility_s`.
HIDDEN_S = 20.0
#: So long a request may be under way without its sender: it has a minute (`Limits.request_s`).
LATE_S = 20.0
#: The first delay of a search, which doubles. Another's lease takes 130 s.
POLL_S = 16.0
#: The server's largest page of flow runs.
PAGE = 200


@dataclass(frozen=True)
class Promise:
    """What holds of one operation."""

    at_least: int = 1
    at_most: int | None = 1
    #: Whether a process that dies in between leaves a job of which nobody can tell.
    unknown: bool = False


PROMISES = {
    "aiware createJob": Promise(),
    "aiware createJob on a shared target": Promise(),
    "aiware launchSingleEngineJob": Promise(),
    "aiware launchSingleEngineJob on a shared target": Promise(),
    "datasaur createProject": Promise(),
    "datasaur exportTextProject": Promise(at_most=None),
    "datasaur autoLabelTokenBasedProject": Promise(unknown=True),
}
#: The requests that change nothing outside of the process. Any other one is taken for a write.
READS = {
    *("recall submission", "recall checkpoints", "read deployment", "sign-in", "download"),
    *("job", "jobs", "engineResults", "getJob", "getJobs", "getProject", "getProjects"),
}
OPERATIONS = pytest.mark.parametrize("operation", PROMISES)


@flow
async def owner() -> None:
    """The flow of the runs in whose store the submissions are kept."""


@OPERATIONS
@pytest.mark.parametrize("hidden_s", [0.0, HIDDEN_S], ids=["seen at once", "hidden for a while"])
async def test_every_single_stop(operation: str, hidden_s: float, deploy: Deploy, tmp_path: Path) -> None:
    """Stopped at each point in turn, then run again: as many jobs as promised, and downstream once."""
    async with _laboratory(operation, hidden_s, deploy, tmp_path) as protocol:
        undisturbed, points = await protocol.run()
        cases = [undisturbed]
        for stop in range(1, len(points) + 1):
            case, _ = await protocol.run(stop)
            cases.append(case)
        await _judge(protocol, cases)
    logger.info("%s: stopped once: %d cases", operation, len(cases))


@OPERATIONS
async def test_every_pair_of_stops(operation: str, deploy: Deploy, tmp_path: Path) -> None:
    """Stopped at each point in turn, and its successor at each of its own, then run again: the same holds."""
    async with _laboratory(operation, 0.0, deploy, tmp_path) as protocol:
        _, points = await protocol.run()
        cases: list[Case] = []
        for first in _stops(points):
            _, then = await protocol.run(first)
            cases += [(await protocol.run(first, second))[0] for second in _stops(then)]
        await _judge(protocol, cases)
    logger.info("%s: stopped twice over: %d pairs", operation, len(cases))


@OPERATIONS
async def test_every_request_that_arrives_after_its_sender_died(operation: str, deploy: Deploy, tmp_path: Path) -> None:
    """Stopped before each request in turn, which arrives 20 s later, while the next process is at work: the same."""
    async with _laboratory(operation, 0.0, deploy, tmp_path) as protocol:
        _, points = await protocol.run()
        cases = [
            (await protocol.run(stop, late_s=LATE_S))[0]
            for stop, name in enumerate(points, 1)
            if name.startswith("before")
        ]
        await _judge(protocol, cases)
    logger.info("%s: stopped once, and the request arrives late: %d cases", operation, len(cases))


def _stops(points: list[str]) -> list[int]:
    """The numbers of the points at which it makes a difference to stop: the first, the last, and around each write."""
    if EVERY_PAIR:
        return list(range(1, len(points) + 1))
    befores = [number for number, name in enumerate(points, 1) if name.startswith("before")]
    writes = [points[number - 1].removeprefix("before ") not in READS for number in befores]
    around = [now or last for now, last in zip(writes, [True, *writes], strict=False)]
    return [*compress(befores, around), len(points)]


@asynccontextmanager
async def _laboratory(operation: str, hidden_s: float, deploy: Deploy, folder: Path) -> AsyncIterator[Protocol]:
    """An emulator of its own, whose jobs take two looks, a flow run to remember in, and a deployment to start."""
    deployment = await deploy(f"{operation} {hidden_s} {os.urandom(4).hex()}".replace(" ", "-"))
    async with Emulator(clock=ManualClock(), seed=7, pace=Pace(1, 2)) as emulator, fused_prefect() as prefect:
        if hidden_s:
            emulator.faults.add(JobFault("not_visible", times=None, delay_s=hidden_s))
        async with get_client() as client:
            run = await client.create_flow_run(owner)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(poll_queue, "_FIRST_INTERVAL_PARTS", 1)  # whatever its job is called
            yield Protocol(operation, emulator, prefect, run.id, deployment, folder)


async def _judge(protocol: Protocol, cases: list[Case]) -> None:
    """Hold each case against the promise for its operation."""
    followers = [protocol.job_of(job_id) for job_id in await _followers(protocol.deployment)]
    wrong = [
        f"{verdict}: {case}" for case in cases if (verdict := _verdict(case, PROMISES[protocol.operation], followers))
    ]
    assert not wrong, f"{protocol.operation}: {len(wrong)} of {len(cases)} cases are wrong:\n" + "\n".join(wrong[:20])


def _verdict(case: Case, promise: Promise, followers: list[str]) -> str:
    """What is wrong with the case; empty if nothing is."""
    made = [job.job_id for job in case.jobs]
    started = sum(followers.count(job_id or "") for job_id in made)
    if promise.unknown and case.in_doubt:
        if case.ended != "SubmissionUnknown":
            return "nobody can tell, but it was not said"
        return "sent twice" if len(made) > 1 else "downstream was started for nothing" if started else ""
    if case.ended not in [f"job {job_id}" for job_id in made]:
        return "it did not end well"
    if len(made) < promise.at_least or (promise.at_most is not None and len(made) > promise.at_most):
        return f"{len(made)} jobs"
    if promise.at_most == 1 and len({job.key for job in case.jobs}) != 1:
        return "more than one key"
    return "" if started == 1 else f"downstream was started {started} times"


async def _followers(deployment: str) -> list[str]:
    """The job for which each run of the deployment was started."""
    async with get_client() as client:
        found = await client.read_deployment_by_name(deployment)
        only = DeploymentFilter(id=DeploymentFilterId(any_=[found.id]))
        runs: list[FlowRun] = []
        while page := await client.read_flow_runs(deployment_filter=only, limit=PAGE, offset=len(runs)):
            runs += page
    return [run.parameters["jobs"][0]["job_id"] for run in runs]
