"""The flows with valid parameters, for tests that change one of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry

from flows.create_datasaur_project import create_datasaur_project
from flows.run_aiware_job import run_aiware_job
from flows.run_datasaur_auto_label import run_datasaur_auto_label
from flows.run_datasaur_export import run_datasaur_export
from flows.wait_for_jobs import wait_for_jobs

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from uuid import UUID

    from prefect.client.schemas.objects import State

    from graphql_jobs.emulator import Emulator

ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
PROJECT_ID = "HvdyIL2iwZn"


@dataclass(frozen=True)
class Case:
    """A flow that submits, valid parameters, and the field of the API that starts its job.

    `container` creates the container of the job, if it has one.
    """

    flow: Any
    operation: str
    parameters: dict[str, Any] = field(default_factory=dict)
    container: str = ""

    @property
    def makes(self) -> list[str]:
        """The operations of one submission, in order."""
        return [self.container, self.operation] if self.container else [self.operation]


SUBMITTING = {
    "aiware engine": Case(
        run_aiware_job,
        "launchSingleEngineJob",
        {"engine_id": ENGINE_ID, "upload_url": "https://media.example.invalid/a.mp4"},
        "createTDOWithAsset",
    ),
    "aiware tasks": Case(run_aiware_job, "createJob", {"tasks": [{"engine_id": ENGINE_ID}]}, "createTDO"),
    "auto-label": Case(
        run_datasaur_auto_label,
        "autoLabelTokenBasedProject",
        {"project_id": PROJECT_ID, "labeler_email": "labeler@example.invalid"},
    ),
    "export": Case(run_datasaur_export, "exportTextProject", {"project_ids": [PROJECT_ID], "file_name": "all"}),
    "project": Case(
        create_datasaur_project,
        "createProject",
        {"name": "new", "documents": [{"name": "a.txt", "external_url": "https://files.example.invalid/a.txt"}]},
    ),
}
WAITING = Case(wait_for_jobs, "", {"provider": "aiware", "job_ids": ["some-job"]})


#: The submissions whose job a retry adopts. An export is sent again: only the response to it has the file's address.
ADOPTED = [name for name in SUBMITTING if name != "export"]


def made(emulator: Emulator) -> list[str]:
    """The operations at the providers, in order."""
    return [done.operation for done in emulator.ledger.submissions]


def jobs(emulator: Emulator) -> list[str]:
    """The ids of all submitted jobs, in order."""
    return [done.job_id for done in emulator.ledger.submissions if done.job_id]


class Run(Protocol):
    """Runs the flow of a case with some parameters changed, and returns its final state."""

    def __call__(self, case: Case, **changed: Any) -> Awaitable[State[Any]]: ...


@pytest.fixture
def run(saved: None) -> Run:
    """Runs flows in this process, against the emulator."""

    async def go(case: Case, **changed: Any) -> State[Any]:
        state: State[Any] = await case.flow(**(case.parameters | changed), return_state=True)
        return state

    return go


class OneRun:
    """One flow run: each call is an attempt in this process, as a worker's engine would make in its own process.

    A run that has ended is first set to run again, as "Retry" in the UI does.
    """

    def __init__(self, flow: Any, run_id: UUID, parameters: dict[str, Any]) -> None:
        self.flow = flow
        self.id = run_id
        self.parameters = parameters

    async def __call__(self) -> State[Any]:
        async with get_client() as client:
            run = await client.read_flow_run(self.id)
            if run.state and run.state.is_final():
                await client.set_flow_run_state(self.id, AwaitingRetry(), force=True)
                run = await client.read_flow_run(self.id)
        engine: Any = run_flow  # its types do not distinguish an async flow's state from its result
        state: State[Any] = await engine(self.flow, flow_run=run, parameters=self.parameters, return_type="state")
        return state

    async def set_state(self, state: State[Any]) -> None:
        """Set the state of the run, as Prefect or a person would."""
        async with get_client() as client:
            await client.set_flow_run_state(self.id, state, force=True)

    async def name(self) -> str:
        """The name in the UI."""
        async with get_client() as client:
            return (await client.read_flow_run(self.id)).name

    async def inputs(self) -> dict[str, Any]:
        """The entries of the run's submissions in Prefect's API, by their names."""
        async with get_client() as client:
            kept = await client.filter_flow_run_input(self.id, "gqj-", 1000, set())
        return {entry.key: json.loads(entry.value) for entry in sorted(kept, key=lambda entry: entry.key)}


class MakeRun(Protocol):
    """Creates the flow run of a case with some parameters changed, or of another flow, without executing it."""

    def __call__(self, what: Any, **changed: Any) -> Awaitable[OneRun]: ...


@pytest.fixture
def make_run(saved: None) -> MakeRun:
    """Creates flow runs that can be run again."""

    async def make(what: Any, **changed: Any) -> OneRun:
        flow, parameters = (what.flow, what.parameters | changed) if isinstance(what, Case) else (what, changed)
        async with get_client() as client:
            run = await client.create_flow_run(flow, parameters=parameters)
        return OneRun(flow, run.id, parameters)

    return make
