"""Starting what comes next: a run of a deployment, once per key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import httpx
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments import arun_deployment
from prefect.exceptions import ObjectNotFound
from prefect.utilities.schema_tools import validate

from blocks.api import ask, persistent
from graphql_jobs import GraphqlJobsError
from graphql_jobs.errors import InvalidInput, some
from graphql_jobs.handle import REPEATS

#: Our choice: a message of the server's that names a field and what is wrong with it has some hundred characters.
_MAX_CAUSE = 2_000


class HandOverFailed(GraphqlJobsError):
    """The jobs are done; what comes next could not be started. `problems` says what went wrong with which."""

    def __init__(self, job_ids: Sequence[str], problems: Sequence[str]) -> None:
        super().__init__(tuple(job_ids), tuple(problems))
        self.job_ids = tuple(job_ids)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return (
            f"{some(self.job_ids)}: done, but not all that follows could be started: {'; '.join(self.problems)}. "
            "Mend that, then run this flow run again (Retry): it goes on with what is done, fetches the results again "
            "and starts what is missing; what was started is not started twice."
        )


@task(name="start deployment", task_run_name="start {deployment}", cache_policy=NO_CACHE, retries=0)
async def start_deployment(deployment: str, parameters: dict[str, Any], key: str) -> UUID:
    """Start `deployment` ("flow/name") with `parameters`, once per `key`, and give the id of its run.

    A second start with the same key, from any process at any later time, gives the first one's run (guarantee 8).
    """
    run = await started(deployment, parameters, key)
    get_run_logger().info("%s: run %s (%s) follows.", deployment, run.name, run.id)
    return run.id


async def started(deployment: str, parameters: dict[str, Any], key: str) -> FlowRun:
    """The run of `deployment` that belongs to `key`: what the task above does, for callers outside of a run."""
    return await persistent(partial(arun_deployment, deployment, parameters=parameters, idempotency_key=key, timeout=0))


def downstream_key(deployment: str, provider: str, endpoint: str, outcomes: Sequence[Mapping[str, Any]]) -> str:
    """The key under which `deployment` starts once for these outcomes, whoever asks and however often (guarantee 8).

    An outcome is a job and its state: what was handed over as not known yet is handed over again when it has ended. A
    job that was only done again, since the first one's result could not be had any more, counts as the first one.
    """
    jobs = {f"{known_as(outcome)} {outcome['state']}" for outcome in outcomes}
    text = "\n".join([deployment, provider, endpoint, *sorted(jobs)])
    return f"graphql-jobs-{hashlib.sha256(text.encode()).hexdigest()[:40]}"


def known_as(outcome: Mapping[str, Any]) -> str:
    """The id of the job as which this one counts."""
    return str(outcome.get(REPEATS) or outcome["job_id"])


def cause_of(error: Exception) -> str:
    """Why a run could not be started: the words of Prefect's server where it gave some, not cut before their end.

    They may repeat the parameters, so that a long text loses its middle.
    """
    words = f"{type(error).__name__}: {error}"
    if isinstance(error, httpx.HTTPStatusError):
        words = f"HTTP {error.response.status_code}: {_said_by(error.response)}"
    words = " ".join(words.split())
    return words if len(words) <= _MAX_CAUSE else f"{words[: _MAX_CAUSE // 2]} ... {words[-_MAX_CAUSE // 2 :]}"


def _said_by(response: httpx.Response) -> str:
    try:
        answer = response.json()
    except ValueError:
        return response.text
    said = answer.get("detail") or answer.get("exception_detail") if isinstance(answer, dict) else None
    return said if isinstance(said, str) else json.dumps(said or answer)


async def require_deployments(
    deployments: Sequence[str], parameter: str, takes: str, samples: Mapping[str, Any] | None = None
) -> None:
    """Raise `InvalidInput` unless each deployment exists and has a parameter called `takes` and no other must.

    `samples` are values for that parameter, by what they show: all have to fit the deployment's schema, if it enforces
    one. What does not fit would be refused only after the jobs are done.
    """
    for name in deployments:
        if name.count("/") != 1:
            raise InvalidInput(parameter, f"{name!r} is not of the form 'flow name/deployment name'.")
        try:
            deployment = await ask(partial(_read_deployment, name))
        except ObjectNotFound:
            raise InvalidInput(parameter, f"there is no deployment {name!r}. Deploy it first.") from None
        _require_parameter(deployment, name, parameter, takes)
        if deployment.enforce_parameter_schema:
            for shown, value in (samples or {}).items():
                _require_fit(deployment, name, parameter, {takes: value}, shown)


async def _read_deployment(name: str, client: PrefectClient) -> DeploymentResponse:
    return await client.read_deployment_by_name(name)


def _require_fit(
    deployment: DeploymentResponse, name: str, parameter: str, sample: Mapping[str, Any], shown: str
) -> None:
    """Judge as Prefect's server does when a run is created, but the one parameter alone."""
    whole: dict[str, Any] = deployment.parameter_openapi_schema or {}
    schema: Any = {key: value for key, value in whole.items() if key not in {"required", "additionalProperties"}}
    try:
        validate(dict(sample), schema, raise_on_error=True)
    except Exception as misfit:  # whatever a schema of somebody else's raises, it would raise there, too
        raise InvalidInput(parameter, f"{name!r} does not take an outcome {shown}: {cause_of(misfit)}") from None


def _require_parameter(deployment: DeploymentResponse, name: str, parameter: str, takes: str) -> None:
    schema = deployment.parameter_openapi_schema or {}
    if takes not in schema.get("properties", {}):
        raise InvalidInput(
            parameter, f"the flow of {name!r} has no parameter {takes!r}, through which it gets the finished jobs."
        )
    missing = set(schema.get("required", [])) - {takes} - deployment.parameters.keys()
    if missing:
        raise InvalidInput(
            parameter, f"{name!r} needs a value for {', '.join(sorted(missing))}; give it in the deployment."
        )
