"""The workloads: numbers of jobs, their durations, and faults. Pure data."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

SEED = 20_260_101


@dataclass(frozen=True)
class Workload:
    """One row. Times are seconds from the start; the jobs run for `spread` intervals, if `course` is "spread".

    `server_batch`: the most jobs that the server accepts in one request. `outages`: when no end can be known. After
    each of `kills_at_s` the contestant is started again an interval later. `requests_per_window`: the server's limit
    per 10 s. `requests_per_s`: the limit that ours has, and by which it is judged.
    """

    name: str
    jobs: int
    interval_s: float = 5.0
    course: str = "spread"
    spread: tuple[float, float] = (4.0, 12.0)
    batch: int = 500
    server_batch: int = 500
    deadline_s: float = 600.0
    faults: tuple[dict[str, Any], ...] = ()
    job_fault: dict[str, Any] = field(default_factory=dict)
    outages: tuple[tuple[float, float], ...] = ()
    kills_at_s: tuple[float, ...] = ()
    cancelled_share: float = 0.0
    token_lifetime_s: float = 3600.0
    requests_per_window: int | None = None
    requests_per_s: float | None = None

    def durations_s(self) -> list[float | None]:
        """How long each job runs after the start; None: it never ends. Always the same."""
        random = Random(f"{SEED}:{self.course}:{self.jobs}")  # noqa: S311 (has to be repeatable)
        if self.course == "burst":  # all end within a second
            return [8 * self.interval_s + random.uniform(0, 1) for _ in range(self.jobs)]
        spread: list[float | None] = [random.uniform(*self.spread) * self.interval_s for _ in range(self.jobs)]
        never = self.jobs // 100 if self.course == "tail" else 0
        return [None] * never + spread[never:]


def faulty(jobs: int, t: float = 5.0) -> list[Workload]:
    """The rows of the faults and the hard workloads, with an interval of `t` seconds. Names are those for 5 s."""
    refused: dict[str, Any] = {"kind": "server_error", "status": 503, "times": None}
    storm = {"kind": "rate_limited", "retry_after": max(1, round(1.4 * t)), "times": None}
    slow: dict[str, Any] = {"kind": "delay", "skip": 6}  # always the seventh request: few are sent
    forgotten = tuple({"kind": "unauthorized", "skip": 5, "operation": name} for name in ("getJobs", "getJob"))
    hidden, down = {"kind": "not_visible", "delay_s": 0.6 * t, "probability": 0.5}, (3 * t, 15 * t)
    null_member = {"kind": "null_member", "times": None, "probability": 0.1}
    # A storm is longer than T, so that it affects every caller; one that obeys learns nothing until Retry-After ends.
    storms = tuple({**storm, "from_s": at * t, "until_s": (at + 1.2) * t} for at in (2, 6.4))
    slow_share = {"kind": "delay", "delay_s": 6 * t, "times": None, "probability": 0.001}
    kinds: dict[str, dict[str, Any]] = {
        "5 % 5xx": {"faults": ({**refused, "probability": 0.05},)},
        "a 60 s outage": {"faults": ({**refused, "from_s": 3 * t, "until_s": 15 * t},), "outages": (down,)},
        "429 storms, Retry-After: 7": {"faults": storms, "outages": tuple((at * t, (at + 2.6) * t) for at in (2, 6.4))},
        "ids not visible for 3 s": {"job_fault": hidden},
        "one bad member in 10 % of batches": {"batch": 100, "faults": (null_member,)},
        "unknown words": {"job_fault": {"kind": "unknown_status", "probability": 0.1}},
        "running, queued, running": {"job_fault": {"kind": "running_queued_running"}},
        "token expiry": {"token_lifetime_s": 3 * t, "faults": forgotten},
        "30 s answers on 0.1 %": {"batch": 100, "faults": ({**slow, "delay_s": 6 * t}, slow_share)},
        "three 20 s answers in a row": {"batch": 100, "faults": ({**slow, "delay_s": 4 * t, "times": 3},)},
        "killed and restarted twice": {"kills_at_s": (3 * t, 6 * t)},
        "1 % of waits cancelled": {"cancelled_share": 0.01},
        "burst: all end within 1 s": {"course": "burst"},
        "long tail: 1 % never end": {"course": "tail", "deadline_s": 18 * t},
    }
    # Our choice: 4 at T = 5 s, below what ours sends in a second after an outage without a limit.
    rows = [Workload(name, jobs, t, requests_per_s=20 / t, **values) for name, values in kinds.items()]
    # 20 per second over the documented window of 10 s (docs/providers/aiware.md#errors).
    small = {"kind": "capacity_exceeded", "max_batch": 200, "times": None}
    limits: dict[str, Any] = {"requests_per_window": 200, "server_batch": 200, "faults": (small,)}
    return [*rows, Workload("server: 20 requests/s, batches of 200", 10 * jobs, t, **limits)]
