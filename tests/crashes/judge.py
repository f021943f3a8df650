"""Whether a trial kept the promises, by the records of the emulator and Prefect. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.crashes.plan import Trial

_GOOD = "Completed"
_UNKNOWN = "SubmissionUnknown"


@dataclass
class Ending:
    """The end of a trial, by Prefect's records."""

    struck: bool = False
    #: Name and message of the run's last state; "hung" if it never ended.
    state: str = "not run"
    message: str = ""
    #: State and number of attempts of each downstream run.
    followers: list[tuple[str, int]] = field(default_factory=list)
    #: How often the run was set to run again, since a late report of the worker undid it.
    retries: int = 0
    #: From the creation of the first run to the end of the last, in seconds.
    seconds: float = 0.0


def jobs_of(trial: Trial, ledger: Mapping[str, Any]) -> list[str]:
    """The ids of the jobs that were created for the trial and not cancelled."""
    cancelled = {cancel["job_id"] for cancel in ledger["cancels"] if cancel["accepted"]}
    return [
        submission["job_id"]
        for submission in ledger["submissions"]
        if submission["operation"] == trial.operation.field
        and trial.name in json.dumps(submission["spec"])
        and submission["job_id"] not in cancelled
    ]


def broken_promises(trial: Trial, ending: Ending, jobs: Sequence[str]) -> list[str]:
    """The promises that were broken, in words; empty if none was."""
    if not ending.struck:
        return [f"it was not killed; it ended as {ending.state}: {ending.message}"]
    wanted = _UNKNOWN if trial.is_ambiguous else _GOOD
    problems = []
    if ending.state != wanted:
        problems.append(f"it ended as {ending.state} and not as {wanted}: {ending.message}")
    if trial.operation.promise == "repeatable":
        if not jobs:
            problems.append("no job was made.")
    elif len(jobs) > 1:
        problems.append(f"{len(jobs)} jobs were made: {', '.join(jobs)}.")
    elif not jobs and not trial.is_ambiguous:
        problems.append("no job was made.")
    followers = [] if trial.is_ambiguous else [(_GOOD, 1)]
    if ending.followers != followers:
        problems.append(f"downstream ran as {ending.followers} and not as {followers}.")
    return problems
