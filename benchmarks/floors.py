"""What no poller at this interval can beat, computed from the durations. Pure."""

from __future__ import annotations

from bisect import bisect_right
from math import ceil, floor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def request_floor(durations_s: Sequence[float | None], interval_s: float, batch: int, at_most_s: float) -> int:
    """The sum over ticks of ceil(live / batch), with ticks at T, 2 T, ... after the start.

    A job is live until the first tick at or after its end; one that never ends, until the last tick that its deadline
    `at_most_s` lets it have. The look that registers the waits comes before the start and is not in it.
    """
    ends = sorted(at_most_s if duration_s is None else duration_s for duration_s in durations_s)
    last_tick = ceil(ends[-1] / interval_s) if ends else 0
    live = (len(ends) - bisect_right(ends, (tick - 1) * interval_s) for tick in range(1, last_tick + 1))
    return sum(ceil(count / batch) for count in live)


def latency_floor_s(interval_s: float, share: float) -> float:
    """Ends that come at any instant between two looks are late by U(0, T)."""
    return share * interval_s


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not below `share` of all; raises ValueError for none."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, ceil(share * len(ordered)) - 1))]


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Of the straight line through the first and the last point."""
    return (ys[-1] - ys[0]) / (xs[-1] - xs[0])


def bin_counts(values: Sequence[float], width: float, bins: int) -> list[int]:
    """How many values lie in each bin of `width` from 0 on; the last bin takes what lies beyond."""
    counts = [0] * bins
    for value in values:
        counts[max(0, min(bins - 1, floor(value / width)))] += 1
    return counts
