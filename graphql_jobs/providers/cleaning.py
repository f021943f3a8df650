"""Remove secrets from a job's ids and status words: a server may put anything there (guarantee 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from graphql_jobs.job import Job, JobFailure, JobTask
    from graphql_jobs.transport.redaction import KeptSecrets

T = TypeVar("T")


def cleaned(job: Job, secrets: KeptSecrets) -> Job:
    """Return the job, which is nearly always clean, or a copy with stars in place of secrets."""
    words = [job.raw_status, job.raw_created, job.raw_modified, job.target_id, job.result_id]
    words += [word for task in job.tasks for word in (task.task_id, task.raw_status, task.engine_id, task.raw_started)]
    together = "\n".join([word for word in words if type(word) is str])
    if secrets.clean_id(together) is together:
        return job

    def clean(word: T) -> T:
        return cast("T", secrets.clean_id(word)) if isinstance(word, str) else word

    def of_failure(failure: JobFailure) -> JobFailure:
        return type(failure)(failure.reason, failure.message, clean(failure.task_id))

    def of_task(task: JobTask) -> JobTask:
        return task._replace(
            task_id=clean(task.task_id),
            raw_status=clean(task.raw_status),
            engine_id=clean(task.engine_id),
            raw_started=clean(task.raw_started),
            failure=of_failure(task.failure) if task.failure else None,
        )

    return job._replace(
        raw_status=clean(job.raw_status),
        raw_created=clean(job.raw_created),
        raw_modified=clean(job.raw_modified),
        target_id=clean(job.target_id),
        result_id=clean(job.result_id),
        tasks=tuple([of_task(task) for task in job.tasks]),
        failures=tuple([of_failure(failure) for failure in job.failures]),
    )
