"""Clocks: where the emulator gets its instants (epoch seconds, float)."""

import time
from typing import Protocol

# Our choice: a fixed, round instant (2023-11-14T22:13:20Z), so that ids and dates are the same in every run.
DEFAULT_START_AT = 1_700_000_000.0


class Clock(Protocol):
    """A clock that can be advanced."""

    def now(self) -> float:
        """Epoch seconds."""
        ...

    def advance(self, duration_s: float) -> None:
        """Move time forward by `duration_s` seconds."""
        ...


class ManualClock:
    """Time stands still until `advance` is called."""

    def __init__(self, start_at: float = DEFAULT_START_AT) -> None:
        self._now_at = start_at

    def now(self) -> float:
        """Epoch seconds."""
        return self._now_at

    def advance(self, duration_s: float) -> None:
        """Move time forward; raises ValueError for a negative duration."""
        self._now_at += _forward(duration_s)


class SystemClock:
    """Time that runs from now on, `speed` times as fast as real time."""

    def __init__(self, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be above 0, got {speed}")
        self.speed = speed
        self._start_at = time.time()
        # It uses the monotonic clock, so a correction of the machine's clock cannot set it back.
        self._started_monotonic_s = time.monotonic()

    def now(self) -> float:
        """Epoch seconds."""
        return self._start_at + (time.monotonic() - self._started_monotonic_s) * self.speed

    def advance(self, duration_s: float) -> None:
        """Jump forward; raises ValueError for a negative duration."""
        self._start_at += _forward(duration_s)


def _forward(duration_s: float) -> float:
    if not 0 <= duration_s < float("inf"):
        raise ValueError(f"time only moves forward, got {duration_s} s")
    return duration_s
