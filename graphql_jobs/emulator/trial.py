"""A trial: jobs with given durations that end by one clock, held until all are watched, and the judge of the ends.

The judge takes as the detection the instant that the contestant wrote down when it knew, since what it does between an
answer and that knowledge is a part of its latency. It believes no instant before it sent the first answer that held the
end: that is the proof that both used one clock. Where a contestant tells no instant, its own sending counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Literal

from graphql_jobs.emulator.aiware.world import AiwareWorld
from graphql_jobs.emulator.behaviour import Pace
from graphql_jobs.emulator.clock import Clock
from graphql_jobs.emulator.datasaur.world import DatasaurWorld
from graphql_jobs.emulator.faults import FaultPlan, JobFault
from graphql_jobs.emulator.ledger import Ledger, Provider
from graphql_jobs.emulator.lifecycle import Course

# Our choice: longer than any trial, so that nothing ends before the start.
_HELD_S = 1e8
# Our choice: the emulator and a contestant read the machine's clock by different calls.
_CLOCK_TOLERANCE_S = 0.05

Outcome = Literal["succeeded", "failed", "gave_up", "cancelled"]


@dataclass(frozen=True)
class End:
    """What a contestant says of one wait; `at` None: it cannot tell when it knew."""

    job_id: str
    outcome: Outcome
    at: float | None


@dataclass(frozen=True)
class Truth:
    """When a job ended (inf: never), and when the first answer that held its end was sent (None: never)."""

    end_at: float
    told_at: float | None


@dataclass(frozen=True)
class Verdict:
    """What became of the waits. `waits` is the sum of all counts but `doubled` and `strange`."""

    waits: int
    detected: int
    # Ended well, and nobody was told.
    missed: int
    # Told more than once, each further time counted.
    doubled: int
    # Ended well, and told as failed or given up.
    false_failed: int
    # Told as ended before it was so, or before an answer said so.
    early: int
    cancelled: int
    # Never ends, and the wait was bounded; or was not.
    bounded: int
    unbounded: int
    # Told of jobs that are none of the trial.
    strange: int
    # Of what was detected: the true end with how much later it was known.
    latencies_s: tuple[tuple[float, float], ...]


def judge(truths: Mapping[str, Truth], ends: Sequence[End]) -> Verdict:
    """Hold what was told against what was so. The first word on a job counts."""
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
            latencies.append((truth.end_at, latency_s))
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


class Trial:
    """One experiment of one emulator."""

    def __init__(
        self, clock: Clock, faults: FaultPlan, ledger: Ledger, aiware: AiwareWorld, datasaur: DatasaurWorld
    ) -> None:
        self._clock = clock
        self._faults = faults
        self._ledger = ledger
        self._worlds: dict[Provider, AiwareWorld | DatasaurWorld] = {"aiware": aiware, "datasaur": datasaur}
        self._durations_s: dict[str, float] = {}
        self._jobs: dict[str, Any] = {}
        self._unasked: set[str] = set()
        self._end_at: dict[str, float] = {}
        self._told_at: dict[str, float] = {}
        self._ends: list[End] = []
        self._started_at: float | None = None

    def plant(self, provider: Provider, durations_s: Sequence[float | None]) -> list[str]:
        """Jobs that work for so long from the start on (None: for ever); faults of operation "plant" strike them."""
        world, now_at = self._worlds[provider], self._clock.now()
        job_ids = []
        for duration_s in durations_s:
            fault = self._faults.for_job(provider, "plant", None)
            job = world.plant()
            job.course = Course(now_at, Pace(0.0, _HELD_S), _held(fault))
            self._jobs[job.id], self._durations_s[job.id] = (job, fault), inf if duration_s is None else duration_s
            job_ids.append(job.id)
        self._unasked |= set(job_ids)
        return job_ids

    def note_asked(self, variables: Mapping[str, Any]) -> None:
        """A request came with these variables. Before the start it shows which jobs are watched."""
        if self._unasked and self._started_at is None:
            for value in variables.values():
                texts = value if isinstance(value, list) else [value]
                self._unasked.difference_update(text for text in texts if isinstance(text, str))

    def note_told(self, job_ids: Sequence[str]) -> None:
        """An answer with the statuses of these jobs is sent now."""
        if self._started_at is not None:
            now_at = self._clock.now()
            for job_id in job_ids:
                if self._end_at.get(job_id, inf) <= now_at:
                    self._told_at.setdefault(job_id, now_at)

    def start(self) -> float:
        """Let the jobs work from now on; gives now."""
        self._started_at = now_at = self._clock.now()
        for job_id, (job, fault) in self._jobs.items():
            held_s, duration_s = now_at - job.course.created_at, self._durations_s[job_id]
            fate = replace(fault, delay_s=held_s + fault.delay_s) if fault else None
            job.course = Course(job.course.created_at, Pace(0.0, min(held_s + duration_s, _HELD_S)), fate)
            # Of the course, which is what callers see: rounding could tell an end before `now_at + duration_s`.
            self._end_at[job_id] = job.course.moment(1.0) if duration_s < inf else inf
        return now_at

    def add_ends(self, ends: Sequence[End]) -> None:
        """What a contestant tells."""
        self._ends += ends

    def verdict(self) -> Verdict:
        """The ends that were told, judged."""
        truths = {job_id: Truth(end_at, self._told_at.get(job_id)) for job_id, end_at in self._end_at.items()}
        return judge(truths, self._ends)

    def progress(self) -> dict[str, Any]:
        """How many jobs nobody has asked for yet, and of how many an end was told in an answer."""
        return {"unasked": len(self._unasked), "told": len(self._told_at), "started_at": self._started_at}

    def load(self) -> dict[str, Any]:
        """Requests since the start and before it, the most in any one second, and the statuses that were read."""
        started_at = inf if self._started_at is None else self._started_at
        since = [record for record in self._ledger.requests if record.at >= started_at]
        return {
            "requests_before": len(self._ledger.requests) - len(since),
            "requests": len(since),
            "refused": sum(record.status == 429 for record in since),
            "statuses": sum(record.statuses_read for record in since),
            "statuses_before": sum(r.statuses_read for r in self._ledger.requests)
            - sum(r.statuses_read for r in since),
            "most_per_s": most_in_one_second([record.at for record in since]),
            "last_refused_at": max((record.at for record in since if record.status == 429), default=None),
        }


def most_in_one_second(instants: Sequence[float]) -> int:
    """The largest number of instants that fit into one second, wherever it begins."""
    ordered, first, most = sorted(instants), 0, 0
    for last, at in enumerate(ordered):
        while ordered[first] <= at - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def _held(fault: JobFault | None) -> JobFault | None:
    return replace(fault, delay_s=_HELD_S) if fault else None
