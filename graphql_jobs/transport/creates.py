"""Whether a create was sent: who gives up on a submission knows then whether anything is unknown."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

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
