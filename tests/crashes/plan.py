"""The plan of the crash test: the operations, the points at which they are killed, the number of trials. Pure.

A trial's name is part of its submission, so the emulator's ledger has the trial of each job.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from random import Random
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# The provider's own example engine, and the project of Datasaur's page on checking a job.
_ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
_PROJECT_ID = "HvdyIL2iwZn"

#: The variable with the folder of the plans, for a flow run's process.
FOLDER_VARIABLE = "CRASH_TEST_PLANS"


class Point(StrEnum):
    """Where the process is killed."""

    BEFORE_INTENT = "before the intent"
    AFTER_INTENT = "after the intent"
    REQUEST_LEFT = "after the request left"
    WORK_DONE = "after the work, before its answer"
    ANSWERED = "after the answer, before it was kept"
    WAITING = "while waiting"
    ENDED = "after the end, before the result"
    HANDED_OVER = "after downstream was started, before that was recorded"


#: Between the intent and the recorded answer: only the provider knows what happened.
DOUBTFUL = frozenset({Point.AFTER_INTENT, Point.REQUEST_LEFT, Point.WORK_DONE, Point.ANSWERED})

#: The promise: always one job; the same, but a repetition does no harm; or at most one job, since the
#: provider cannot be searched.
Promise = Literal["one", "repeatable", "at most one"]


@dataclass(frozen=True)
class Operation:
    """One way to start a job through a deployed flow. `field` is the provider's name of the operation."""

    title: str
    flow: str
    field: str
    promise: Promise
    parameters: Callable[[str, str], dict[str, Any]]
    #: On the caller's data object.
    on_shared_target: bool = False
    #: In a container that is created first.
    has_room: bool = False


def _own_tasks(name: str, target_id: str) -> dict[str, Any]:
    target = {"target_id": target_id} if target_id else {}
    return {"tasks": [{"engine_id": _ENGINE_ID}], "job_config": {"trial": name}, **target}


def _launch(name: str, target_id: str) -> dict[str, Any]:
    source = {"target_id": target_id} if target_id else {"upload_url": f"https://media.example.com/{name}.mp4"}
    return {"engine_id": _ENGINE_ID, "template_fields": {"trial": name}, **source}


def _auto_label(name: str, _target_id: str) -> dict[str, Any]:
    return {"project_id": _PROJECT_ID, "labeler_email": f"{name}@example.com"}


def _export(name: str, _target_id: str) -> dict[str, Any]:
    return {"project_ids": [_PROJECT_ID], "file_name": name}


def _project(name: str, _target_id: str) -> dict[str, Any]:
    return {"name": name, "documents": [{"name": "a.txt", "external_url": f"https://a.example.com/{name}.txt"}]}


OPERATIONS = (
    Operation("createJob", "run_aiware_job", "createJob", "one", _own_tasks, has_room=True),
    Operation("createJob, shared target", "run_aiware_job", "createJob", "one", _own_tasks, on_shared_target=True),
    Operation("launch", "run_aiware_job", "launchSingleEngineJob", "one", _launch, has_room=True),
    Operation(
        "launch, shared target", "run_aiware_job", "launchSingleEngineJob", "one", _launch, on_shared_target=True
    ),
    Operation("auto-label", "run_datasaur_auto_label", "autoLabelTokenBasedProject", "at most one", _auto_label),
    Operation("export", "run_datasaur_export", "exportTextProject", "repeatable", _export),
    Operation("create project", "create_datasaur_project", "createProject", "one", _project),
)


@dataclass(frozen=True)
class Trial:
    """One run that is killed once and run again."""

    number: int
    operation: Operation
    point: Point
    #: Whether it is run again on another worker, with an empty home.
    moves: bool
    #: The request that was sent never reaches the server.
    is_lost: bool
    #: Killed after the container was created and recorded.
    after_container: bool

    @property
    def name(self) -> str:
        """The flow run's name, which is in the ledger."""
        return f"crash-{self.number:04d}"

    @property
    def title(self) -> str:
        """A readable name."""
        return f"{self.name} {self.operation.title}, {self.point}{', moved' if self.moves else ''}"

    @property
    def is_ambiguous(self) -> bool:
        """Whether it is unknown whether its job was started."""
        return self.operation.promise == "at most one" and self.point in DOUBTFUL


def deal(
    count: int, seed: int, operations: Sequence[Operation] = OPERATIONS, points: Sequence[Point] = ()
) -> list[Trial]:
    """`count` trials, evenly over all operations and points, in an order from the seed; half of them move."""
    random = Random(seed)
    cells = list(product(operations, points or list(Point)))
    random.shuffle(cells)
    dealt = [(cells[number % len(cells)], (number + number // len(cells)) % 2 == 0) for number in range(count)]
    random.shuffle(dealt)
    return [
        Trial(number, operation, point, moves, random.random() < 0.5, operation.has_room and random.random() < 0.5)
        for number, ((operation, point), moves) in enumerate(dealt, 1)
    ]
