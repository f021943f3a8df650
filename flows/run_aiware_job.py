"""Run a job on aiWARE and start the downstream deployments with its result."""

from __future__ import annotations

from typing import Any

from prefect import flow

from blocks.fields import GIVE_UP_AFTER_S, MAX_POLL_INTERVAL_S, wait_policy
from graphql_jobs import JobSpec
from graphql_jobs.errors import InvalidInput
from graphql_jobs.inputs import Name
from graphql_jobs.providers.aiware import AiwareJobSpec, EngineJobSpec, EngineTask, NewTarget, Route
from tasks import parameters
from tasks.cancelling.layers import cancel_with_the_run
from tasks.forms import with_form
from tasks.names import engine_run, named_after
from tasks.pipeline import JobOptions, run_to_the_end
from tasks.run_state import ends_in_a_state
from tasks.suspending.suspend import SUSPEND_AFTER_S


@with_form(
    tasks="Tasks of the job",
    routes="Connections between the tasks' folders",
    target_id="Existing data object (TDO)",
    target="New data object (TDO)",
    credentials="Name of the aiWARE Credentials block",
    downstream="Then start",
    cluster_id="Cluster",
    job_config="Notes kept with the job (JSON)",
    engine_id="Instead of tasks: engine",
    upload_url="Instead of tasks: address of the recording",
    template_fields="Instead of tasks: engine settings",
)
@flow(
    name="run-aiware-job",
    flow_run_name=named_after(engine_run),
    retries=0,
    validate_parameters=False,
    on_cancellation=[cancel_with_the_run],
)
@ends_in_a_state
async def run_aiware_job(
    engine_id: Name | None = None,
    upload_url: parameters.Address | None = None,
    target_id: Name | None = None,
    template_fields: parameters.TemplateFields = {},  # noqa: B006 (never changed; the form needs a plain default)
    tasks: list[EngineTask] = [],  # noqa: B006 (as above)
    routes: list[Route] = [],  # noqa: B006 (as above)
    target: NewTarget | None = None,
    job_config: dict[str, Any] = {},  # noqa: B006 (as above)
    cluster_id: parameters.ClusterId = None,
    credentials: Name = "aiware",
    give_up_after_s: parameters.GiveUpAfter = GIVE_UP_AFTER_S,
    queued_at_most_s: parameters.QueuedAtMost = None,
    running_at_most_s: parameters.RunningAtMost = None,
    unchanged_at_most_s: parameters.UnchangedAtMost = None,
    unseen_at_most_s: parameters.UnseenAtMost = None,
    on_timeout: parameters.OnTimeout = "leave",
    max_poll_interval_s: parameters.MaxPollInterval = MAX_POLL_INTERVAL_S,
    key: parameters.Key = None,
    on_unknown: parameters.OnUnknown = "fail",
    force_resubmit: parameters.ForceResubmit = False,
    suspend: parameters.Suspend = False,
    suspend_after_s: parameters.SuspendAfter = SUSPEND_AFTER_S,
    on_failure: parameters.OnFailure = "resume",
    downstream: parameters.Downstream = [],  # noqa: B006 (as above)
) -> dict[str, Any]:
    """Run one aiWARE job to its end, fetch its engine results and start the downstream deployments.

    Give an engine and media to run the engine's own job template, or give the tasks of a job.

    Args:
        engine_id: Id of one engine, to run it by its own job template. Leave empty if you give tasks.
        upload_url: The engine fetches the recording from this address. Leave empty if you give tasks.
        target_id: Id of the data object that holds the recording, for tasks or for an engine. Empty for a new one.
        tasks: The tasks of a job, adapters first. Leave empty if you give an engine.
        routes: Each connects an output folder of one task to an input folder of another. Only with tasks.
        target: A data object to create together with the job, instead of an existing one. Only with tasks.
        job_config: aiWARE stores this JSON with the job. Only with tasks.
        credentials: The block holds the address and the token. Create it under Blocks.

    Returns:
        The outcome: provider, job_id, state, task_counts, target_id and result, as plain JSON.
    """
    if bool(engine_id) == bool(tasks):
        raise InvalidInput("engine_id", "give an engine or tasks, and not both.")
    with_tasks = {"routes": routes, "target": target, "job_config": job_config}
    stray = with_tasks if engine_id else {"upload_url": upload_url, "template_fields": template_fields}
    for parameter, value in stray.items():
        if value:
            raise InvalidInput(parameter, "it goes with tasks." if engine_id else "it goes with an engine.")
    spec: JobSpec
    if engine_id:
        fields = template_fields | ({"clusterId": cluster_id} if cluster_id else {})
        spec = EngineJobSpec.of(engine_id=engine_id, upload_url=upload_url, target_id=target_id, fields=fields)
    else:
        spec = AiwareJobSpec.of(tasks=tasks, **with_tasks, target_id=target_id, cluster_id=cluster_id)
    policy = wait_policy(
        give_up_after_s, queued_at_most_s, running_at_most_s, max_poll_interval_s, unchanged_at_most_s, unseen_at_most_s
    )
    options = JobOptions(key, on_unknown, force_resubmit, on_timeout, suspend, suspend_after_s, on_failure)
    return await run_to_the_end("aiware", credentials, spec, policy, downstream, options)
