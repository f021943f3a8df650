"""Whether a create was sent: who gives up on a submission knows then whether anything is unknown."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from graphql_jobs.errors import RequestFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphql_jobs.providers.base import JobClient
    from graphql_jobs.spec import JobSpec

_sent_at: ContextVar[list[float] | None] = ContextVar("sent_at", default=None)


@contextmanager
def noted_creates(sent_at: list[float]) -> Iterator[None]:
    """`sent_at` gets the instants at which creates are sent from within this block."""
    token = _sent_at.set(sent_at)
    try:
        yield
    finally:
        _sent_at.reset(token)


def note_create(at: float) -> None:
    """A create is sent now."""
    if (sent_at := _sent_at.get()) is not None:
        sent_at.append(at)


def not_sent(client: JobClient, spec: JobSpec) -> RequestFailed:
    """The error for a job whose create could not be sent in the time of a submission."""
    limits = client.session.limits
    rate = "" if limits.requests_per_s is None else f", with requests_per_s={limits.requests_per_s:g}"
    detail = f"it was not sent within submission_s={limits.submission_s:g}{rate}. Nothing was started."
    failure = RequestFailed(client.provider, spec.operation, spec.subject, detail)
    failure.unexecuted = True
    return failure
