"""A user's task that Prefect retries submits its jobs once, with any nesting around `submit_job`.

Each test runs a flow whose tasks fail after their submissions, and counts the jobs at the emulator.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow, task
from prefect.futures import wait as wait_for_futures

import tasks as typed_tasks
from blocks import AiwareCredentials, AiwareEngineJob
from blocks.runs.submission_numbers import Numbers, _numbers
from graphql_jobs.providers.aiware import EngineJobSpec
from tests.conftest import aiware_credentials
from tests.tasks.test_one_job_per_place import attempts, made

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

#: Prefect's types of `.submit()` and `.result()` of an async task are wrong.
tasks: Any = typed_tasks
ENGINE = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
Step = Callable[[AiwareCredentials, str], Any]


@pytest.fixture
def credentials(live_emulator: Emulator) -> AiwareCredentials:
    """The emulator's aiWARE, for flows in threads."""
    return aiware_credentials(live_emulator)


class Failing:
    """Fails in the first `tries` calls with each name."""

    def __init__(self, tries: int = 2) -> None:
        self.left: Counter[str] = Counter()
        self.tries = tries
        self._lock = threading.Lock()

    def __call__(self, name: str) -> None:
        with self._lock:
            self.left[name] += 1
            if self.left[name] <= self.tries:
                raise RuntimeError(f"what comes after the submission of {name} broke")


def spec(name: str) -> EngineJobSpec:
    """A job that differs by name."""
    return EngineJobSpec(engine_id=ENGINE, upload_url=f"https://media.example.com/{name}")


async def awaited(credentials: AiwareCredentials, name: str) -> None:
    """The task, awaited."""
    await tasks.submit_job(credentials, spec(name))


async def submitted(credentials: AiwareCredentials, name: str) -> None:
    """The task, in a thread of Prefect's task runner."""
    tasks.submit_job.submit(credentials, spec(name)).result()


async def triggered(credentials: AiwareCredentials, name: str) -> None:
    """A job block, triggered."""
    url = f"https://media.example.com/{name}"
    await AiwareEngineJob(credentials=credentials, engine_id=ENGINE, upload_url=url).trigger()


@flow
async def inner(credentials: AiwareCredentials, name: str) -> None:
    """An inner flow."""
    await tasks.submit_job(credentials, spec(name))


@flow
async def innermost(credentials: AiwareCredentials, name: str) -> None:
    """An inner flow that calls another one."""
    await inner(credentials, name)


@task
async def nested(credentials: AiwareCredentials, name: str) -> None:
    """A task within the task."""
    await tasks.submit_job(credentials, spec(name))


@pytest.mark.parametrize(
    "step", [awaited, submitted, triggered, inner, innermost, nested], ids=lambda step: str(step.__name__)
)
@pytest.mark.parametrize("way", ["awaited", "mapped"])
async def test_task_with_retries_submits_each_job_once(
    way: str, step: Step, live_emulator: Emulator, credentials: AiwareCredentials
) -> None:
    """Three items, two of them equal, each submitted twice, and each task run twice: six jobs."""
    fail = Failing(1)
    names = ["a", "b", "b"]

    @task(retries=1)
    async def work(number: int) -> None:
        await step(credentials, names[number])
        await step(credentials, names[number])
        fail(str(number))

    @flow
    async def pipeline() -> None:
        if way == "awaited":
            for number in range(3):
                await work(number)
        else:
            wait_for_futures(list(work.map(range(3))))

    await asyncio.to_thread(lambda: asyncio.run(pipeline()))
    assert fail.left == {"0": 2, "1": 2, "2": 2}
    assert made(live_emulator) == 6


async def test_sync_task_with_retries_submits_each_job_once(
    live_emulator: Emulator, credentials: AiwareCredentials
) -> None:
    """The same from sync tasks and a sync inner flow, in threads: three items, three jobs."""
    fail = Failing()

    @flow
    def sync_inner(name: str) -> None:
        tasks.submit_job.submit(credentials, spec(name)).result()

    @task(retries=2)
    def work(name: str) -> None:
        sync_inner(name)
        fail(name)

    @flow
    def pipeline() -> None:
        work.map(["a", "b", "c"]).result()

    await asyncio.to_thread(pipeline)
    assert made(live_emulator) == 3


async def test_any_run_around_a_submission_may_be_retried(
    live_emulator: Emulator, credentials: AiwareCredentials
) -> None:
    """A flow, an inner flow, and a task in a task, each run three times, equal jobs in each: three jobs."""
    fail = Failing(8)  # two of three tries at each level

    @task(retries=2)
    async def low() -> None:
        await tasks.submit_job(credentials, spec("a"))
        fail("low")

    @flow(retries=2)
    async def middle() -> None:
        await tasks.submit_job(credentials, spec("a"))
        await low()

    @task(retries=2)
    async def high() -> None:
        await middle()

    @flow(retries=2)
    async def pipeline() -> None:
        await tasks.submit_job(credentials, spec("a"))
        await high()

    await asyncio.to_thread(lambda: asyncio.run(pipeline()))
    assert fail.left["low"] == 9
    assert made(live_emulator) == 3


async def test_late_children_of_a_failed_try_share_jobs_with_the_next_try(
    live_emulator: Emulator, credentials: AiwareCredentials
) -> None:
    """A task maps over three items and fails; its next try maps again while the first three run: three jobs."""
    fail = Failing(1)
    go_on = threading.Event()

    @task
    def late(name: str) -> None:
        go_on.wait(60)
        tasks.submit_job.submit(credentials, spec(name)).result()

    @task(retries=1)
    def work() -> None:
        futures = late.map(["a", "a", "b"])
        if fail.left["work"]:
            go_on.set()
        fail("work")
        futures.result()

    @flow
    def pipeline() -> None:
        work()

    await asyncio.to_thread(pipeline)
    assert made(live_emulator) == 3


async def test_retry_of_a_run_with_task_retries_finds_all_its_jobs(
    live_emulator: Emulator, credentials: AiwareCredentials
) -> None:
    """Two tasks with equal jobs, one of them retried; then the run is run again: two jobs."""
    fail = Failing(1)

    @task(retries=1)
    async def work(name: str) -> None:
        await tasks.submit_job(credentials, spec("a"))
        fail(name)

    @flow
    async def pipeline() -> None:
        await asyncio.gather(work("one"), work("other"))
        fail("flow")

    await attempts(pipeline)
    assert made(live_emulator) == 2


async def test_equal_jobs_are_numbered_across_nested_runs(
    live_emulator: Emulator, credentials: AiwareCredentials
) -> None:
    """1,500 other attempts are counted between two equal submissions of one run: two jobs."""

    @flow
    async def pipeline() -> None:
        await tasks.submit_job(credentials, spec("a"))
        _numbers.update({f"run {number}": Numbers() for number in range(1500)})
        await tasks.submit_job(credentials, spec("a"))

    await asyncio.to_thread(lambda: asyncio.run(pipeline()))
    assert made(live_emulator) == 2


async def test_numbers_are_dropped_after_the_attempt(live_emulator: Emulator, credentials: AiwareCredentials) -> None:
    """A process that runs flows for months keeps no numbers of ended runs."""
    before = dict(_numbers)

    @flow
    async def pipeline() -> str:
        await tasks.submit_job(credentials, spec("a"))
        return "done"

    await asyncio.to_thread(lambda: asyncio.run(pipeline()))
    gc.collect()
    assert _numbers.keys() <= before.keys()
