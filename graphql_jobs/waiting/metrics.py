"""The costs of a session's waits and how soon they see an end: counted, logged periodically, and exported."""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphql_jobs.job import Job
    from graphql_jobs.providers.base import JobClient

logger = logging.getLogger(__name__)

#: Our choice: the time between two log lines.
LOG_EVERY_S = 300.0
#: Our choice: the number of last ends in the quantiles.
_ENDS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The numbers of one poller. Counts start at its creation; seconds are by our clock.

    A batch is one poll of many jobs, and `statuses` are the answers about single jobs. `requests`: all requests of the
    session to the endpoint, with submissions and retries; `rate_limited`: those that were answered with a rate limit.
    `latency_p50_s`, `latency_p99_s`: from the end of a job by the provider's clock until a poll showed it, over the
    last thousand ends; None without any, or if the provider gives no instants. They include the difference
    of the two clocks, `skew_s`: ours minus the `Date` header of the last answer (to a second), None without one.
    """

    waiters: int
    jobs: int
    batch_size: int
    batches: int
    statuses: int
    outages: int
    ended: int
    requests: int
    rate_limited: int
    latency_p50_s: float | None
    latency_p99_s: float | None
    skew_s: float | None

    def __str__(self) -> str:
        return ", ".join(f"{name}={round(value, 1)}" for name, value in asdict(self).items() if value is not None)


class Metrics:
    """The numbers of one poller. `sizes` returns its current numbers of waiters and jobs."""

    def __init__(self, client: JobClient, sizes: Callable[[], tuple[int, int]]) -> None:
        self._client, self._session, self._sizes = client, client.session, sizes
        self._counts = Counter[str]()
        self._latencies: deque[float] = deque(maxlen=_ENDS_KEPT)
        self._log_at = client.session.clock.monotonic() + LOG_EVERY_S

    def count(self, **changes: int) -> None:
        """Add to the counts of a snapshot, and to the same instruments of OpenTelemetry."""
        self._counts.update(changes)
        self._session.telemetry.add(**changes)

    def count_sizes(self) -> None:
        """Note the current numbers of waiters and jobs, and the size of the batches."""
        waiters, jobs = self._sizes()
        self.count(waiters=waiters - self._counts["waiters"], jobs=jobs - self._counts["jobs"])
        self._session.telemetry.set_batch_size(self._client.batch_size)

    def polled(self, statuses: int) -> None:
        """Count a batch, and log if a log line is due."""
        self.count(batches=1, statuses=statuses)
        self.count_sizes()
        if (now := self._session.clock.monotonic()) >= self._log_at:
            self._log_at = now + LOG_EVERY_S
            logger.info("%s: %s", self._client.title, self.snapshot())

    def ended(self, job: Job, now: float) -> None:
        """Count the end of a job that a poll showed."""
        self.count(ended=1)
        if ended_at := job.modified_at:
            self._latencies.append(now - ended_at.timestamp())
            self._session.telemetry.record_latency(self._latencies[-1])

    def snapshot(self) -> Snapshot:
        """Return all current numbers."""
        self.count_sizes()
        late_s, heard = sorted(self._latencies), self._session.last_heard
        p50_s, p99_s = (late_s[int(share * len(late_s))] if late_s else None for share in (0.5, 0.99))
        return Snapshot(
            batch_size=self._client.batch_size,
            **{name: self._counts[name] for name in ("waiters", "jobs", "batches", "statuses", "outages", "ended")},
            **{name: self._session.sent[name] for name in ("requests", "rate_limited")},
            latency_p50_s=p50_s,
            latency_p99_s=p99_s,
            skew_s=heard[0].skew_s(heard[1]) if heard else None,
        )
