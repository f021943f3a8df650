"""Everything that this package raises. docs/ref/errors.md shows all classes in one table.

Three things are three classes: a failed request (`RequestFailed`), a failed job (`JobFailed`) and a wait that stopped
(`WaitStopped`). All survive pickling. No message holds a secret: the session removes those that it knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graphql_jobs.titles import job_name, request_name, some, title_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql_jobs.job import Job


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", "...")) else f"{text}."


class GraphqlJobsError(Exception):
    """Base of all errors of this package."""


class InvalidInput(GraphqlJobsError, ValueError):
    """The caller's input cannot work. Nothing was sent.

    `parameter` is the name of the input that the caller gave.
    """

    def __init__(self, parameter: str, problem: str) -> None:
        super().__init__(parameter, problem)
        self.parameter = parameter
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.parameter}: {self.problem} Nothing was sent."


class RequestFailed(GraphqlJobsError):
    """A request got no usable answer. This says nothing about the job.

    `subject` is the object of the request ("job 20072915_mrEONv6h0H"); `detail` describes the answer.
    """

    #: A retry may succeed. It is also set on an instance, after a `Retry-After`.
    transient: bool = False
    #: The server did not execute the request, so a create may be sent again. It is also set on an instance.
    unexecuted: bool = False
    meaning: ClassVar[str] = "the request failed"
    #: What to do. On an instance, a session adds where its credentials come from.
    advice: str = ""

    def __init__(
        self, provider: str, operation: str, subject: str, detail: str, retry_after_s: float | None = None
    ) -> None:
        super().__init__(provider, operation, subject, detail, retry_after_s)
        self.provider, self.operation, self.subject = provider, operation, subject
        self.detail, self.retry_after_s = detail, retry_after_s

    def __str__(self) -> str:
        request = request_name(self.provider, self.operation, self.subject)
        return f"{request}: {self.meaning}: {_sentence(self.detail)} {self.advice}".strip()


class Unreachable(RequestFailed):
    """Nothing was sent: the connection was refused, the host is unknown, or connecting took too long."""

    transient = True
    unexecuted = True
    meaning = "no connection"
    advice = "Check the address and the network; nothing was sent."


class ConnectionLost(RequestFailed):
    """The request was sent, and the connection ended before the whole answer was read."""

    transient = True
    meaning = "the connection was lost after the request was sent"


class TimedOut(ConnectionLost):
    """The request was sent, and the whole answer did not arrive in time. The server may still execute it."""

    meaning = "no answer came in time"


class ServerFailed(RequestFailed):
    """The server, or a proxy in front of it, reports that it failed."""

    transient = True
    meaning = "the server failed"


class RateLimited(RequestFailed):
    """Refused before any work was done. `retry_after_s` is the delay that the server asked for, if any."""

    transient = True
    unexecuted = True
    meaning = "too many requests"
    advice = "Send fewer requests, or have the limit raised."


class TooMuchAtOnce(RequestFailed):
    """The request was too large or too expensive; a smaller one may pass."""

    unexecuted = True
    meaning = "the request was too large or too expensive"
    advice = "Request less, or send less, at once."


class AnswerTooLarge(TooMuchAtOnce):
    """The request was executed, but its answer exceeds the size limit and was not read."""

    unexecuted = False
    meaning = "the answer was too large"


class SignInFailed(RequestFailed):
    """The credentials were refused, also after a new sign-in if one is possible."""

    unexecuted = True
    meaning = "sign-in failed"
    advice = "Renew the token or the client credentials."


class NotAllowed(RequestFailed):
    """The account lacks the permission."""

    unexecuted = True
    meaning = "not allowed"
    advice = "Give the account the right, or use another account."


class RequestRefused(RequestFailed):
    """The server says that the request itself is wrong. Sending it again cannot help."""

    unexecuted = True
    meaning = "the server refused the request"


class NotFound(RequestFailed):
    """The object that the request names does not exist, or this account may not see it."""

    unexecuted = True
    meaning = "not found"
    advice = "Check the id, and that this account may see it."


class OperationFailed(RequestFailed):
    """The operation ended with an error without a known code; only its text is known.

    Datasaur publishes no codes, so this may be anything: a wait continues, within its outage budget.
    """

    transient = True
    meaning = "the operation failed"


class BadReply(RequestFailed):
    """The answer is not GraphQL, does not have the promised shape, or exceeds the size limit."""

    transient = True
    meaning = "the answer cannot be read"


class BadEndpoint(RequestFailed):
    """The URL is not that of the service: a bad certificate, a redirect, or a path that does not exist."""

    unexecuted = True
    meaning = "this is not the service's address"
    advice = "Check the base URL."


class SubmissionUnknown(GraphqlJobsError):
    """A create was sent and no response came: the job may exist, so it is not sent again.

    `sent_at` is an ISO 8601 instant; `cause` is the text of what went wrong.
    """

    def __init__(self, provider: str, operation: str, subject: str, sent_at: str, cause: str) -> None:
        super().__init__(provider, operation, subject, sent_at, cause)
        self.provider, self.operation, self.subject = provider, operation, subject
        self.sent_at, self.cause = sent_at, cause

    def __str__(self) -> str:
        request = request_name(self.provider, self.operation, self.subject)
        return (
            f"{request}, sent at {self.sent_at}: it is not known whether the "
            f"job was created: {_sentence(self.cause)} It was not sent again, since that could start, and bill, a "
            f"second job. Search {title_of(self.provider)} for a job of that time, or its result: if it exists, wait "
            "for it by its id; if not, submit again in a new run (with force_resubmit, if the run has a key)."
        )


class JobError(GraphqlJobsError):
    """About one job: `provider` and `job_id` say which."""

    def __init__(self, provider: str, job_id: str, detail: str) -> None:
        super().__init__(provider, job_id, detail)
        self.provider, self.job_id, self.detail = provider, job_id, detail

    def __str__(self) -> str:
        return f"{job_name(self.provider, self.job_id)}: {self.detail}"


class JobEnded(JobError):
    """The job failed or was cancelled. Carries the last `job` that was read."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.provider, job.job_id, job.describe())
        self.job = job
        self.args = (job,)  # for unpickling


