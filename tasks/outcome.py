"""The outcome of a job, which downstream deployments get as plain JSON, and the error if they do not get it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from graphql_jobs import GraphqlJobsError, Job, JobHandle, JobState
from graphql_jobs.handle import REPEATS
from graphql_jobs.numbers import json_text
from graphql_jobs.titles import some, title_of

#: The parameter through which a downstream flow gets the finished jobs, a list of outcomes.
JOBS_PARAMETER = "jobs"

#: Our choice: Prefect's server refuses parameters of more than 512 KiB (PREFECT_SERVER_API_MAX_PARAMETER_SIZE).
MAX_RESULT_CHARACTERS = 200_000
MAX_OUTCOMES_CHARACTERS = 450_000


class HandOverFailed(GraphqlJobsError):
    """The jobs are done, but downstream deployments could not be started. `problems` has a sentence for each."""

    def __init__(self, provider: str, job_ids: Sequence[str], problems: Sequence[str]) -> None:
        super().__init__(provider, tuple(job_ids), tuple(problems))
        self.provider = provider
        self.job_ids = tuple(job_ids)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return (
            f"{title_of(self.provider)} {some(self.job_ids)}: done, but not every downstream deployment was started: "
            f"{'; '.join(self.problems)}. "
            "Fix that, then retry this flow run: it keeps the finished jobs, fetches their results and "
            "starts the missing deployments. Nothing is started twice."
        )


def outcome(
    provider: str, job_id: str, ended: Job | GraphqlJobsError, result: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the outcome of one job as plain JSON: the job, or in `error` the reason why its end is not known.

    `result` is JSON text, not JSON: Prefect resolves references and templates in parameters, and the result is
    untrusted data (guarantee 11). It is None if the job has no result. It is also None if it is too large for a
    parameter; `result_omitted_characters` is its size then.
    """
    if not isinstance(ended, Job):
        return {"provider": provider, "job_id": job_id, "state": str(JobState.UNKNOWN), "error": str(ended)}
    text = json_text(result) if result is not None else None
    if text and len(text) > MAX_RESULT_CHARACTERS:
        return ended.to_json() | {"result": None, "result_omitted_characters": len(text)}
    return ended.to_json() | {"result": text}


def outcome_of(
    handle: JobHandle, ended: Job | GraphqlJobsError, result: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the outcome of a job of this run; `repeats` is the id of the earlier job that it repeats, if any."""
    first = handle.details.get(REPEATS)
    return outcome(handle.provider, handle.job_id, ended, result) | ({REPEATS: first} if first else {})


def fitting(outcomes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the outcomes if they fit into one run's parameters, else only their `provider`, `job_id` and `state`."""
    if len(json.dumps(outcomes)) <= MAX_OUTCOMES_CHARACTERS:
        return list(outcomes)
    return [{name: outcome[name] for name in ("provider", "job_id", "state")} for outcome in outcomes]


def known_as(outcome: Mapping[str, Any]) -> str:
    """Return the id of the job that this one repeats, else its own."""
    return str(outcome.get(REPEATS) or outcome["job_id"])
