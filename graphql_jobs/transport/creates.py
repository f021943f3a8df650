"""Record when creates are sent. This shows whether a submission that was given up may have created a job."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_sent_at: ContextVar[list[float] | None] = ContextVar("sent_at", default=None)


@contextmanager
def noted_creates(sent_at: list[float]) -> Iterator[None]:
    """Append to `sent_at` the instant of each create that is sent within this block."""
    token = _sent_at.set(sent_at)
    try:
        yield
    finally:
        _sent_at.reset(token)


def note_create(at: float) -> None:
    """Record that a create is sent at the instant `at`, in seconds since the epoch."""
    if (sent_at := _sent_at.get()) is not None:
        sent_at.append(at)