class JobFailed(JobEnded):
    """The provider says that the job failed."""


class JobCancelled(JobEnded):
    """Someone cancelled the job at the provider."""


class JobNotFound(JobError):
    """The provider does not know the job: the id or the account is wrong, or it was deleted."""


class CancelRefused(JobError):
    """The provider refused to cancel the job, or cannot. The job was left running, unless it `has_ended` before."""

    def __init__(self, provider: str, job_id: str, detail: str, has_ended: bool = False) -> None:
        super().__init__(provider, job_id, detail)
        self.args, self.has_ended = (*self.args, has_ended), has_ended


class ResultUnavailable(JobError):
    """The job succeeded, but its result could not be fetched."""


_LEFT = "The job was left as it is and may still finish: wait for it again by its id."


class WaitStopped(GraphqlJobsError):
    """The wait stopped after `waited_s` seconds. The job may still finish, unless `after` says otherwise."""

    def __init__(self, provider: str, job_ids: Sequence[str], waited_s: float, detail: str, after: str = _LEFT) -> None:
        super().__init__(provider, tuple(job_ids), waited_s, detail, after)
        self.provider, self.job_ids, self.waited_s = provider, tuple(job_ids), waited_s
        self.detail, self.after = detail, after

    def __str__(self) -> str:
        jobs = f"{title_of(self.provider)} {some(self.job_ids)}"
        return f"{jobs}: gave up after {self.waited_s:.0f} s: {self.detail} {self.after}"


class WaitTimedOut(WaitStopped):
    """A deadline passed before the job ended. `detail` names the deadline and the last status seen."""


class CheckRefused(WaitStopped):
    """A poll was refused permanently before the wait had seen the job: sign-in, rights or address. `detail`: why."""


class ProviderLost(WaitStopped):
    """Every poll failed for longer than the outage budget. `detail` is the last failure."""
