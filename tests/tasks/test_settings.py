"""The settings that all tasks of the package share."""

from __future__ import annotations

import pytest
from prefect import Task
from prefect.cache_policies import NO_CACHE

import tasks

#: Helpers around tasks: with two of them a flow cancels its jobs, and one creates a run.
NO_TASKS = {"jobs_as_they_end", "cancel_with_the_run", "cancelling_with_the_run", "create_suspended_run"}
ALL = {name: getattr(tasks, name) for name in tasks.__all__ if name not in NO_TASKS}


def test_each_remote_action_has_a_task() -> None:
    """Submit, check one, check many, wait for one and for many, cancel, fetch, start downstream, check a connection."""
    assert set(ALL) == {
        *("submit_job", "check_job", "check_jobs", "wait_for_job", "wait_for_jobs"),
        *("cancel_job", "fetch_result", "start_deployment", "check_connection"),
    }
    assert all(isinstance(task, Task) and task.isasync for task in ALL.values())


@pytest.mark.parametrize("task", ALL.values(), ids=ALL)
def test_no_task_caches(task: Task[..., object]) -> None:
    """A status is soon out of date, and a cached submission would return an old job."""
    assert task.cache_policy is NO_CACHE
    assert not task.persist_result
    assert task.cache_key_fn is None


@pytest.mark.parametrize("task", ALL.values(), ids=ALL)
def test_prefect_retries_no_task(task: Task[..., object]) -> None:
    """Guarantee 2: only the session decides what is sent again."""
    assert task.retries == 0
    assert task.retry_condition_fn is None


@pytest.mark.parametrize("task", ALL.values(), ids=ALL)
def test_task_has_a_readable_name_in_the_ui(task: Task[..., object]) -> None:
    """A name in words, and a description of at least one sentence."""
    assert " " in task.name
    assert "_" not in task.name
    assert task.description
