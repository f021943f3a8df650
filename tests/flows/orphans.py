"""Helpers for the tests of `reap-orphans`: runs in any state, their labelled jobs, and the flow itself."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Running

from blocks.runs.store import RunStore
from flows.reap_orphans import reap_orphans
from flows.run_aiware_job import run_aiware_job
from graphql_jobs import JobHandle, Label
from graphql_jobs.emulator import Emulator, JobFault, ManualClock
from graphql_jobs.emulator.aiware.model import PlantedTask
from tests.conftest import _note_secrets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from prefect.client.schemas.objects import FlowRun, State

_numbers = itertools.count()
_seeds = itertools.count(1_000)
#: Younger jobs are left alone by default; seconds.
YOUNG_S = 600.0


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Both services, on a clock that starts at the real time, since Prefect's server uses it."""
    # Other tests' runs stay in the shared server and must not name these jobs, whose ids come from the seed.
    async with Emulator(clock=ManualClock(time.time()), seed=next(_seeds)) as running:
        yield running
    _note_secrets(running)


async def run_in(state: State[Any], flow: Any = run_aiware_job, **parameters: Any) -> FlowRun:
    """A flow run in some state; if the state is final, it was Running before."""
    async with get_client() as client:
        run = await client.create_flow_run(flow, parameters=parameters, state=Running(), tags=["graphql-jobs"])
        await client.set_flow_run_state(run.id, state, force=True)
        return await client.read_flow_run(run.id)


async def delete(run: FlowRun) -> None:
    """Delete the run."""
    async with get_client() as client:
        await client.delete_flow_run(run.id)


def new_key() -> str:
    """A key in the form of derived keys."""
    return f"gqj-{next(_numbers):032x}"


def plant(emulator: Emulator, owner: object, key: str | None = None, status: str | None = "queued") -> str:
    """A labelled job whose status never changes."""
    label = Label(key or new_key(), str(getattr(owner, "id", owner)))
    if status == "queued":  # it can be cancelled
        return emulator.aiware.plant(config=label.to_json(), fault=JobFault("stuck")).id
    return emulator.aiware.plant(config=label.to_json(), status=status, tasks=[PlantedTask(status or "")]).id


async def store_job(run: FlowRun, key: str, emulator: Emulator, job_id: str | None = None, **intent: Any) -> None:
    """Write the entries of the run: an intent and, with `job_id`, the handle."""
    entry: dict[str, Any] = {
        "kind": "intent",
        "by": "test",
        "provider": "aiware",
        "operation": "createJob",
        "key": key,
        "spec": {},
    }
    entry |= {"subject": "1 task", "location": {"target_id": "1", "exclusive": True}, "at": emulator.clock.now()}
    assert await RunStore(run.id).append(key, 0, entry | intent)
    if job_id:
        handle = JobHandle(provider="aiware", endpoint=f"{emulator.url}/v3/graphql", job_id=job_id)
        assert await RunStore(run.id).append(key, 1, {"kind": "handle", "handle": handle.to_json()})


async def reap(emulator: Emulator, **parameters: Any) -> list[dict[str, Any]]:
    """The findings of the flow after ten minutes have passed."""
    return [row for row in await findings(emulator, **parameters) if row["job_id"]]


async def unknown_of(run: FlowRun, emulator: Emulator, **parameters: Any) -> list[dict[str, Any]]:
    """The submissions of unknown outcome of one run; the server is shared with other tests."""
    found = await findings(emulator, **parameters)
    return [row for row in found if not row["job_id"] and row["run"] == str(run.id)]


async def findings(emulator: Emulator, **parameters: Any) -> list[dict[str, Any]]:
    """All findings of the flow after ten minutes have passed."""
    emulator.clock.advance(YOUNG_S + 60)
    return await finding(**parameters)


async def finding(**parameters: Any) -> list[dict[str, Any]]:
    """All findings of the flow."""
    flow: Any = reap_orphans  # its types do not distinguish its result from a state
    found: list[dict[str, Any]] = await flow(**parameters)
    assert isinstance(found, list), found
    return found


async def ending(**parameters: Any) -> State[Any]:
    """The final state of the flow."""
    flow: Any = reap_orphans
    state: State[Any] = await flow(**parameters, return_state=True)
    return state
