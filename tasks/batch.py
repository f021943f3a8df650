"""Many jobs in one flow run: submitted in groups, waited for together, each result stored as soon as its job ends.

What the jobs work on has a name: the address of a recording, or the id of a project.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any
from uuid import uuid4

from prefect import get_run_logger
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from blocks.reporting.artifacts import key_of
from blocks.reporting.events import tell
from blocks.reporting.words import success_of_many
from blocks.runs.job_run import JobCredentials
from blocks.runs.root_run import root_run_id
from blocks.runs.submit import submit_from_here, was_submitted_before
from graphql_jobs import GraphqlJobsError, Job, JobClient, JobHandle, JobSpec, JobState, WaitPolicy
from graphql_jobs.errors import InvalidInput, ResultUnavailable, WaitTimedOut
from graphql_jobs.handle import REPEATS
from graphql_jobs.many import AT_ONCE, each
from graphql_jobs.numbers import json_text
from graphql_jobs.providers.datasaur import ExportSpec
from graphql_jobs.urls import without_queries
from tasks.cancelling.layers import cancelling_with_the_run
from tasks.downstream import start_downstream
from tasks.downstream_check import Samples, sample_job
from tasks.job_task import job_task
from tasks.names import submission_of_many
from tasks.outcome import known_as, outcome_of
from tasks.parameters import StartDownstreamWhen
from tasks.run_state import overall_state, succeeded_with
from tasks.until import Ended, is_due, succeeded
from tasks.wait import jobs_as_they_end

#: Our choice: the jobs of one Prefect task run. Ten thousand jobs take a hundred of them.
GROUP = 100
#: Our choice: a thousand jobs are submitted in three minutes.
SUBMISSIONS_PER_S = 5.0


#: What a job works on, in its outcome: "recording", "project", or "item" for other providers.
NOUNS = defaultdict(lambda: "item", aiware="recording", datasaur="project")


@dataclass(frozen=True, slots=True)
class Item:
    """One job of a batch: the name of what it works on, what to run, and the key by which another run finds the job."""

    name: str
    spec: JobSpec
    key: str | None = None


@dataclass(slots=True)
class Batch:
    """The handle of each job, the end of its wait and the file with its result, by the names of the items."""

    provider: str
    handles: dict[str, JobHandle] = field(default_factory=dict)
    ended: dict[str, Ended] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)

    def outcomes(self) -> list[dict[str, Any]]:
        """Return the outcomes of the jobs, each with what it worked on and the file of its result, as plain JSON.

        They are short, since the results of many jobs do not fit into the parameters of a run.
        """
        outcomes = []
        for name, handle in self.handles.items():
            one = outcome_of(handle, self.ended[name])
            kept = ("provider", "job_id", "state", "failures", "error", REPEATS)
            short = {key: one[key] for key in kept if one.get(key)} | {NOUNS[self.provider]: without_queries(name)}
            outcomes.append(short | ({"file": str(self.files[name])} if name in self.files else {}))
        return outcomes


def batch_samples(provider: str, when: StartDownstreamWhen) -> Samples:
    """Return the outcomes that a batch may hand over with this `start_downstream_when`."""
    states = {"of a job that succeeded": JobState.SUCCEEDED, "of a job that failed": JobState.FAILED}
    samples = {}
    for words, state in states.items():
        job = sample_job(provider, state)
        details = {REPEATS: "sample-job-1"} if provider == "datasaur" else {}
        handle = JobHandle(provider=provider, endpoint="https://example.com", job_id=job.job_id, details=details)
        files = {"sample": Path("sample.json")} if state is JobState.SUCCEEDED else {}
        if files or when != "all succeeded":
            samples[words] = Batch(provider, {"sample": handle}, {"sample": job}, files).outcomes()
    return samples


async def run_batch(
    credentials: JobCredentials,
    items: Sequence[Item],
    policy: WaitPolicy,
    folder: Path,
    submissions_per_s: float = SUBMISSIONS_PER_S,
    *,
    force_resubmit: bool = False,
) -> Batch:
    """Submit each item once, wait for all jobs, and store their results in `folder`. A retry of the run continues.

    An item that cannot be submitted does not stop the others: `ended` has its error. But if no item of a group can be
    submitted, the first error is raised.
    """
    _require_folder(folder)
    async with credentials.get_client() as client, cancelling_with_the_run():
        batch = Batch(client.provider)
        for first in range(0, len(items), GROUP):
            group = items[first : first + GROUP]
            submitted = await submit_jobs(
                credentials, group, folder, submissions_per_s, policy.deadlines.total_s, force_resubmit
            )
            batch.handles |= {name: one for name, one in submitted.items() if isinstance(one, JobHandle)}
            batch.ended |= {name: one for name, one in submitted.items() if not isinstance(one, JobHandle)}
        if batch.handles:
            await _collect(credentials, client, batch, policy, folder)
    return batch


async def hand_over(
    batch: Batch, downstream: Sequence[str], when: StartDownstreamWhen
) -> list[dict[str, Any]] | State[Any]:
    """Start the downstream deployments once, with all outcomes. Return the outcomes, or the state of a failed run."""
    outcomes, provider = batch.outcomes(), batch.provider
    started = []
    if outcomes and downstream and is_due(when, batch.ended):
        endpoint = next(iter(batch.handles.values())).endpoint
        scope = [when, sorted(map(known_as, outcomes))]
        started = await start_downstream(downstream, provider, endpoint, outcomes, scope)
    job_ids = [one["job_id"] for one in outcomes]
    message = success_of_many(provider, job_ids, len(started)) if job_ids else f"There is no {NOUNS[provider]}."
    return overall_state(batch.ended) or succeeded_with(outcomes, message)


@job_task(name="submit jobs", task_run_name=submission_of_many, cache_policy=NO_CACHE, retries=0)
async def submit_jobs(
    credentials: JobCredentials,
    items: Sequence[Item],
    folder: Path,
    submissions_per_s: float,
    wait_at_most_s: float = inf,
    force_resubmit: bool = False,
) -> dict[str, JobHandle | GraphqlJobsError]:
    """Submit the items, each as `submit_job` does. Return the handle or the error of each by its name.

    An export whose file an earlier attempt stored in `folder` is not made again. `submissions_per_s` bounds how many
    submissions begin per second. Raises the first error if there is no handle.
    """
    async with credentials.get_client() as client, cancelling_with_the_run():
        clock = client.session.clock
        began_at, now = clock.monotonic(), clock.now()

        async def submit(number: int) -> JobHandle:
            await clock.sleep(max(began_at + number / submissions_per_s - clock.monotonic(), 0.0))
            item = items[number]
            return await submit_from_here(
                credentials,
                client,
                item.spec,
                key=item.key,
                force_resubmit=force_resubmit,
                wait_at_most_s=wait_at_most_s,
                has_result=lambda handle: _stored_in(folder, handle) is not None,
                is_one_of_many=True,
            )

        answers = await each(range(len(items)), submit)
    submitted: dict[str, JobHandle | GraphqlJobsError] = {}
    for number, answer in answers.items():
        if not isinstance(answer, JobHandle | GraphqlJobsError):
            raise answer
        submitted[items[number].name] = answer
    failures = [one for one in submitted.values() if isinstance(one, GraphqlJobsError)]
    if len(failures) == len(submitted):
        raise failures[0]
    for failure in failures:
        get_run_logger().error("%s", failure)
    handles = [one for one in submitted.values() if isinstance(one, JobHandle)]
    before = sum(was_submitted_before(handle, now) for handle in handles)
    words = "Submitted %d jobs, and continuing with %d; %d could not be submitted."
    get_run_logger().info(words, len(handles) - before, before, len(failures))
    return submitted


async def _collect(
    credentials: JobCredentials, client: JobClient, batch: Batch, policy: WaitPolicy, folder: Path
) -> None:
    """Wait for all jobs, and store each result while the others still run."""
    names = {handle.job_id: name for name, handle in batch.handles.items()}
    slots = asyncio.Semaphore(AT_ONCE)

    async def store(name: str, job: Job) -> None:
        async with slots:
            handle = batch.handles[name]
            try:
                batch.files[name] = await _stored(client, handle, job, policy, folder)
            except ResultUnavailable as unavailable:
                batch.ended[name] = unavailable
            except OSError as error:
                batch.ended[name] = ResultUnavailable(job.provider, job.job_id, f"{folder}: {error.strerror}.")

    run_id = await root_run_id()
    coming = jobs_as_they_end(credentials, list(batch.handles.values()), policy)
    async with asyncio.TaskGroup() as storing, aclosing(coming) as ends:
        async for job_id, ended in ends:
            name = names[job_id]
            batch.ended[name] = ended
            if isinstance(ended, WaitTimedOut):
                tell("left-running", batch.handles[name], run_id, ended)
            if isinstance(ended, Job) and succeeded(ended):
                storing.create_task(store(name, ended))


async def _stored(client: JobClient, handle: JobHandle, job: Job, policy: WaitPolicy, folder: Path) -> Path:
    """Fetch the result of a job, unless an earlier attempt has stored it. Return its file: an export's, or the JSON."""
    if known := _stored_in(folder, handle):
        return known
    result = await client.result(handle, job, folder, policy.outage_budget_s)
    file = _json_file(folder, handle)
    _write(file, json_text(result))
    return Path(result.get("file") or file)


def _json_file(folder: Path, handle: JobHandle) -> Path:
    # Two installations of a provider may use the same id.
    return folder / f"{key_of(handle.provider, handle.endpoint, handle.job_id)}.json"


def _stored_in(folder: Path, handle: JobHandle) -> Path | None:
    """Return the file with the result of a job if it is in `folder`.

    An export into your own object storage has no file of its own: the JSON says where it is.
    """
    file = _json_file(folder, handle)
    if file.exists() and handle.operation == ExportSpec.operation:
        file = Path(json.loads(file.read_text()).get("file") or file)
    return file if file.exists() else None


def _write(file: Path, text: str) -> None:
    """Write the whole file, or nothing. Two runs may write the same file."""
    part = file.with_suffix(f".{uuid4().hex}.part")
    part.write_text(text)
    part.replace(file)


def _require_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput("result_folder", f"{str(folder)!r} cannot be created: {error.strerror}.") from None
