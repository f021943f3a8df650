"""The numbers of one watcher: in its log, and in a heartbeat event."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from prefect.events import emit_event

from graphql_jobs.clock import Clock
from graphql_jobs.waiting.metrics import Snapshot
from tasks.suspending.resume import SuspendedRun

logger = logging.getLogger(__name__)

#: The name of the event, and the prefix of its resource's id, which ends with the shard: "1-of-2".
HEARTBEAT = "graphql-jobs.watcher.heartbeat"
RESOURCE = "graphql-jobs.watcher."
#: Our choice: the time between two events.
HEARTBEAT_S = 30.0
#: Our choice: the number of last runs in the latency.
_KEPT = 1000


class Tally:
    """Count the suspended runs of one watcher, and measure how soon it resumes them."""

    def __init__(self, watcher: str, shard: str, clock: Clock) -> None:
        self._watcher, self._shard, self._clock = watcher, shard, clock
        self._suspended_at: dict[UUID, float] = {}
        self._latencies: deque[float] = deque(maxlen=_KEPT)
        self._woken = 0
        self._tell_at = clock.monotonic()
        self._last: dict[str, Any] = {}

    def began(self, run: SuspendedRun) -> None:
        """Count a run that is suspended."""
        self._suspended_at[run.id] = run.suspended_at

    def left(self, run_id: UUID) -> None:
        """Stop counting it."""
        self._suspended_at.pop(run_id, None)

    def woken(self, latency_s: float) -> None:
        """Count a run that was resumed or ended, `latency_s` after its claim."""
        self._woken += 1
        self._latencies.append(latency_s)

    def numbers(self) -> dict[str, Any]:
        """Return the current numbers.

        `suspended`: the number of runs; `oldest_s`: the age of the oldest suspension; `woken`: the number of runs that
        this watcher resumed or ended; `resume_p50_s`: the median of the time that it took, from its claim.
        """
        oldest = min(self._suspended_at.values(), default=None)
        ordered = sorted(self._latencies)
        return {
            "suspended": len(self._suspended_at),
            "oldest_s": round(self._clock.now() - oldest) if oldest is not None else None,
            "woken": self._woken,
            "resume_p50_s": round(ordered[len(ordered) // 2], 3) if ordered else None,
        }

    def tell(self, accounts: Mapping[str, Snapshot]) -> None:
        """Emit the event if it is due, and log the numbers if they have changed."""
        if self._clock.monotonic() < self._tell_at:
            return
        self._tell_at = self._clock.monotonic() + HEARTBEAT_S
        numbers = self.numbers()
        detection = {name: one.latency_p50_s for name, one in accounts.items()}
        resource = {
            "prefect.resource.id": f"{RESOURCE}{self._shard}",
            "prefect.resource.name": f"watcher {self._shard}",
        }
        emit_event(HEARTBEAT, resource, payload={"watcher": self._watcher, **numbers, "detection_p50_s": detection})
        changed = {name: value for name, value in numbers.items() if name != "oldest_s"}
        if changed != self._last:
            self._last = changed
            logger.info("%s", ", ".join(f"{name}={value}" for name, value in numbers.items() if value is not None))
