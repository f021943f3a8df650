"""The judge: compares the ends that a contestant reports with the facts. Pure.

An end is detected at the instant that the contestant reports, because the work between an answer and that instant is
part of the latency. An instant before the first answer with the end is rejected. Without an instant, the time
of that answer counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

# Our choice: the emulator and a contestant read the machine's clock with different calls.
_CLOCK_TOLERANCE_S = 0.05

Outcome = Literal["succeeded", "failed", "gave_up", "cancelled"]


@dataclass(frozen=True)
class End:
    """A contestant's report about one wait; `at` None: it does not know when it saw the end."""

    job_id: str
    outcome: Outcome
    at: float | None


@dataclass(frozen=True)
class Truth:
    """When a job ended (inf: never), and when the first answer with its end was sent (None: never)."""

    end_at: float
    told_at: float | None


@dataclass(frozen=True)
class Verdict:
    """The waits, counted by how they ended. `waits` is the sum of all counts but `doubled` and `strange`."""

    waits: int
    detected: int
    # Succeeded and was not reported.
    missed: int
    # Reported more than once; each further report counts.
    doubled: int
    # Succeeded and was reported as failed or given up.
    false_failed: int
    # Reported as ended before it ended, or before an answer said so.
    early: int
    cancelled: int
    # Never ends, and the wait was given up; or was not.
    bounded: int
    unbounded: int
    # Reported, and not one of the planted jobs.
    strange: int
    # For each detected end: the job, when it ended, and how much later the contestant knew.
    latencies_s: tuple[tuple[str, float, float], ...]


def judge(truths: Mapping[str, Truth], ends: Sequence[End]) -> Verdict:
    """Compare reports with facts. The first report about a job counts."""
    first: dict[str, End] = {}
    for end in ends:
        first.setdefault(end.job_id, end)
    counts: dict[str, int] = dict.fromkeys(
        ("detected", "missed", "false_failed", "early", "cancelled", "bounded", "unbounded"), 0
    )
    latencies = []
    for job_id, truth in truths.items():
        word, latency_s = _compare(truth, first.get(job_id))
        counts[word] += 1
        if latency_s is not None:
            latencies.append((job_id, truth.end_at, latency_s))
    strange = sum(end.job_id not in truths for end in ends)
    doubled = len(ends) - len(first)
    return Verdict(len(truths), **counts, doubled=doubled, strange=strange, latencies_s=tuple(latencies))


def _compare(truth: Truth, end: End | None) -> tuple[str, float | None]:
    never_ends = truth.end_at == inf
    if end is None:
        return ("unbounded" if never_ends else "missed"), None
    if end.outcome == "cancelled":
        return "cancelled", None
    if end.outcome != "succeeded":
        return ("bounded" if never_ends and end.outcome == "gave_up" else "false_failed"), None
    at = truth.told_at if end.at is None else end.at
    if truth.told_at is None or at is None or at < truth.told_at - _CLOCK_TOLERANCE_S:
        return "early", None
    return "detected", at - truth.end_at


def most_in_one_second(instants: Sequence[float]) -> int:
    """Return the largest number of instants within any one second."""
    ordered, first, most = sorted(instants), 0, 0
    for last, at in enumerate(ordered):
        while ordered[first] <= at - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most
