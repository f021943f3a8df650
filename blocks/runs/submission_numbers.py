"""Number equal submissions in a flow run: a retry gets the same number, and so the same job.

Flow runs and task runs are nested. If Prefect retries a task or an inner flow, the submissions inside it get the
numbers of its first try. To do so, a submission takes the next number of the innermost enclosing run. If that run has
no number left, it takes one from the run around it, and so on. Only the root run creates new numbers.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import NamedTuple, TypeVar
from uuid import UUID

from prefect.context import ContextModel, FlowRunContext, TaskRunContext

from blocks.api import ask

C = TypeVar("C", bound=ContextModel)

#: Prefect's task runner runs tasks in threads that share the numbers.
_counting = Lock()


class Try(NamedTuple):
    """One try of a task run or of a flow run."""

    run_id: UUID
    #: When Prefect created the context of this try.
    began: str


class Numbers:
    """The numbers of equal submissions in one attempt of a root run."""

    def __init__(self) -> None:
        self._owned: dict[tuple[str, UUID], list[int]] = {}
        self._taken: dict[tuple[str, Try | None], int] = {}

    def take(self, digest: str, tries: Sequence[Try]) -> int:
        """Return the next number for a submission within `tries`, innermost first."""
        with _counting:
            return self._take(digest, tries)

    def _take(self, digest: str, tries: Sequence[Try]) -> int:
        around = tries[0] if tries else None
        index = self._taken.get((digest, around), 0)
        self._taken[digest, around] = index + 1
        if around is None:
            return index
        owned = self._owned.setdefault((digest, around.run_id), [])
        if index == len(owned):
            owned.append(self._take(digest, tries[1:]))
        return owned[index]


#: The numbers of each attempt that runs in this process.
_numbers: dict[str, Numbers] = {}


async def number_in_run(digest: str, run_id: UUID) -> int:
    """Return how many equal submissions preceded this one in this attempt of the root run `run_id`.

    The number does not depend on the ids of inner runs, which are new in each attempt. Equal jobs may change places
    between attempts.
    """
    flows: list[FlowRunContext] = []
    root = None
    for flow in _enclosing(FlowRunContext.get()):
        if flow.flow_run and flow.flow_run.id == run_id:
            root = flow
            break
        flows.append(flow)
    run = root.flow_run if root and root.flow_run else await ask(lambda client: client.read_flow_run(run_id))
    attempt = f"{run_id} {run.run_count}"
    tries = _tries(flows, run_id)
    with _counting:
        if attempt not in _numbers:
            _numbers[attempt] = Numbers()
            if root and not root.detached:  # else this is not the run's process, and it ends with its task
                weakref.finalize(root, _numbers.pop, attempt, None)
        numbers = _numbers[attempt]
    return numbers.take(digest, tries)


def forget_numbers(run_id: UUID) -> None:
    """Restart the count, in case this process executes the run again after a suspension."""
    with _counting:
        for attempt in [attempt for attempt in _numbers if attempt.startswith(f"{run_id} ")]:
            del _numbers[attempt]


def _tries(flows: Sequence[FlowRunContext], root_id: UUID) -> list[Try]:
    """Return the tries around this call in the run `root_id`, innermost first. `flows` are the flow runs in between."""
    tasks: dict[UUID, list[Try]] = {}
    known: set[UUID] = set()
    for task in _enclosing(TaskRunContext.get()):
        # Prefect wraps the context of each try in one that lasts for all tries. Only the inner one differs per try.
        if task.task_run.flow_run_id and task.task_run.id not in known:
            known.add(task.task_run.id)
            one = Try(task.task_run.id, str(task.start_time))
            tasks.setdefault(task.task_run.flow_run_id, []).append(one)
    of_root = tasks.pop(root_id, [])
    tries: list[Try] = []
    for flow in flows:
        if flow.flow_run:
            tries += [*tasks.pop(flow.flow_run.id, []), Try(flow.flow_run.id, str(flow.start_time))]
    # A flow that does not wait for its tasks ends before them. Then only the tasks' parents name the flow.
    for others in tasks.values():
        tries += others
    return tries + of_root


def _enclosing(context: C | None) -> Iterator[C]:
    """Yield the context and the enclosing ones of its kind that have not ended, innermost first."""
    while context:
        yield context
        token = context._token
        outer = token.old_value if token else None
        context = outer if isinstance(outer, type(context)) else None
