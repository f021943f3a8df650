"""Prefect tasks for your flows, one remote action each.

All are async. In a sync flow, call `check_job.submit(credentials, job_id).result()`. No task caches its result. Tasks
that create something have no Prefect retries: the session decides which requests are sent again (guarantee 2).
"""

from tasks.cancel import cancel_job
from tasks.cancelling.layers import cancel_with_the_run, cancelling_with_the_run
from tasks.check import check_job, check_jobs
from tasks.check_connection import check_connection
from tasks.downstream import start_deployment
from tasks.fetch import fetch_result
from tasks.submit import submit_job
from tasks.suspending.create import create_suspended_run
from tasks.wait import jobs_as_they_end, wait_for_job, wait_for_jobs

__all__ = [
    "cancel_job",
    "cancel_with_the_run",
    "cancelling_with_the_run",
    "check_connection",
    "check_job",
    "check_jobs",
    "create_suspended_run",
    "fetch_result",
    "jobs_as_they_end",
    "start_deployment",
    "submit_job",
    "wait_for_job",
    "wait_for_jobs",
]
