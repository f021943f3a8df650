"""The state in which a flow run of this project ends. Its name is the kind of failure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast, overload

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from blocks.runs.cancelled_by_person import CANCELLED_AT_PROVIDER
from graphql_jobs import GraphqlJobsError, Job, errors, require_success
from tasks.outcome import HandOverFailed
from tasks.parameters import ParameterCheck, described

P = ParamSpec("P")
R = TypeVar("R")

#: The name of the state of a run that may or may not have started its job.
UNKNOWN_STATE = "SubmissionUnknown"

# The name of the run's state for each error.
_STATE_NAMES: Mapping[type[GraphqlJobsError], str] = {
    errors.JobFailed: "JobFailed",
    errors.JobCancelled: CANCELLED_AT_PROVIDER,
    errors.JobNotFound: "JobLost",
    errors.ResultUnavailable: "ResultUnavailable",
    errors.WaitTimedOut: "TimedOut",
    errors.CheckRefused: "CheckRefused",
    HandOverFailed: "HandOverFailed",
    errors.ProviderLost: "ProviderLost",
    errors.SubmissionUnknown: UNKNOWN_STATE,
    errors.InvalidInput: "InvalidInput",
    errors.RequestFailed: "RequestFailed",
}
#: All names of states of failed runs.
ERROR_STATES = (*_STATE_NAMES.values(), "Failed")


def overall_state(ended: Mapping[str, Job | GraphqlJobsError]) -> State[Any] | None:
    """Return the state of a run that waited for several jobs, or None if all succeeded."""
    failures = [failure for how in ended.values() if (failure := _failure(how))]
    if not failures:
        return None
    # A cancelled job must not hide a failed one: the run is Cancelled only if all these jobs were cancelled.
    failures.sort(key=lambda failure: isinstance(failure, errors.JobCancelled))
    state = run_state(failures[0])
    if len(ended) > 1:
        shown = "\n".join(map(str, failures[:3]))
        state.message = f"{len(failures)} of {len(ended)} jobs did not succeed. {shown}"
    return state


def succeeded_with(value: R, message: str) -> R:
    """Return the final state of a run that succeeded. Prefect gives the run's caller the value."""
    return cast("R", Completed(message=message, data=value))


def _failure(ended: Job | GraphqlJobsError) -> GraphqlJobsError | None:
    if isinstance(ended, GraphqlJobsError):
        return ended
    try:
        require_success(ended)
    except errors.JobEnded as failure:
        return failure
    return None


@overload
def ends_in_a_state(flow: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R | State[Any]]]: ...


@overload
def ends_in_a_state(flow: Callable[P, R]) -> Callable[P, R]: ...


def ends_in_a_state(flow: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate the function of a flow: return the `run_state` of a `GraphqlJobsError` instead of raising it.

    It also checks the parameters, so the flow needs `validate_parameters=False`, and adds the descriptions of
    shared parameters to the docstring.
    """
    signature = inspect.signature(flow, eval_str=True)
    check = ParameterCheck(flow.__name__, signature)

    @wraps(flow)
    def ending_at_once(*args: Any, **kwargs: Any) -> Any:
        try:
            return flow(**check.checked(args, kwargs))
        except GraphqlJobsError as error:
            return run_state(error)

    @wraps(flow)
    async def ending(*args: Any, **kwargs: Any) -> Any:
        try:
            return await flow(**check.checked(args, kwargs))
        except GraphqlJobsError as error:
            return run_state(error)

    # Prefect would evaluate the annotations in this module; in the signature they are evaluated.
    wrapped: Any = ending if inspect.iscoroutinefunction(flow) else ending_at_once
    wrapped.__signature__ = signature
    wrapped.__doc__ = described(flow.__doc__ or "", signature)
    return cast("Callable[..., Any]", wrapped)


def run_state(error: GraphqlJobsError) -> State[Any]:
    """Return the state for an error. Its name is the kind of error, its message is the error's.

    A job that was cancelled at the provider makes the run Cancelled, which Prefect does not retry.
    """
    name = next((name for kind, name in _STATE_NAMES.items() if isinstance(error, kind)), "Failed")
    if isinstance(error, errors.JobCancelled):
        return Cancelled(name=name, message=str(error), data=error)
    return Failed(name=name, message=str(error), data=error)
