"""Suspended runs while the watcher is killed, Prefect restarts and the provider is away; see `make crash-test`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from scripts.scaled import ScaledStack, missing
from scripts.stack import Stack
from tests.crashes.suspended.course import Plan, run_trials
from tests.crashes.suspended.judge import Ending, broken_promises, jobs_of
from tests.crashes.suspended.plan import KINDS, Kill, Kind, Request, Trial, deal, kills
from tests.prefect_api import api_at

NEEDS_DATABASES = pytest.mark.skipif(bool(missing()), reason=missing())
#: Fewer than in `make crash-test`: each start of the watcher or of a run takes 3 s of a core.
WITHIN_S = 30.0
ON_WORKER = 2
KILLS = (Kill(Request.CLAIM, True), Kill(Request.RESUME, False), Kill(Request.RESUME, True), Kill(Request.END, True))

RESUMED = ["Scheduled", "Pending", "Running", "Suspended", "Resuming", "Pending", "Running", "Completed"]
GOOD = Ending(RESUMED, is_final=True, followers=1)


def trial_of(kind: Kind, number: int = 1, **fields: Any) -> Trial:
    return Trial(number, kind, 0.0, on_worker=True, cancel_at=fields.get("cancel_at"))


SUCCEEDS = trial_of(Kind("run_aiware_job", "succeeds"))


@pytest.mark.prefect
@pytest.mark.parametrize("kind", [Stack, pytest.param(ScaledStack, marks=NEEDS_DATABASES)])
async def test_suspended_runs_keep_the_promises_while_everything_around_them_fails(kind: type[Stack]) -> None:
    """Twenty runs, one of each kind; the watcher is killed four times, Prefect restarts once, no provider for 20 s.

    On SQLite, and on PostgreSQL with Redis.
    """
    plan = Plan(deal(len(KINDS), 1, WITHIN_S, ON_WORKER), KILLS, WITHIN_S, restarts=1, away_s=20)
    with kind() as stack, api_at(stack.environment["PREFECT_API_URL"]):
        verdicts = await run_trials(stack, plan, print)
    assert [(verdict.trial.title, verdict.problems) for verdict in verdicts if verdict.problems] == []


@pytest.mark.parametrize(
    "ending",
    [
        replace(GOOD, is_final=False, history=RESUMED[:4]),
        replace(GOOD, history=[*RESUMED[:-1], "JobFailed"]),
        replace(GOOD, history=[*RESUMED[:-1], "Running", "Completed"]),
        replace(GOOD, history=[*RESUMED[:-1], "Suspended", "Resuming", "Running", "Completed"]),
        replace(GOOD, followers=0),
        replace(GOOD, followers=2),
    ],
)
def test_run_that_did_not_end_as_it_must_breaks_a_promise(ending: Ending) -> None:
    """Left suspended, ended otherwise, executed twice, resumed twice, downstream not started or started twice."""
    assert broken_promises(SUCCEEDS, GOOD, ["job"]) == []
    assert broken_promises(SUCCEEDS, ending, ["job"]) != []


@pytest.mark.parametrize("jobs", [[], ["first", "second"]])
def test_other_number_of_jobs_breaks_a_promise(jobs: list[str]) -> None:
    """None, or two for one run."""
    assert broken_promises(SUCCEEDS, GOOD, jobs) != []


def test_cancelled_run_that_was_revived_breaks_a_promise() -> None:
    """It must end as Cancelled, even if it was resumed before."""
    trial = trial_of(Kind("run_aiware_job", "succeeds", is_cancelled=True), cancel_at="with")
    stays = Ending([*RESUMED[:4], "Cancelled", "Resuming", "Cancelled"], is_final=True)
    assert broken_promises(trial, stays, ["job"]) == []
    assert broken_promises(trial, replace(GOOD, history=[*RESUMED[:4], "Cancelled", *RESUMED[4:]]), ["job"]) != []


def test_run_that_is_cancelled_while_it_is_ended_may_fail_only_if_the_watcher_dies_too() -> None:
    """Cancelled, then JobFailed: the watcher sets Cancelled again, unless it was killed in between."""
    trial = trial_of(Kind("run_aiware_job", "fails", "fail", is_cancelled=True), cancel_at="before")
    failed = Ending([*RESUMED[:4], "Cancelled", "JobFailed"], is_final=True)
    assert broken_promises(trial, failed, ["job"]) != []
    assert broken_promises(trial, replace(failed, is_interrupted=True), ["job"]) == []


def test_run_that_had_ended_when_it_was_cancelled_keeps_its_end() -> None:
    """JobFailed, if Prefect refused the cancel. A resumed run has not ended then: its cancel is never refused."""
    trial = trial_of(Kind("run_aiware_job", "fails", "fail", is_cancelled=True), cancel_at="with")
    failed = Ending([*RESUMED[:4], "JobFailed"], is_final=True)
    assert broken_promises(trial, failed, ["job"]) != []
    assert broken_promises(trial, replace(failed, is_refused=True), ["job"]) == []
    resumed = trial_of(Kind("run_aiware_job", "succeeds", is_cancelled=True), cancel_at="with")
    assert broken_promises(resumed, replace(GOOD, is_refused=True), ["job"]) != []


def test_run_that_fails_without_a_process_is_not_resumed() -> None:
    """`on_failure="fail"`: from Suspended to JobFailed."""
    trial = trial_of(Kind("run_aiware_job", "fails", "fail"))
    assert broken_promises(trial, Ending([*RESUMED[:4], "JobFailed"], is_final=True), ["job"]) == []
    assert broken_promises(trial, Ending([*RESUMED[:-1], "JobFailed"], is_final=True), ["job"]) != []


def test_jobs_of_other_trials_are_not_counted() -> None:
    """By the name of the trial in the submission; a container is not a job."""
    made = [("mine", SUCCEEDS.name), ("another's", "suspended-0002"), (None, SUCCEEDS.name)]
    submissions = [{"job_id": job_id, "spec": {"address": name}} for job_id, name in made]
    assert jobs_of(SUCCEEDS, submissions) == ["mine"]


def test_sixty_trials_are_three_of_each_kind_and_ten_kills_are_one_at_each_point() -> None:
    """The seed decides the order; twelve runs are cancelled."""
    trials = deal(60, 3, 180.0, on_worker=60)
    assert set(Counter(trial.kind for trial in trials).values()) == {3}
    assert sum(trial.cancel_at is not None for trial in trials) == 12
    assert len(set(kills(10, 3))) == 10
    assert kills(10, 3) == kills(10, 3) != kills(10, 4)
