"""What the contestants wait for: numbers of jobs, their durations, and what goes wrong meanwhile. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Literal

#: Of the issue: durations U(20, 60) s at an interval of 5 s; `Scale.factor` shortens all of it alike.
_SHORTEST_S, _LONGEST_S, _INTERVAL_S = 20.0, 60.0, 5.0
#: Our choice: the herd ends within one second in the middle of the durations, whatever the scale.
_HERD_AT_S, _HERD_S = 40.0, 1.0
#: Of the issue: so many never end.
_NEVER_SHARE = 0.01
#: Of the issue: the limited server's.
_LIMITED_BATCH = 200
#: Our choice: the largest batch.
BATCH = 500
SEED = 20_260_101

Course = Literal["spread", "herd", "tail"]


@dataclass(frozen=True)
class Scale:
    """How much shorter than in the issue everything is that takes time, by the factor."""

    factor: float = 1.0

    @property
    def interval_s(self) -> float:
        """T."""
        return self.of(_INTERVAL_S)

    def of(self, duration_s: float) -> float:
        """The duration at this scale."""
        return duration_s * self.factor


@dataclass(frozen=True)
class Outage:
    """A time in which nobody is served, in seconds from the start at full scale: what must be over soon after it."""

    from_s: float
    until_s: float


@dataclass(frozen=True)
class Workload:
    """One row. Times are seconds from the start at full scale.

    `faults`: of the emulator, with `from_s` and `until_s` for their window; `standing` ones hold before the start too.
    `job_fault` strikes jobs when they are planted. `kills_at_s`: the contestant is killed, and started again
    `restart_after_s` later. `waits_at_most_s`: the deadline that contestants are given.
    """

    name: str
    jobs: int
    course: Course = "spread"
    batch: int = BATCH
    standing: tuple[dict[str, Any], ...] = ()
    faults: tuple[dict[str, Any], ...] = ()
    job_fault: dict[str, Any] = field(default_factory=dict)
    requests_per_window: int | None = None
    #: The most jobs that the server takes in one request; contestants are not told.
    server_batch: int | None = None
    token_lifetime_s: float = 3600.0
    kills_at_s: tuple[float, ...] = ()
    restart_after_s: float = 5.0
    cancelled_share: float = 0.0
    waits_at_most_s: float = 600.0
    outages: tuple[Outage, ...] = ()
    #: Whether ours is given a budget of requests per second, and held to it.
    budgeted: bool = False

    def durations_s(self, scale: Scale, seed: int = SEED) -> list[float | None]:
        """How long each job works after the start; None: for ever. The same for the same seed."""
        random = Random(f"{seed}:{self.course}:{self.jobs}")  # noqa: S311 (has to be repeatable)
        if self.course == "herd":
            return [scale.of(_HERD_AT_S) + random.uniform(0, _HERD_S) for _ in range(self.jobs)]
        spread = [scale.of(random.uniform(_SHORTEST_S, _LONGEST_S)) for _ in range(self.jobs)]
        never = set(random.sample(range(self.jobs), int(self.jobs * _NEVER_SHARE))) if self.course == "tail" else set()
        return [None if number in never else duration_s for number, duration_s in enumerate(spread)]

    def cancelled(self, job_ids: list[str], seed: int = SEED) -> list[str]:
        """The jobs whose waits are cancelled on the way."""
        random = Random(f"{seed}:cancelled")  # noqa: S311 (has to be repeatable)
        return random.sample(job_ids, int(len(job_ids) * self.cancelled_share))


def steady(jobs: int) -> Workload:
    """The workload of the issue's first gate."""
    return Workload(f"{jobs:,} jobs", jobs)


def special(jobs: int) -> list[Workload]:
    """The herd, the long tail and the server with limits."""
    limits = {"kind": "capacity_exceeded", "max_batch": _LIMITED_BATCH, "times": None}
    return [
        Workload("herd: all end within 1 s", jobs, course="herd"),
        Workload("long tail: 1 % never end", jobs, course="tail", waits_at_most_s=90.0),
        # 20 per second over the documented window of 10 s (docs/providers/aiware.md#errors).
        Workload(
            "server: 20 requests/s, batches of 200",
            jobs,
            standing=(limits,),
            requests_per_window=200,
            server_batch=_LIMITED_BATCH,
        ),
    ]


def faulty(jobs: int) -> list[Workload]:
    """The fault rows of the issue."""
    return [replace(workload, budgeted=True) for workload in _faulty(jobs)]


def _faulty(jobs: int) -> list[Workload]:
    storm = {"kind": "rate_limited", "retry_after": 7, "times": None}
    return [
        Workload(
            "5 % 5xx", jobs, faults=({"kind": "server_error", "status": 503, "times": None, "probability": 0.05},)
        ),
        Workload(
            "a 60 s outage",
            jobs,
            faults=({"kind": "server_error", "status": 503, "times": None, "from_s": 15.0, "until_s": 75.0},),
            outages=(Outage(15.0, 75.0),),
        ),
        Workload(
            "429 storms, Retry-After: 7",
            jobs,
            # Longer than T, so that whoever asks every T is struck.
            faults=({**storm, "from_s": 10.0, "until_s": 16.0}, {**storm, "from_s": 32.0, "until_s": 38.0}),
            # Whoever keeps to what was asked hears nothing for 7 s after the last refusal.
            outages=(Outage(10.0, 23.0), Outage(32.0, 45.0)),
        ),
        Workload(
            "ids not visible for 3 s", jobs, job_fault={"kind": "not_visible", "delay_s": 3.0, "probability": 0.5}
        ),
        Workload(
            "one bad member in 10 % of batches",
            jobs,
            batch=100,  # so that there are enough batches
            faults=({"kind": "null_member", "times": None, "probability": 0.1},),
        ),
        Workload("unknown words", jobs, job_fault={"kind": "unknown_status", "probability": 0.1}),
        Workload("running, queued, running", jobs, job_fault={"kind": "running_queued_running"}),
        Workload(
            "token expiry",
            jobs,
            token_lifetime_s=15.0,
            # Besides, a token that the server has forgotten before its time.
            faults=tuple({"kind": "unauthorized", "skip": 5, "operation": name} for name in ("getJobs", "getJob")),
        ),
        Workload(
            "30 s answers on 0.1 %",
            jobs,
            # A batched contestant sends too few requests for 0.1 % to strike, so the seventh is struck for sure.
            faults=(
                {"kind": "delay", "delay_s": 30.0, "skip": 6},
                {"kind": "delay", "delay_s": 30.0, "times": None, "probability": 0.001},
            ),
        ),
        Workload("killed and restarted twice", jobs, kills_at_s=(15.0, 30.0)),
        Workload("1 % of waits cancelled", jobs, cancelled_share=0.01),
    ]
