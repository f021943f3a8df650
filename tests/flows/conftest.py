"""The flows with parameters that work, for tests that change one thing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from flows.create_datasaur_project import create_datasaur_project
from flows.run_aiware_job import run_aiware_job
from flows.run_datasaur_auto_label import run_datasaur_auto_label
from flows.run_datasaur_export import run_datasaur_export
from flows.wait_for_jobs import wait_for_jobs

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from prefect.client.schemas.objects import State

ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
PROJECT_ID = "HvdyIL2iwZn"


@dataclass(frozen=True)
class Case:
    """A flow that submits, parameters with which it works, and the field of the API that starts its job."""

    flow: Any
    operation: str
    parameters: dict[str, Any] = field(default_factory=dict)


SUBMITTING = {
    "aiware engine": Case(
        run_aiware_job,
        "launchSingleEngineJob",
        {"engine_id": ENGINE_ID, "upload_url": "https://media.example.invalid/a.mp4"},
    ),
    "aiware tasks": Case(run_aiware_job, "createJob", {"tasks": [{"engine_id": ENGINE_ID}]}),
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


class Run(Protocol):
    """Runs the flow of a case with some parameters changed, and gives the state it ended in."""

    def __call__(self, case: Case, **changed: Any) -> Awaitable[State[Any]]: ...


@pytest.fixture
def run(saved: None) -> Run:
    """Runs flows in this process, against the emulator."""

    async def go(case: Case, **changed: Any) -> State[Any]:
        state: State[Any] = await case.flow(**(case.parameters | changed), return_state=True)
        return state

    return go
