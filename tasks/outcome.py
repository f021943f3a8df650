"""How a run ended: for what comes next as plain JSON, for the person as the state of the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Failed

from graphql_jobs import GraphqlJobsError, Job, JobState, errors, require_success

#: Our choice: Prefect's server refuses parameters of more than 512 KiB in all (PREFECT_SERVER_API_MAX_PARAMETER_SIZE).
MAX_RESULT_CHARACTERS = 200_000

# The name of the run's state for each way in which a flow can fail.
_STATE_NAMES: Mapping[type[GraphqlJobsError], str] = {
    errors.JobFailed: "JobFailed",
    errors.JobCancelled: "JobCancelled",
    errors.JobNotFound: "JobLost",
    errors.ResultUnavailable: "ResultUnavailable",
    errors.WaitTimedOut: "TimedOut",
    errors.ProviderLost: "ProviderLost",
    errors.SubmissionUnknown: "SubmissionUnknown",
    errors.InvalidInput: "InvalidInput",
    errors.RequestFailed: "RequestFailed",
}


def outcome(
    provider: str, job_id: str, ended: Job | GraphqlJobsError, result: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What downstream gets for one job: the job as plain JSON, or why there is none to show in `error`.

    `result` is what the job made; None if there is nothing, or if it is too large for a parameter, and then
    `result_omitted_characters` says how large.
    """
    if not isinstance(ended, Job):
        return {"provider": provider, "job_id": job_id, "state": str(JobState.UNKNOWN), "error": str(ended)}
    size = len(json.dumps(result))
    if size > MAX_RESULT_CHARACTERS:
        return ended.to_json() | {"result": None, "result_omitted_characters": size}
    return ended.to_json() | {"result": result}


def overall_state(ended: Mapping[str, Job | GraphqlJobsError]) -> State[Any] | None:
    """The state of a run that waited for several jobs: None if all succeeded, else by the first that did not."""
    failures = [failure for how in ended.values() if (failure := _failure(how))]
    if not failures:
        return None
    state = run_state(failures[0])
    if len(ended) > 1:
        others = "".join(f"\n{failure}" for failure in failures[1:3])
        state.message = f"{len(failures)} of {len(ended)} jobs did not succeed. {failures[0]}{others}"
    return state


def _failure(ended: Job | GraphqlJobsError) -> GraphqlJobsError | None:
    if isinstance(ended, GraphqlJobsError):
        return ended
    try:
        require_success(ended)
    except errors.JobEnded as failure:
        return failure
    return None


def run_state(error: GraphqlJobsError) -> State[Any]:
    """A state whose name tells failed, cancelled, timed out and lost apart, and whose message is the error's.

    A job that somebody cancelled at the provider makes a cancelled run: nobody wants it tried again.
    """
    name = next((name for kind, name in _STATE_NAMES.items() if isinstance(error, kind)), "Failed")
    if isinstance(error, errors.JobCancelled):
        return Cancelled(name=name, message=str(error), data=error)
    return Failed(name=name, message=str(error), data=error)
