"""The exit codes of the commands, which scripts rely on. Pure."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from graphql_jobs import errors
from graphql_jobs.handle import CancelOutcome
from graphql_jobs.job import Job, JobState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class ExitCode(IntEnum):
    """The exit codes, except 1: an error that the command does not expect."""

    SUCCEEDED = 0
    UNEXPECTED = 1
    BAD_INPUT = 2  # also a wrong option
    FAILED = 3
    CANCELLED = 4
    TIMED_OUT = 5
    UNREACHABLE = 6
    REFUSED = 7
    NOT_FOUND = 8
    NO_RESULT = 9
    NOT_ENDED = 10
    INTERRUPTED = 130  # as shells report SIGINT


MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.SUCCEEDED: "All jobs succeeded. `cancel`: all jobs are cancelled.",
    ExitCode.UNEXPECTED: "An error of the program.",
    ExitCode.BAD_INPUT: "An option, a job, a handle or a credential cannot work. Nothing was sent.",
    ExitCode.FAILED: "A job failed.",
    ExitCode.CANCELLED: "A job was cancelled.",
    ExitCode.TIMED_OUT: "A deadline of the wait passed. The job may still finish.",
    ExitCode.UNREACHABLE: "The provider could not be reached, or its answers could not be used. The job may still run.",
    ExitCode.REFUSED: "The provider refused the credentials, the account, the address or the request.",
    ExitCode.NOT_FOUND: "The provider does not know a job.",
    ExitCode.NO_RESULT: "The job succeeded, but its result cannot be fetched.",
    ExitCode.NOT_ENDED: "A job has not ended (`check`, `result`).",
    ExitCode.INTERRUPTED: "Ctrl-C. A job that was waited for is left running.",
}

_OF_STATES = {
    JobState.SUCCEEDED: ExitCode.SUCCEEDED,
    JobState.FAILED: ExitCode.FAILED,
    JobState.CANCELLED: ExitCode.CANCELLED,
}
#: The first matching class counts.
_OF_ERRORS: tuple[tuple[tuple[type[Exception], ...], ExitCode], ...] = (
    ((errors.InvalidInput,), ExitCode.BAD_INPUT),
    ((errors.JobCancelled,), ExitCode.CANCELLED),
    ((errors.JobFailed,), ExitCode.FAILED),
    ((errors.WaitTimedOut,), ExitCode.TIMED_OUT),
    ((errors.JobNotFound, errors.NotFound), ExitCode.NOT_FOUND),
    ((errors.ResultUnavailable,), ExitCode.NO_RESULT),
    ((errors.CheckRefused, errors.CancelRefused, errors.SignInFailed, errors.NotAllowed), ExitCode.REFUSED),
    ((errors.BadEndpoint, errors.RequestRefused), ExitCode.REFUSED),
    ((errors.ProviderLost, errors.RequestFailed), ExitCode.UNREACHABLE),
)


def code_of(end: Job | CancelOutcome | Exception) -> ExitCode:
    """Return the exit code for one job: for its state, the outcome of its cancel, or the error."""
    if isinstance(end, Job):
        return _OF_STATES.get(end.state, ExitCode.NOT_ENDED)
    if isinstance(end, CancelOutcome):
        return ExitCode.SUCCEEDED if end.confirmed else ExitCode.REFUSED
    return next((code for kinds, code in _OF_ERRORS if isinstance(end, kinds)), ExitCode.UNEXPECTED)


def code_of_all(ends: Iterable[Job | CancelOutcome | Exception]) -> ExitCode:
    """Return the exit code for several jobs: the lowest one above 0, if there is any."""
    return min((code for end in ends if (code := code_of(end))), default=ExitCode.SUCCEEDED)
