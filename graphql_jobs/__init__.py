"""Run long jobs on services behind a GraphQL API: submit, poll, wait for and collect them.

    from graphql_jobs import BearerToken, wait
    from graphql_jobs.providers.aiware import AiwareClient, EngineJobSpec

    async with AiwareClient.connect("https://api.veritone.com", BearerToken(key)) as client:
        handle = await client.submit(EngineJobSpec(engine_id=engine, upload_url=url))
        job = await wait(client, handle)

This package does not use Prefect. The folders `blocks/`, `tasks/` and `flows/` do: the wheel has them as
`graphql_jobs_prefect`.
"""

from graphql_jobs.errors import GraphqlJobsError
from graphql_jobs.handle import CancelOutcome, JobHandle
from graphql_jobs.job import Job, JobFailure, JobState, JobTask
from graphql_jobs.label import Label, checked_caller_key, submission_key
from graphql_jobs.providers.base import JobClient
from graphql_jobs.providers.recovery import Recovery
from graphql_jobs.spec import JobSpec
from graphql_jobs.store import LocalStore, Store
from graphql_jobs.submission.submit import OnUnknown, submit_once
from graphql_jobs.transport.auth import BearerToken, ClientCredentials
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.session import Session
from graphql_jobs.waiting.metrics import Snapshot
from graphql_jobs.waiting.policy import Deadlines, Schedule, WaitPolicy
from graphql_jobs.waiting.wait import require_success, snapshot, wait, wait_many

__version__ = "0.1.0"

__all__ = [
    "BearerToken",
    "CancelOutcome",
    "ClientCredentials",
    "Deadlines",
    "GraphqlJobsError",
    "Job",
    "JobClient",
    "JobFailure",
    "JobHandle",
    "JobSpec",
    "JobState",
    "JobTask",
    "Label",
    "Limits",
    "LocalStore",
    "OnUnknown",
    "Recovery",
    "Schedule",
    "Session",
    "Snapshot",
    "Store",
    "WaitPolicy",
    "checked_caller_key",
    "require_success",
    "snapshot",
    "submission_key",
    "submit_once",
    "wait",
    "wait_many",
]
