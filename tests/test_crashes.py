"""Runs that are killed and run again, on real workers (a few of `make crash-test`), and the judgement of that test."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.crashes.batch import Batch, Course
from tests.crashes.course import run_trials
from tests.crashes.judge import Ending, broken_promises, jobs_of
from tests.crashes.plan import OPERATIONS, Operation, Point, Trial, deal
from tests.prefect_api import api_at

if TYPE_CHECKING:
    from scripts.stack import Stack

BY_TITLE = {operation.title: operation for operation in OPERATIONS}
#: One for each kind of recovery, at the most critical points.
CHOSEN = [
    ("createJob", Point.WORK_DONE, True),
    ("launch, shared target", Point.AFTER_INTENT, False),
    ("auto-label", Point.REQUEST_LEFT, False),
    ("export", Point.HANDED_OVER, True),
    ("create project", Point.ANSWERED, True),
]
GOOD = Ending(struck=True, state="Completed", followers=[("Completed", 1)])
UNKNOWN = Ending(struck=True, state="SubmissionUnknown")


def trial_of(title: str, point: Point, *, moves: bool = False, number: int = 1) -> Trial:
    return Trial(number, BY_TITLE[title], point, moves, is_lost=False, after_container=False)


def ledger_of(trial: Trial, *job_ids: str, cancelled: tuple[str, ...] = ()) -> dict[str, Any]:
    """The emulator's ledger when these jobs are created for the trial, with a job of another trial."""
    others = replace(trial, number=trial.number + 1)
    made = [(trial, job_id) for job_id in job_ids] + [(others, "of another trial")]
    return {
        "submissions": [
            {"operation": one.operation.field, "job_id": job_id, "spec": one.operation.parameters(one.name, "")}
            for one, job_id in made
        ],
        "cancels": [{"job_id": job_id, "accepted": True} for job_id in cancelled],
    }


@pytest.mark.prefect
async def test_runs_that_are_killed_and_run_again_keep_the_promises(stack: Stack) -> None:
    """Five runs, three of them run again on a worker with an empty home: a job each, and one of unknown outcome."""
    trials = [
        trial_of(title, point, moves=moves, number=number) for number, (title, point, moves) in enumerate(CHOSEN, 1)
    ]
    with api_at(stack.environment["PREFECT_API_URL"]):
        verdicts = await run_trials(stack, trials, print)
    assert [(verdict.trial.title, verdict.problems) for verdict in verdicts if verdict.problems] == []
    assert [len(verdict.jobs) for verdict in verdicts] == [1, 1, 1, 2, 1]
    assert stack.leaks() == []


@pytest.mark.prefect
async def test_batch_that_is_killed_and_run_again_has_each_job_once(stack: Stack) -> None:
    """40 jobs, killed at three random steps and after the hand-over: 40 submissions, downstream once, few records."""
    with api_at(stack.environment["PREFECT_API_URL"]):
        course = await Batch(stack, jobs=40, seed=1).run(4, print)
    assert course.broken_promises() == []
    assert len(course.struck) >= 3
    assert stack.leaks() == []


def test_job_that_was_submitted_twice_or_is_missing_breaks_a_promise() -> None:
    """Two jobs in the ledger: twice for one recording, one for two, and a second hand-over."""
    good = Course(2, submissions=Counter("ab"), downstream_runs=1, state="Completed")
    assert good.broken_promises() == []
    assert replace(good, submissions=Counter("abb")).broken_promises() == ["submitted twice: 1"]
    assert replace(good, submissions=Counter("a")).broken_promises() == ["there are 1 jobs"]
    assert replace(good, downstream_runs=2).broken_promises() == ["downstream was started 2 times"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.title)
def test_a_second_job_of_one_trial_breaks_the_promise_unless_it_does_no_harm(operation: Operation) -> None:
    """Two jobs in the ledger after one kill: only an export may be repeated."""
    trial = trial_of(operation.title, Point.WAITING)
    jobs = jobs_of(trial, ledger_of(trial, "first", "second"))
    assert jobs == ["first", "second"]
    problems = broken_promises(trial, GOOD, jobs)
    assert problems == ([] if operation.promise == "repeatable" else ["2 jobs were made: first, second."])


def test_a_job_that_was_cancelled_does_not_survive() -> None:
    """Two jobs, one of them cancelled: one surviving job."""
    trial = trial_of("createJob", Point.WORK_DONE)
    jobs = jobs_of(trial, ledger_of(trial, "first", "second", cancelled=("second",)))
    assert jobs == ["first"]
    assert broken_promises(trial, GOOD, jobs) == []


def test_a_run_that_completes_without_a_job_is_a_broken_promise() -> None:
    """The ledger has only jobs of other trials: "completed" alone is not believed."""
    trial = trial_of("create project", Point.REQUEST_LEFT)
    assert broken_promises(trial, GOOD, jobs_of(trial, ledger_of(trial))) == ["no job was made."]


@pytest.mark.parametrize("followers", [[], [("Completed", 1)] * 2, [("Completed", 2)], [("Crashed", 1)]])
def test_downstream_that_did_not_run_exactly_once_is_a_broken_promise(followers: list[tuple[str, int]]) -> None:
    """Not at all, twice, one run in two attempts, or one that crashed."""
    trial = trial_of("export", Point.HANDED_OVER)
    assert len(broken_promises(trial, replace(GOOD, followers=followers), ["first"])) == 1


@pytest.mark.parametrize("jobs", [[], ["first"]])
def test_what_nobody_can_tell_must_end_as_unknown_with_one_job_at_most(jobs: list[str]) -> None:
    """An auto-label job whose answer was lost: no guess that it exists, no second job, and no downstream run."""
    trial = trial_of("auto-label", Point.WORK_DONE)
    assert broken_promises(trial, UNKNOWN, jobs) == []
    assert broken_promises(trial, UNKNOWN, ["first", "second"]) != []
    assert broken_promises(trial, replace(UNKNOWN, followers=[("Completed", 1)]), jobs) != []
    assert broken_promises(trial, GOOD, jobs) != []


def test_unknown_is_no_way_out_where_one_can_tell() -> None:
    """An auto-label job whose handle was recorded, and an aiWARE job in its container: both must continue."""
    for title, point in (("auto-label", Point.WAITING), ("launch", Point.WORK_DONE)):
        assert broken_promises(trial_of(title, point), UNKNOWN, ["first"]) != []


@pytest.mark.parametrize("ending", [replace(GOOD, state="hung"), replace(GOOD, struck=False)])
def test_a_run_that_hangs_or_was_never_killed_is_not_counted_as_good(ending: Ending) -> None:
    """Otherwise all trials would pass if the kill switch failed."""
    assert broken_promises(trial_of("createJob", Point.ENDED), ending, ["first"]) != []


def test_280_trials_are_five_for_each_operation_and_point_and_half_of_them_move() -> None:
    """Assigned by the seed: another seed gives another order, the same seed the same."""
    trials = deal(280, seed=3)
    cells = Counter((trial.operation.title, trial.point) for trial in trials)
    assert set(cells.values()) == {5}
    assert len(cells) == len(OPERATIONS) * len(Point)
    assert sum(trial.moves for trial in trials) == 140
    assert len({trial.name for trial in trials}) == 280
    assert deal(280, seed=3) == trials != deal(280, seed=4)
