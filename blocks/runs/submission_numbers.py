"""The numbers of equal submissions in one attempt at a flow run, the same in each try of a Prefect task or inner flow.

Flow runs and task runs enclose each other. What Prefect tries again gets the numbers that it got in its first try,
although everything inside of it is new: a call takes the next number of the innermost run that encloses it, which takes
one from the run around it when it has no more, and so on. Only the flow run that is run by itself makes new numbers.
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

#: Prefect runs what is submitted to its task runner in threads, all of which count in the same place.
_counting = Lock()


class Try(NamedTuple):
    """One try of a task run or of a flow run."""

    run_id: UUID
    #: The time at which Prefect made the context of this try.
    began: str


class Numbers:
    """The numbers that one attempt at a run gave to equal submissions."""

    def __init__(self) -> None:
        self._owned: dict[tuple[str, UUID], list[int]] = {}
        self._taken: dict[tuple[str, Try | None], int] = {}

    def take(self, digest: str, tries: Sequence[Try]) -> int:
        """The next number for a submission within `tries`, the innermost one first."""
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


#: Those of the attempts that this process is at work on.
_numbers: dict[str, Numbers] = {}


async def number_in_run(digest: str, run_id: UUID) -> int:
    """How many equal submissions came before this one in this attempt at the run `run_id`.

    Equal jobs may change places from one attempt to the next: only their number counts. So an inner flow, which gets a
    new id when the outer one is run again, finds its job.
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
            if root and not root.detached:  # else the process is another than the run's, and ends with its task
                weakref.finalize(root, _numbers.pop, attempt, None)
        numbers = _numbers[attempt]
    return numbers.take(digest, tries)


def _tries(flows: Sequence[FlowRunContext], root_id: UUID) -> list[Try]:
    """The tries that enclose this call in the run `root_id`, the innermost first. `flows` are those in between."""
    tasks: dict[UUID, list[Try]] = {}
    known: set[UUID] = set()
    for task in _enclosing(TaskRunContext.get()):
        # Around the context of each try Prefect makes one that lasts for all: the inner one tells the tries apart.
        if task.task_run.flow_run_id and task.task_run.id not in known:
            known.add(task.task_run.id)
            one = Try(task.task_run.id, str(task.start_time))
            tasks.setdefault(task.task_run.flow_run_id, []).append(one)
    of_root = tasks.pop(root_id, [])
    tries: list[Try] = []
    for flow in flows:
        if flow.flow_run:
            tries += [*tasks.pop(flow.flow_run.id, []), Try(flow.flow_run.id, str(flow.start_time))]
    # A flow that does not wait for its tasks ends before them, and nothing tells what is around it but their parents.
    for others in tasks.values():
        tries += others
    return tries + of_root


def _enclosing(context: C | None) -> Iterator[C]:
    """The context and those around it of the same kind, the innermost first, as far as they have not ended."""
    while context:
        yield context
        token = context._token
        outer = token.old_value if token else None
        context = outer if isinstance(outer, type(context)) else None
