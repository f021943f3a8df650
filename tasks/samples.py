"""What outcomes look like before there are any: for checking whether a deployment takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql_jobs import GraphqlJobsError, Job, JobFailure, JobState, errors
from graphql_jobs.handle import REPEATS
from graphql_jobs.job import JobTask
from tasks.outcome import MAX_RESULT_CHARACTERS, fitting, outcome

#: Outcomes as they are handed over together, by what they show.
Samples = Mapping[str, list[dict[str, Any]]]

_AT = "2026-01-01T00:00:00+00:00"


def submitted(provider: str, *, may_repeat: bool = False) -> Samples:
    """What a flow hands over that ran a job to its end."""
    done = _job(provider, JobState.SUCCEEDED)
    samples = {
        "of a job that succeeded": [outcome(provider, done.job_id, done, {"sample": "result"})],
        "whose result is too large": [outcome(provider, done.job_id, done, {"x": "x" * MAX_RESULT_CHARACTERS})],
    }
    if may_repeat:
        [first] = samples["of a job that succeeded"]
        samples["of a job that was done again"] = [first | {REPEATS: "sample-job-1"}]
    return samples


def watched(provider: str, when: str, number: int) -> Samples:
    """What the sensor hands over about so many jobs if it starts what follows `when` jobs have ended so."""
    done = _job(provider, JobState.SUCCEEDED)
    samples = dict(submitted(provider))
    samples["without a result"] = [outcome(provider, done.job_id, done)]
    if when != "all succeeded" and (when == "always" or number > 1):
        lost = errors.JobNotFound(provider, done.job_id, "the provider does not know it.")
        ended: dict[str, Job | GraphqlJobsError] = {
            "of a job that failed": _job(provider, JobState.FAILED),
            "of a job that was cancelled": _job(provider, JobState.CANCELLED),
            "of a job that was lost": lost,
        }
        samples |= {words: [outcome(provider, done.job_id, how)] for words, how in ended.items()}
    many = fitting(samples["without a result"] * number)
    if many[0] != samples["without a result"][0]:
        samples["of so many jobs"] = many[:1]
    return samples


def _job(provider: str, state: JobState) -> Job:
    tasks = (JobTask("sample-task", state, state.lower()),) if provider == "aiware" else ()
    failures = (JobFailure("sample_reason", "sample message"),) if state is JobState.FAILED else ()
    target_id = "sample-target" if provider == "aiware" else None
    return Job(provider, "sample-job", state, state.lower(), tasks, failures, None, _AT, _AT, target_id)
