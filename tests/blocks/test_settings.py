"""What the job blocks share: how long they wait."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from blocks.settings import WaitSettings, wait_policy

LIMITS = ("give_up_after_s", "queued_at_most_s", "running_at_most_s", "unchanged_at_most_s", "unseen_at_most_s")


def test_a_block_has_the_limits_of_the_flows() -> None:
    """Each by the flows' name for it, and in the place of the policy that it has in a flow's."""
    values = {name: 100.0 + number for number, name in enumerate((*LIMITS, "longest_pause_s"))}
    policy = WaitSettings.model_validate(values).policy()
    assert policy == wait_policy(**values)
    deadlines = policy.deadlines
    assert (deadlines.total_s, deadlines.queued_s, deadlines.running_s) == (100, 101, 102)
    assert (deadlines.unchanged_s, deadlines.unseen_s, policy.schedule.max_delay_s) == (103, 104, 105)
    assert policy.outage_budget_s == 100


def test_by_default_a_block_waits_for_a_day() -> None:
    """And has no other limit: the policy of a flow that is given nothing."""
    assert WaitSettings().policy() == wait_policy(24 * 3600.0)


@pytest.mark.parametrize("name", [*LIMITS, "longest_pause_s"])
@pytest.mark.parametrize("value_s", [0, -1, float("inf"), float("nan")])
def test_a_limit_that_is_none_is_refused(name: str, value_s: float) -> None:
    """Nothing waits for ever, nor for no time."""
    with pytest.raises(ValidationError, match=name):
        WaitSettings.model_validate({name: value_s})
