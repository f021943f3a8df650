"""`python -m scripts.automations`: create this project's optional automations in Prefect, or update them.

It is safe to run this again: an automation is found by its name, and stays on or off as a person left it. The
automations of the clean-up and of the watcher belong to their deployments in prefect.yaml.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.events import AutomationCore, EventTrigger, Posture, ResourceSpecification
from prefect.events.actions import ChangeFlowRunState, RunDeployment, SendNotification
from prefect.exceptions import ObjectNotFound

from blocks.reporting.events import PREFIX
from blocks.runs.root_run import TAG

if TYPE_CHECKING:
    from uuid import UUID

#: The name of the block through which the first automation sends. Set its address in the UI.
NOTIFY = "graphql-jobs-notify"
#: The deployment that the example starts.
STORE = "store-results/store-results"
#: Three times the interval of Prefect's heartbeat (PREFECT_FLOWS_HEARTBEAT_FREQUENCY): with less, healthy runs crash.
ZOMBIE_S = 540.0
_ZOMBIE = "The run sends no heartbeat any more."
_JOBS = ResourceSpecification.model_validate({"prefect.resource.id": f"{PREFIX}*"})


def tell_about_jobs(block_id: UUID) -> AutomationCore:
    """Send a message when a job fails, is lost or left running, or when it is not known whether there is one."""
    changes = {"failed", "lost", "timed-out", "left-running", "submission-unknown"}
    return AutomationCore(
        name="graphql-jobs: tell me about jobs that need attention",
        description=f"Switched off. Set the address in the block {NOTIFY}, then switch it on.",
        enabled=False,
        trigger=EventTrigger(
            expect={f"{PREFIX}{change}" for change in changes},
            match=_JOBS,
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[
            SendNotification(
                block_document_id=block_id,
                subject="{{ event.resource.name }}: {{ event.event }}",
                body="{{ event.payload.reason }} Flow run: {{ event.payload.flow_run_id }}",
            )
        ],
    )


def crash_zombies(within_s: float = ZOMBIE_S) -> AutomationCore:
    """Set a run to Crashed if its heartbeat stops, such as after its machine was lost. A retry adopts its job."""
    return AutomationCore(
        name="graphql-jobs: crash runs without a heartbeat",
        description="Prefect itself leaves a run Running if its process and its worker were killed together.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.*"},  # a heartbeat, or any change of state
            match=ResourceSpecification.model_validate({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification.model_validate({"prefect.resource.id": f"prefect.tag.{TAG}"}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=within_s),
        ),
        actions=[ChangeFlowRunState.model_validate({"state": StateType.CRASHED, "message": _ZOMBIE})],
    )


def store_succeeded_jobs(deployment_id: UUID) -> AutomationCore:
    """Start a deployment with each job that succeeded: an example."""
    job = {name: f"{{{{ event.payload.{name} }}}}" for name in ("provider", "job_id", "state")}
    return AutomationCore(
        name="graphql-jobs: start a deployment on success (example)",
        description="Switched off. The parameter downstream of a flow is safe against lost events; this is not.",
        enabled=False,
        trigger=EventTrigger(
            expect={f"{PREFIX}succeeded"}, match=_JOBS, posture=Posture.Reactive, threshold=1, within=timedelta(0)
        ),
        actions=[RunDeployment.model_validate({"deployment_id": deployment_id, "parameters": {"jobs": [job]}})],
    )


async def deploy(client: PrefectClient) -> list[str]:
    """Create or update each automation. Return their names."""
    wanted = [tell_about_jobs(await _notify_block(client)), crash_zombies()]
    try:
        wanted.append(store_succeeded_jobs((await client.read_deployment_by_name(STORE)).id))
    except ObjectNotFound:
        print(f"There is no deployment {STORE}: its automation was not created.", file=sys.stderr)
    for one in wanted:
        await put(client, one)
    return [one.name for one in wanted]


async def put(client: PrefectClient, automation: AutomationCore) -> UUID:
    """Create the automation, or update the one with its name, which stays on or off."""
    for found in await client.read_automations_by_name(automation.name):
        await client.update_automation(found.id, automation.model_copy(update={"enabled": found.enabled}))
        return found.id
    return await client.create_automation(automation)


async def _notify_block(client: PrefectClient) -> UUID:
    """Return the id of the block through which messages are sent. A new one has no address that works."""
    kind = CustomWebhookNotificationBlock
    try:
        return (await client.read_block_document_by_name(NOTIFY, kind.get_block_type_slug())).id
    except ObjectNotFound:
        message = {"text": "{{subject}}\n{{body}}"}
        fields = {"name": "graphql-jobs", "url": "https://example.com/set-your-own", "json_data": message}
        return await kind.model_validate(fields).asave(NOTIFY)


async def _main() -> None:
    async with get_client() as client:
        for name in await deploy(client):
            print(name)


if __name__ == "__main__":
    asyncio.run(_main())
