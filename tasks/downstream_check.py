"""Check whether the downstream deployments accept the outcomes, before a job is submitted.

Each deployment is checked with sample outcomes, one of each kind that the flow may hand over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from prefect import get_run_logger
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

from blocks.api import ask
from blocks.runs.root_run import root_run_id
from blocks.runs.store import RunStore
from graphql_jobs import GraphqlJobsError, Job, JobFailure, JobState, errors
from graphql_jobs.errors import InvalidInput
from graphql_jobs.handle import REPEATS
from graphql_jobs.job import JobTask
from tasks.downstream import cause_of
from tasks.outcome import JOBS_PARAMETER, MAX_RESULT_CHARACTERS, fitting, outcome

#: Lists of outcomes, by description.
Samples = Mapping[str, list[dict[str, Any]]]

_AT = "2026-01-01T00:00:00+00:00"


async def require_downstream(deployments: Sequence[str], samples: Samples) -> None:
    """Raise `InvalidInput` unless each deployment accepts outcomes like these.

    If an earlier attempt of this run submitted a job, log the problem instead: the job may have succeeded, and the
    hand-over reports the problem then.
    """
    try:
        await require_deployments(deployments, "downstream", JOBS_PARAMETER, samples)
    except InvalidInput as misfit:
        if not await _was_submitted_before():
            raise
        get_run_logger().warning("%s An earlier attempt has submitted a job, so this run continues.", misfit.problem)


async def _was_submitted_before() -> bool:
    run_id = await root_run_id()
    if run_id is None:
        return False
    store = RunStore(run_id)
    own = await store.read_all()
    return any(entries[-1].get("kind") != "void" for entries in own.values()) or bool(await store.references())


async def require_deployments(
    deployments: Sequence[str], parameter: str, takes: str, samples: Mapping[str, Any] | None = None
) -> None:
    """Raise `InvalidInput` unless each deployment exists, has a parameter `takes` and requires no other.

    `samples` are values for that parameter, by description. All must fit the deployment's schema, if it enforces one:
    otherwise Prefect's server would refuse the hand-over after the jobs are done.
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
    """Validate the one parameter as Prefect's server does when a run is created."""
    from prefect.utilities.schema_tools import validate  # imports SQLAlchemy: 0.3 s of a core that other runs save

    whole: dict[str, Any] = deployment.parameter_openapi_schema or {}
    schema: Any = {key: value for key, value in whole.items() if key not in {"required", "additionalProperties"}}
    try:
        validate(dict(sample), schema, raise_on_error=True)
    except Exception as misfit:  # the schema is the user's: any error here would also occur in the server
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


def job_samples(provider: str, *, may_repeat: bool = False) -> Samples:
    """Return the outcomes that a flow that submits a job may hand over."""
    done = sample_job(provider, JobState.SUCCEEDED)
    samples = {
        "of a job that succeeded": [outcome(provider, done.job_id, done, {"sample": "result"})],
        "whose result is too large": [outcome(provider, done.job_id, done, {"x": "x" * MAX_RESULT_CHARACTERS})],
    }
    if may_repeat:
        [first] = samples["of a job that succeeded"]
        samples["of a job that was done again"] = [first | {REPEATS: "sample-job-1"}]
    return samples


def sensor_samples(provider: str, when: str, number: int) -> Samples:
    """Return the outcomes that the sensor may hand over for `number` jobs with this `start_downstream_when`."""
    done = sample_job(provider, JobState.SUCCEEDED)
    samples = dict(job_samples(provider))
    samples["without a result"] = [outcome(provider, done.job_id, done)]
    if when != "all succeeded" and (when == "always" or number > 1):
        lost = errors.JobNotFound(provider, done.job_id, "the provider does not know it.")
        ended: dict[str, Job | GraphqlJobsError] = {
            "of a job that failed": sample_job(provider, JobState.FAILED),
            "of a job that was cancelled": sample_job(provider, JobState.CANCELLED),
            "of a job that was lost": lost,
        }
        samples |= {words: [outcome(provider, done.job_id, how)] for words, how in ended.items()}
    many = fitting(samples["without a result"] * number)
    if many[0] != samples["without a result"][0]:
        samples["of this many jobs"] = many[:1]
    return samples


def sample_job(provider: str, state: JobState) -> Job:
    """Return a job for an outcome."""
    tasks = (JobTask("sample-task", state, state.lower()),) if provider == "aiware" else ()
    failures = (JobFailure("sample_reason", "sample message"),) if state is JobState.FAILED else ()
    target_id = "sample-target" if provider == "aiware" else None
    return Job(provider, "sample-job", state, state.lower(), tasks, failures, None, _AT, _AT, target_id)
