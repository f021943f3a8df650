"""The sensor: wait for jobs, submitted by anyone, then start the downstream deployments."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from blocks.fields import GIVE_UP_AFTER_S, MAX_POLL_INTERVAL_S, wait_policy
from blocks.load import ProviderName, load_credentials
from blocks.reporting.words import success_of_many
from blocks.runs.suspended_wait import Until
from graphql_jobs.inputs import Name
from graphql_jobs.titles import title_of
from tasks import parameters
from tasks import wait as waiting
from tasks.downstream import start_downstream
from tasks.downstream_check import require_deployments, sensor_samples
from tasks.fetch import fetch_results
from tasks.forms import with_form
from tasks.names import count, named_after
from tasks.outcome import JOBS_PARAMETER, outcome
from tasks.run_state import ends_in_a_state, overall_state, succeeded_with
from tasks.suspending.suspend import SUSPEND_AFTER_S
from tasks.until import is_due


@with_form(
    provider="Provider",
    job_ids="Job ids",
    credentials="Name of the credentials block",
    until="Wait until",
    downstream="Then start",
    start_downstream_when="Start them if",
)
@flow(
    name="wait-for-jobs",
    flow_run_name=named_after(
        lambda given: f"wait for {count(given['job_ids'], title_of(given['provider']) + ' job')}"
    ),
    retries=0,
    validate_parameters=False,
)
@ends_in_a_state
async def wait_for_jobs(
    provider: ProviderName,
    job_ids: parameters.JobIds,
    credentials: Name | None = None,
    until: Until = "all ended",
    start_downstream_when: parameters.StartDownstreamWhen = "all succeeded",
    give_up_after_s: parameters.GiveUpAfter = GIVE_UP_AFTER_S,
    queued_at_most_s: parameters.QueuedAtMost = None,
    running_at_most_s: parameters.RunningAtMost = None,
    unchanged_at_most_s: parameters.UnchangedAtMost = None,
    unseen_at_most_s: parameters.UnseenAtMost = None,
    max_poll_interval_s: parameters.MaxPollInterval = MAX_POLL_INTERVAL_S,
    suspend: parameters.Suspend = False,
    suspend_after_s: parameters.SuspendAfter = SUSPEND_AFTER_S,
    on_failure: parameters.OnFailure = "resume",
    downstream: list[Name] = [],  # noqa: B006 (never changed; the form needs a plain default)
) -> list[dict[str, Any]] | State[Any]:
    """Wait for jobs of one provider that other people or programs submitted, and start the downstream deployments.

    All jobs are polled together, in few requests. The run fails if any job did not succeed.

    Args:
        job_ids: Ids of the jobs, one per item. Duplicates are ignored.
        credentials: A saved block of this provider. Empty for the block with the provider's name.
        until: Wait until all have ended, or only until the first job fails or succeeds.
        start_downstream_when: Start the downstream deployments if all jobs succeeded, if any did, or in any case.
        downstream: Deployments to start once, with all outcomes, as flow/deployment. Each takes the parameter jobs.

    Returns:
        The outcomes, in the order of their ends, as plain JSON.
    """
    policy = wait_policy(
        give_up_after_s, queued_at_most_s, running_at_most_s, max_poll_interval_s, unchanged_at_most_s, unseen_at_most_s
    )
    samples = sensor_samples(provider, start_downstream_when, len(job_ids))
    await require_deployments(downstream, "downstream", JOBS_PARAMETER, samples)
    block = await load_credentials(provider, credentials or provider)
    async with block.get_client() as client:
        ended = await waiting.wait_for_jobs(
            block,
            job_ids,
            policy,
            until,
            suspend=suspend,
            suspend_after_s=suspend_after_s,
            on_failure=on_failure,
        )
        due = bool(downstream) and is_due(start_downstream_when, ended)
        results = await fetch_results(block, ended, policy) if due else {}
        finished = [outcome(provider, job_id, how, results.get(job_id)) for job_id, how in ended.items()]
        started = []
        if due:
            scope = [until, start_downstream_when, sorted(set(job_ids))]
            started = await start_downstream(downstream, provider, client.session.url, finished, scope)
    message = success_of_many(provider, ended, len(started))
    return overall_state(ended) or succeeded_with(finished, message)
