"""The decorator of this project's Prefect tasks: an expected end is a state with a name, and not a traceback.

Prefect shows a task run that raises as "Failed", with a traceback in its log, and one that returns as "Completed".
So the functions of these tasks return a state where they would raise, and where their job did not succeed. The caller
of the task still gets the returned value or the raised error.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Task
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.states import Cancelled, Completed
from pydantic import PrivateAttr

from blocks.runs.cancelled_by_person import is_cancelled_by_a_person
from blocks.runs.root_run import root_run_id
from graphql_jobs import GraphqlJobsError, Job
from tasks.run_state import ERROR_STATES, overall_state, run_state

P = ParamSpec("P")
R = TypeVar("R")

#: The ends of the jobs in the value that a task returns, by job id.
Ends = Callable[[Any], Mapping[str, Job | GraphqlJobsError]]

_LOGGED_TWICE = re.compile(rf"Task run failed with state: ({'|'.join(ERROR_STATES)})\(")
#: Prefect's line about a task run that ends as `TaskState` Cancelled.
_CANCELLED = "Finished in state Cancelled(type=CANCELLED)"
#: Our choice: a worker gives a run 30 s to end, and the clean-up may take 20 s.
_READ_S = 5.0


class TaskState(State[Any]):
    """The final state of a task run. It has the message for the UI; the log has it in the state of the flow run."""

    _value: Any = PrivateAttr(default=None)
    _error: BaseException | None = PrivateAttr(default=None)

    @classmethod
    def of(cls, state: State[Any], value: Any = None, error: BaseException | None = None) -> TaskState:
        """Return the state, with which the task's caller gets `value`, or `error` raised."""
        made = cls(type=state.type, name=state.name, message=state.message, data=state.data)
        made._value, made._error = value, error
        return made

    def result(self, raise_on_failure: bool = True, *_: object, **__: object) -> Any:
        """Return the value, or raise the error. Prefect would raise in any failed state."""
        if self._error and raise_on_failure:
            raise self._error
        return self._error or self._value

    async def aresult(self, raise_on_failure: bool = True, *_: object, **__: object) -> Any:
        """Do the same."""
        return self.result(raise_on_failure)

    def __str__(self) -> str:
        return f"{self.name}(type={self.type.value})"


class JobTask(Task[P, R]):
    """A Prefect task whose function may return a `TaskState`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task. In a call without `return_state`, return its value or raise its error."""
        called: Any = super().__call__(*args, **kwargs)
        return called if kwargs.get("return_state") else _unwrapped(called)

    def with_options(self, **options: Any) -> JobTask[P, R]:
        """Return a copy with other options."""
        changed = super().with_options(**options)
        changed.__class__ = JobTask
        return cast("JobTask[P, R]", changed)


async def _unwrapped(called: Any) -> Any:
    returned = await called if inspect.isawaitable(called) else called
    return returned.result() if isinstance(returned, TaskState) else returned


def job_task(
    *, ends: Ends | None = None, left: tuple[type[Exception], ...] = (), **options: Any
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Decorate the async function of a task. `options` are those of Prefect's `task`.

    A `GraphqlJobsError` gives the task run the state that `run_state` names. With `ends`, so does the first job that
    did not succeed, and the task returns its value all the same. An error in `left` means that the task rightly did
    nothing. If a person cancels the flow run, the task run is Cancelled; Prefect would show it as Crashed.
    """

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        @wraps(function)
        async def ending(*args: Any, **kwargs: Any) -> Any:
            try:
                value = await cast("Any", function)(*args, **kwargs)
            except GraphqlJobsError as error:
                return TaskState.of(run_state(error), error=error)
            except left as error:
                return TaskState.of(Completed(name="LeftRunning", message=str(error)), error=error)
            except (asyncio.CancelledError, TerminationSignal) as stop:
                if not await _is_cancelled_by_a_person():
                    raise
                return TaskState.of(Cancelled(message="The flow run was cancelled."), error=stop)
            if ends is None or isinstance(value, State):
                return value
            state = overall_state(ends(value))
            return TaskState.of(state, value) if state else value

        return JobTask(fn=cast("Callable[P, R]", ending), **options)

    return decorate


async def _is_cancelled_by_a_person() -> bool:
    """Whether a person cancelled this flow run. False if that cannot be read in time: the process is about to end."""
    try:
        async with asyncio.timeout(_READ_S):
            run_id = await root_run_id()
            return run_id is not None and await is_cancelled_by_a_person(run_id)
    except Exception:  # any error of Prefect's client: the stop goes on, and Prefect shows the task run as Crashed
        return False


def _is_new(record: logging.LogRecord) -> bool:
    """Whether this is not Prefect's line about a task that returned a failed state, before it logs the state itself.

    Prefect logs that a task run is Cancelled as an error. A person who cancels knows it.
    """
    if str(record.msg) == _CANCELLED:
        record.levelno, record.levelname = logging.INFO, logging.getLevelName(logging.INFO)
    return not _LOGGED_TWICE.match(str(record.msg))


logging.getLogger("prefect.task_runs").addFilter(_is_new)
