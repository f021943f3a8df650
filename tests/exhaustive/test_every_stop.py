"""No job is lost or run twice when a process is stopped: every stop of every operation is tested.

The protocol (submit, wait, collect, hand over) runs against the emulator and a real Prefect server. One process is
stopped at a point, before a request is sent or after its answer came, and another process, which knows only the flow
run's id, runs the protocol again ("once"). Or that process is stopped too, and a third one runs ("twice"). Requests
are those to the provider and those to Prefect's API, which keeps the records. The emulator's ledger and the server's
flow runs decide the result. Clocks are driven, so leases and delays take no real time.

"Once" tests every point in three ways: new jobs are visible; they are hidden at first; and the request that the
stopped process was about to send arrives later. "Twice" tests every pair of stops that differ outside of the process.
Nothing happens between an answer and the next request, and a request that only reads changes nothing, so one stop
before and one after each write are enough. `GRAPHQL_JOBS_ALL_PAIRS=1` tests every pair of points.
"""

from __future__ import annotations

import logging
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId

from graphql_jobs.emulator import Emulator, JobFault, ManualClock, Pace
from graphql_jobs.waiting import poll_queue
from tests.exhaustive.fuse import fused_prefect, stops_around_writes
from tests.exhaustive.protocol import Case, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from prefect.client.schemas.objects import FlowRun

    from tests.conftest import Deploy

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

logger = logging.getLogger(__name__)

#: For how many seconds a hidden job is hidden; shorter than every provider's `visibility_s`.
HIDDEN_S = 20.0
#: The delay of a late request, in seconds; a request may take a minute (`Limits.request_s`).
LATE_S = 20.0
#: The first delay of a search, which doubles. Another process's lease takes 130 s.
POLL_S = 16.0
#: The server's maximum page size for flow runs.
PAGE = 200


@dataclass(frozen=True)
class Promise:
    """The promise for one operation."""

    at_least: int = 1
    at_most: int | None = 1
    #: Whether a process that is killed in between leaves a job that cannot be found.
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
    """Stopped at each point in turn, and its successor at each of its points, then run again: the same result."""
    async with _laboratory(operation, 0.0, deploy, tmp_path) as protocol:
        _, points = await protocol.run()
        cases: list[Case] = []
        for first in stops_around_writes(points):
            _, then = await protocol.run(first)
            cases += [(await protocol.run(first, second))[0] for second in stops_around_writes(then)]
        await _judge(protocol, cases)
    logger.info("%s: stopped twice over: %d pairs", operation, len(cases))


@OPERATIONS
async def test_every_request_that_arrives_after_its_sender_died(operation: str, deploy: Deploy, tmp_path: Path) -> None:
    """Stopped before each request in turn, which arrives 20 s later, during the next process: the same result."""
    async with _laboratory(operation, 0.0, deploy, tmp_path) as protocol:
        _, points = await protocol.run()
        cases = [
            (await protocol.run(stop, late_s=LATE_S))[0]
            for stop, name in enumerate(points, 1)
            if name.startswith("before")
        ]
        await _judge(protocol, cases)
    logger.info("%s: stopped once, and the request arrives late: %d cases", operation, len(cases))


@asynccontextmanager
async def _laboratory(operation: str, hidden_s: float, deploy: Deploy, folder: Path) -> AsyncIterator[Protocol]:
    """An emulator whose jobs take two polls, a flow run for the records, and a downstream deployment."""
    deployment = await deploy(f"{operation} {hidden_s} {os.urandom(4).hex()}".replace(" ", "-"))
    async with Emulator(clock=ManualClock(), seed=7, pace=Pace(1, 2)) as emulator, fused_prefect() as prefect:
        if hidden_s:
            emulator.faults.add(JobFault("not_visible", times=None, delay_s=hidden_s))
        async with get_client() as client:
            run = await client.create_flow_run(owner)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(poll_queue, "_FIRST_INTERVAL_PARTS", 1)  # with any id of its job
            yield Protocol(operation, emulator, prefect, run.id, deployment, folder)


async def _judge(protocol: Protocol, cases: list[Case]) -> None:
    """Compare each case with the promise for its operation."""
    followers = [protocol.job_of(job_id) for job_id in await _followers(protocol.deployment)]
    wrong = [
        f"{verdict}: {case}" for case in cases if (verdict := _verdict(case, PROMISES[protocol.operation], followers))
    ]
    assert not wrong, f"{protocol.operation}: {len(wrong)} of {len(cases)} cases are wrong:\n" + "\n".join(wrong[:20])


def _verdict(case: Case, promise: Promise, followers: list[str]) -> str:
    """The error of the case; empty if there is none."""
    made = [job.job_id for job in case.jobs]
    started = sum(followers.count(job_id or "") for job_id in made)
    if promise.unknown and case.in_doubt:
        if case.ended != "SubmissionUnknown":
            return "the outcome is unknown, but the case did not end as SubmissionUnknown"
        return "sent twice" if len(made) > 1 else "downstream was started for an unknown outcome" if started else ""
    if case.ended not in [f"job {job_id}" for job_id in made]:
        return "the last process did not end with its job"
    if len(made) < promise.at_least or (promise.at_most is not None and len(made) > promise.at_most):
        return f"{len(made)} jobs"
    if promise.at_most == 1 and len({job.key for job in case.jobs}) != 1:
        return "more than one key"
    return "" if started == 1 else f"downstream was started {started} times"


async def _followers(deployment: str) -> list[str]:
    """The job of each downstream run of the deployment."""
    async with get_client() as client:
        found = await client.read_deployment_by_name(deployment)
        only = DeploymentFilter(id=DeploymentFilterId(any_=[found.id]))
        runs: list[FlowRun] = []
        while page := await client.read_flow_runs(deployment_filter=only, limit=PAGE, offset=len(runs)):
            runs += page
    return [run.parameters["jobs"][0]["job_id"] for run in runs]
