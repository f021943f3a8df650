"""Whether a suspended run kept the promises, by the records of the emulator and Prefect. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.crashes.suspended.plan import STATES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.crashes.suspended.plan import Trial


@dataclass
class Ending:
    """The end of a run, by Prefect's records."""

    #: Names of its states, in order.
    history: list[str] = field(default_factory=list)
    message: str = ""
    is_final: bool = False
    #: The number of downstream runs.
    followers: int = 0
    #: Whether the watcher was killed while it resumed or ended the run.
    is_interrupted: bool = False
    #: Whether the run had ended when it was cancelled, so that Prefect refused the cancel.
    is_refused: bool = False

    @property
    def state(self) -> str:
        """The name of the last state."""
        return self.history[-1] if self.history else "none"


def jobs_of(trial: Trial, submissions: Sequence[Mapping[str, Any]]) -> list[str]:
    """The ids of the jobs that were created for the trial."""
    return [
        submission["job_id"]
        for submission in submissions
        if submission["job_id"] and trial.name in json.dumps(submission["spec"])
    ]


def broken_promises(trial: Trial, ending: Ending, jobs: Sequence[str]) -> list[str]:
    """The promises that were broken, in words; empty if none was."""
    told = f"its states: {', '.join(ending.history)}; {ending.message}"
    problems = []
    wanted_states = {trial.state}
    if trial.cancel_at and not trial.kind.needs_process and ending.is_interrupted:
        # The watcher that ended the run was killed before it could set it to Cancelled again. Either end is true, since
        # the job had ended and a person cancelled the run at the same instant; nothing else may be.
        wanted_states.add(STATES[trial.kind.end])
    if trial.cancel_at and not trial.kind.needs_process and ending.is_refused:
        wanted_states = {STATES[trial.kind.end]}
    if not ending.is_final or ending.state not in wanted_states:
        problems.append(f"it is {ending.state} and not {trial.state}; {told}")
    if len(jobs) != trial.jobs:
        problems.append(f"{len(jobs)} jobs were made, and not {trial.jobs}: {', '.join(jobs)}.")
    resumed, executed = ending.history.count("Resuming"), ending.history.count("Running")
    first = 0 if trial.kind.is_sensor else 1
    at_least = 0 if trial.cancel_at else 1 if trial.kind.needs_process else 0
    at_most = 1 if trial.kind.needs_process else 0
    if not at_least <= resumed <= at_most:
        problems.append(f"it was resumed {resumed} times; {told}")
    if executed > first + resumed or (executed < first + resumed and not trial.cancel_at):
        problems.append(f"it was executed {executed} times and resumed {resumed} times; {told}")
    wanted = 1 if trial.state == "Completed" else 0
    if ending.followers != wanted:
        problems.append(f"downstream was started {ending.followers} times and not {wanted} times; {told}")
    return problems
