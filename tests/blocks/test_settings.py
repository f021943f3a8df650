"""The limits of a wait in job blocks."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from blocks.fields import WaitSettings, wait_policy
from graphql_jobs import Deadlines, JobState, WaitPolicy, errors
from graphql_jobs.waiting.checkpoints import Checkpoint
from graphql_jobs.waiting.watch import Watch
from tests.graphql_jobs.waits import DOWN, handle, job

LIMITS = ("give_up_after_s", "queued_at_most_s", "running_at_most_s", "unchanged_at_most_s", "unseen_at_most_s")


def test_job_block_has_the_limits_of_the_flows() -> None:
    """Each has the same name and effect as in the flows."""
    values = {name: 100.0 + number for number, name in enumerate((*LIMITS, "max_poll_interval_s"))}
    policy = WaitSettings.model_validate(values).policy()
    assert policy == wait_policy(**values)
    deadlines = policy.deadlines
    assert (deadlines.total_s, deadlines.queued_s, deadlines.running_s) == (100, 101, 102)
    assert (deadlines.unchanged_s, deadlines.unseen_s, policy.schedule.max_delay_s) == (103, 104, 105)
    assert policy.outage_budget_s == 100


def test_by_default_a_block_waits_for_a_day() -> None:
    """It has no other limit, like a flow with its defaults."""
    assert WaitSettings().policy() == wait_policy(24 * 3600.0)


@pytest.mark.parametrize("name", [*LIMITS, "max_poll_interval_s"])
@pytest.mark.parametrize("value_s", [0, -1, float("inf"), float("nan")])
def test_wrong_limit_is_refused(name: str, value_s: float) -> None:
    """A limit is more than 0 s and finite."""
    with pytest.raises(ValidationError, match=name):
        WaitSettings.model_validate({name: value_s})


@pytest.mark.parametrize(
    ("name", "limit"),
    [("give_up_after_s", "total_s"), ("queued_at_most_s", "queued_s"), ("unseen_at_most_s", "unseen_s")],
)
def test_message_names_the_parameter_that_set_the_limit(name: str, limit: str) -> None:
    """In a form, the limit is called `give_up_after_s=60`; in a script, `total_s=60`."""
    seen = errors.JobNotFound("fake", "a", "") if name == "unseen_at_most_s" else job("a", JobState.PENDING)
    for policy, told in (
        (wait_policy(**{"give_up_after_s": 600.0, name: 60.0}), f"the deadline {name}=60 ({limit}=60) passed"),
        (WaitPolicy(deadlines=Deadlines(**{limit: 60.0})), f"the deadline {limit}=60 passed"),
    ):
        ended = Watch(handle("a"), policy, Checkpoint(0.0)).judge(seen, 60.0)
        assert isinstance(ended, errors.WaitTimedOut)
        assert told in str(ended)


@pytest.mark.parametrize(
    ("give_up_after_s", "told"),
    [(600.0, "give_up_after_s=600 (outage_budget_s=600)"), (86400.0, "(outage_budget_s=3600)")],
)
def test_outage_budget_is_named_by_the_parameter_where_one_set_it(give_up_after_s: float, told: str) -> None:
    """A wait of ten minutes has no outage budget of an hour: the message names the parameter that shortened it."""
    watch = Watch(handle("a"), wait_policy(give_up_after_s), Checkpoint(0.0))
    watch.judge(job("a"), 0.0)
    watch.judge(DOWN, 1.0)
    ended = watch.judge(DOWN, 3601.0)
    assert isinstance(ended, errors.ProviderLost)
    assert told in str(ended)
