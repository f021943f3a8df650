"""The automations of prefect.yaml and of `python -m scripts.automations`, on a server whose services take real time.

tests/cancelling shows that the automation of `cancel-remote-jobs` fires.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from aiohttp import web
from prefect import flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.events import AutomationCore, Event, EventTrigger
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Running

from blocks.reporting import events
from graphql_jobs import Job, JobFailure, JobHandle, JobState
from graphql_jobs.clock import SystemClock
from scripts.automations import NOTIFY, STORE, crash_zombies, deploy, put
from tasks.suspending import tally
from tests.deployed_runs import GIVE_UP_AFTER_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from uuid import UUID

    from scripts.stack import Stack

pytestmark = pytest.mark.prefect

JOB = Job("aiware", f"job-{uuid4()}", JobState.SUCCEEDED, "complete")
FAILED = JOB._replace(state=JobState.FAILED, raw_status="failed", failures=(JobFailure("disk", "the disk is full"),))
#: The shortest time that Prefect's server accepts for an event that does not come.
SHORTEST_S = 10
#: The name of Prefect's event.
HEARTBEAT = "prefect.flow-run.heartbeat"


@flow
async def lost() -> None:
    """A flow whose process is gone."""


async def test_each_shipped_automation_fires(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deployed twice, they are there once; a failed job sends a message, a zombie crashes, a success is stored, and a
    watcher whose heartbeat is missing is replaced.
    """
    sent: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        sent.append(await request.text())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        with temporary_settings({PREFECT_API_URL: stack.environment["PREFECT_API_URL"]}):
            async with get_client() as client:
                await deployed_twice(client)
                await send_to(client, f"http://127.0.0.1:{runner.addresses[0][1]}/")
                run_id = await zombie(client)
                watching = await watched_soon(client)
                await beat(client, monkeypatch)
                for job in (FAILED, JOB):
                    await tell(client, job, monkeypatch)
                await until(lambda: any_of(sent), "the message about the failed job")
                assert "the disk is full" in sent[0]
                await until(lambda: is_stored(client), "the run for the job that succeeded")
                await until(lambda: is_crashed(client, run_id), "the end of the run without a heartbeat")
                await until(lambda: is_watched(client), "the run that watches in place of the watcher")
                await client.delete_automation(watching)
    finally:
        await runner.cleanup()


async def deployed_twice(client: PrefectClient) -> None:
    """Deploy, switch the automations on, deploy again."""
    names = await deploy(client)
    assert len(names) == 3
    for automation in await client.read_automations():
        if automation.name in names:
            await client.resume_automation(automation.id)
    await deploy(client)
    await put(client, crash_zombies(SHORTEST_S))
    found = [automation for automation in await client.read_automations() if automation.name in names]
    assert [automation.enabled for automation in found] == [True] * 3


async def send_to(client: PrefectClient, address: str) -> None:
    """Set the address of the block, as a person does."""
    block = await client.read_block_document_by_name(NOTIFY, "custom-webhook")
    await client.update_block_document(block.id, BlockDocumentUpdate(data={**block.data, "url": address}))


async def zombie(client: PrefectClient) -> UUID:
    """A run that sent one heartbeat."""
    run = await client.create_flow_run(lost, tags=["graphql-jobs"])
    await client.set_flow_run_state(run.id, Running(), force=True)
    tag = {"prefect.resource.id": "prefect.tag.graphql-jobs", "prefect.resource.role": "tag"}
    resource = {"prefect.resource.id": f"prefect.flow-run.{run.id}"}
    await post(client, Event.model_validate({"event": HEARTBEAT, "resource": resource, "related": [tag]}))
    return run.id


async def watched_soon(client: PrefectClient) -> UUID:
    """The automation as deployed, in which only the times are shorter, instead of that one."""
    name = "watch suspended runs when a watcher is gone"
    shipped = {automation.name: automation for automation in await client.read_automations()}
    assert name in shipped
    deployed = shipped[name]
    assert isinstance(deployed.trigger, EventTrigger)
    assert deployed.enabled
    # Two heartbeats may be lost.
    assert deployed.trigger.within.total_seconds() > 3 * tally.HEARTBEAT_S
    await client.pause_automation(deployed.id)
    trigger = deployed.trigger.model_copy(update={"within": timedelta(seconds=SHORTEST_S)})
    actions = [action.model_copy(update={"parameters": {"for_s": 1}}) for action in deployed.actions]
    return await put(client, AutomationCore(name="watch soon", trigger=trigger, actions=actions))


async def beat(client: PrefectClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send the heartbeat of a watcher, as the project builds it."""
    with built(tally, monkeypatch) as made:
        tally.Tally("gone", "1-of-1", SystemClock()).tell({})
    await post(client, *made)


async def is_watched(client: PrefectClient) -> bool:
    deployment = await client.read_deployment_by_name("watch-suspended-runs/watch-suspended-runs")
    runs = [run for run in await client.read_flow_runs() if run.deployment_id == deployment.id]
    return any(run.parameters.get("for_s") == 1 for run in runs)


async def tell(client: PrefectClient, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send the event about the end of a job, as the project builds it."""
    change = events.change_of(job)
    assert change
    with built(events, monkeypatch) as made:
        events.tell(change, JobHandle(provider="aiware", endpoint="https://x.invalid", job_id=job.job_id), uuid4(), job)
    await post(client, *made)


@contextmanager
def built(module: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Event]]:
    """The events that the module would send."""
    made: list[Event] = []

    def keep(name: str, resource: Any, payload: Any, **_: Any) -> None:
        made.append(Event(event=name, resource=resource, payload=payload))

    with monkeypatch.context() as patch:
        patch.setattr(module, "emit_event", keep)
        yield made


async def post(client: PrefectClient, *made: Event) -> None:
    assert made
    content = [event.model_dump(mode="json") for event in made]
    (await client.request("POST", "/events", json=content)).raise_for_status()


async def any_of(sent: list[str]) -> bool:
    return bool(sent)


async def is_stored(client: PrefectClient) -> bool:
    deployment = await client.read_deployment_by_name(STORE)
    runs = [run for run in await client.read_flow_runs() if run.deployment_id == deployment.id]
    return any(job["job_id"] == JOB.job_id for run in runs for job in run.parameters.get("jobs", []))


async def is_crashed(client: PrefectClient, run_id: UUID) -> bool:
    return (await client.read_flow_run(run_id)).state_name == "Crashed"


async def until(check: Callable[[], Awaitable[bool]], what: str) -> None:
    """Return when `check` is true. Fails after some minutes."""
    for _ in range(GIVE_UP_AFTER_S * 2):
        if await check():
            return
        await asyncio.sleep(0.5)
    raise AssertionError(f"There was not {what}.")
