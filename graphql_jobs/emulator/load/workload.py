"""Jobs with given durations that are held until all of them are waited for, and then start together."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from math import inf
from typing import Any

from aiohttp import web

from graphql_jobs.emulator.behaviour import Pace
from graphql_jobs.emulator.clock import Clock
from graphql_jobs.emulator.datasaur.world import DatasaurWorld
from graphql_jobs.emulator.faults import FaultPlan, JobFault
from graphql_jobs.emulator.ledger import Ledger
from graphql_jobs.emulator.lifecycle import Course
from graphql_jobs.emulator.load.judge import End, Truth, judge, most_in_one_second

# Our choice: longer than any benchmark, so that nothing ends before the start.
_HELD_S = 1e8


class Workload:
    """The planted jobs of one emulator, and what its callers saw of them."""

    def __init__(self, clock: Clock, faults: FaultPlan, ledger: Ledger, world: DatasaurWorld) -> None:
        self._clock = clock
        self._faults = faults
        self._ledger = ledger
        self._world = world
        self._jobs: dict[str, tuple[Any, float, JobFault | None]] = {}
        self._unpolled: set[str] = set()
        # The last unanswered request about each job.
        self._pending: dict[str, web.Request] = {}
        self._overlapping: set[str] = set()
        self._end_at: dict[str, float] = {}
        self._told_at: dict[str, float] = {}
        self._ends: list[End] = []
        self._started_at = inf

    def plant(self, durations_s: Sequence[float | None]) -> list[str]:
        """Create Datasaur jobs that run this long from the start (None: without end). Job faults of "plant" apply."""
        planted = {}
        for duration_s in durations_s:
            fault = self._faults.for_job("datasaur", "plant", None)
            job = self._world.plant()
            held = replace(fault, delay_s=_HELD_S) if fault else None
            job.course = Course(self._clock.now(), Pace(0.0, _HELD_S), held)
            planted[job.id] = (job, inf if duration_s is None else float(duration_s), fault)
        self._jobs |= planted
        self._unpolled |= planted.keys()
        return list(planted)

    def start(self) -> float:
        """Start the jobs now. Return the instant."""
        self._started_at = now_at = self._clock.now()
        for job_id, (job, duration_s, fault) in self._jobs.items():
            held_s = now_at - job.course.created_at
            fault = fault and replace(fault, delay_s=held_s + fault.delay_s)
            job.course = Course(job.course.created_at, Pace(0.0, min(held_s + duration_s, _HELD_S)), fault)
            # From the course, which callers see: rounding could show an end before now + duration.
            self._end_at[job_id] = job.course.moment(1.0) if duration_s < inf else inf
        return now_at

    def begin_request(self, request: web.Request, variables: Mapping[str, Any]) -> None:
        """Record a poll of the jobs in a request, and whether it overlaps with an unanswered one."""
        for job_id in self._named(variables):
            self._unpolled.discard(job_id)
            if job_id in self._pending and not _is_abandoned(self._pending[job_id]):
                self._overlapping.add(job_id)
            self._pending[job_id] = request

    def end_request(self, request: web.Request, variables: Mapping[str, Any]) -> None:
        """Record that the request is answered."""
        for job_id in self._named(variables):
            if self._pending.get(job_id) is request:
                del self._pending[job_id]

    def _named(self, variables: Mapping[str, Any]) -> list[str]:
        if not self._jobs:
            return []
        texts = [text for value in variables.values() for text in (value if isinstance(value, list) else [value])]
        return [text for text in texts if isinstance(text, str) and text in self._jobs]

    def note_told(self, job_ids: Sequence[str]) -> None:
        """Record that an answer with the statuses of these jobs is sent now."""
        now_at = self._clock.now()
        for job_id in job_ids:
            if self._end_at.get(job_id, inf) <= now_at:
                self._told_at.setdefault(job_id, now_at)

    def add_ends(self, ends: Sequence[End]) -> None:
        """Add a contestant's reports."""
        self._ends += ends

    def progress(self) -> dict[str, Any]:
        """Return how many jobs were never polled."""
        return {"unpolled": len(self._unpolled)}

    def verdict(self) -> dict[str, Any]:
        """Return the judge's counts, and the requests since the start."""
        truths = {job_id: Truth(end_at, self._told_at.get(job_id)) for job_id, end_at in self._end_at.items()}
        since = [record for record in self._ledger.requests if record.at >= self._started_at]
        return asdict(judge(truths, self._ends)) | {
            "requests": len(since),
            "statuses": sum(record.statuses_read for record in self._ledger.requests),
            "most_per_s": most_in_one_second([record.at for record in since]),
            # Jobs that were polled while an earlier poll of them was pending.
            "overlapping": len(self._overlapping),
            # Jobs whose statuses were in an answer that a fault delayed.
            "delayed_ids": sorted({job_id for r in since if r.fault == "delay" for job_id in r.job_ids}),
        }


def _is_abandoned(request: web.Request) -> bool:
    """Whether its caller has closed the connection, as after a time-out or a crash."""
    return request.transport is None or request.transport.is_closing()
