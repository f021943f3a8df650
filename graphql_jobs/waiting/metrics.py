"""What the waits of a session cost and how soon they see an end: counted, logged now and then, and exported.

The instruments are those of OpenTelemetry's API, where that is installed (Prefect brings it); without a provider of the
user's own they do nothing.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphql_jobs.parsing import http_date_or_none

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphql_jobs.job import Job
    from graphql_jobs.providers.base import JobClient
    from graphql_jobs.transport.http import Exchange

try:
    from opentelemetry import metrics as _opentelemetry
except ImportError:  # an extra, not a dependency of the core
    _opentelemetry = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

#: Our choice: a line in the log every so often while somebody waits.
LOG_EVERY_S = 300.0
#: Our choice: quantiles are those of the last so many ends.
_ENDS_KEPT = 1000
#: What is counted, with the unit that OpenTelemetry is told.
_COUNTED = {
    "batches": "{batch}",
    "statuses": "{status}",
    "outages": "{outage}",
    "ended": "{job}",
}
#: What the session counts, for all of its pollers.
_SENT = {"requests": "{request}", "rate_limited": "{request}"}
#: What is so many now: told as differences, since several pollers of a process may have one label.
_SIZED = {"waiters": "{wait}", "jobs": "{job}"}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One poller at one instant. Counts are since it was made; seconds by our clock.

    `latency_p50_s`, `latency_p99_s`: from the end of a job by the provider's clock until it was seen by ours, over the
    last thousand ends; None before there is any, or where the provider gives no instants. They hold whatever the two
    clocks differ by: `skew_s`, ours minus that of the last answer's `Date` header (to a second), None without one.
    A batch is a look at many jobs, and `statuses` is what these looks read. `requests`: all that the session sent to
    the endpoint, whatever they asked, with retries; `rate_limited`: those of them that told us to pause.
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
        seen = (
            f"{self.latency_p50_s:.1f} s (p50) and {self.latency_p99_s:.1f} s (p99) after the end"
            if self.latency_p50_s is not None and self.latency_p99_s is not None
            else "no end with an instant so far"
        )
        skew = "unknown" if self.skew_s is None else f"{self.skew_s:.0f} s"
        return (
            f"{self.jobs} jobs waited for by {self.waiters}, {self.ended} ended; {self.statuses} statuses in "
            f"{self.batches} batches, {self.batch_size} jobs each at most, "
            f"{self.outages} outages; of {self.requests} requests of all kinds {self.rate_limited} told us to pause; "
            f"ends seen {seen}, the clocks' skew is {skew}."
        )


class Metrics:
    """The counters of one poller."""

    def __init__(self, client: JobClient, sizes: Callable[[], tuple[int, int, int]]) -> None:
        session = self._session = client.session
        self._provider = client.provider
        #: Gives the numbers of waiters and jobs, and the batch size.
        self._sizes = sizes
        self._counts: Counter[str] = Counter()
        self._latencies: deque[float] = deque(maxlen=_ENDS_KEPT)
        self._unrecorded: list[tuple[Job, float]] = []
        self._log_at: float | None = None
        self._labels = {"provider": session.dialect.provider, "endpoint": session.url}
        self._told: Counter[str] = Counter()
        self._counters, self._batch_size, self._latency = _instruments()

    def looked(self, statuses: int, monotonic: float) -> None:
        """Count a look that read so many, export what changed, and write a line in the log if it is time."""
        self.add("batches")
        self.add("statuses", statuses)
        if self._counters:
            for name in _SENT:
                self._counters[name].add(self._session.newly_sent(name), self._labels)
        self.tell_sizes()
        if self._is_time_to_log(monotonic):
            logger.info("%s: %s", self._provider, self.snapshot())

    def tell_sizes(self) -> None:
        """Export how much there is now."""
        if self._counters:
            waiters, jobs, batch_size = self._sizes()
            for name, number in zip(_SIZED, (waiters, jobs), strict=True):
                self._counters[name].add(number - self._told[name], self._labels)
                self._told[name] = number
            self._batch_size.set(batch_size, self._labels)

    def add(self, name: str, number: int = 1) -> None:
        """Count something: "batches", "statuses", "outages" or "ended"."""
        self._counts[name] += number
        if self._counters:
            self._counters[name].add(number, self._labels)

    def seen(self, job: Job, now: float) -> None:
        """An end was seen; it counts with `count_ends`."""
        self._unrecorded.append((job, now))

    def count_ends(self) -> None:
        """Count the ends that were seen since."""
        if not self._unrecorded:
            return
        ends, self._unrecorded = self._unrecorded, []
        self.add("ended", len(ends))
        for job, now in ends:
            if ended_at := job.modified_at:
                latency_s = now - ended_at.timestamp()
                self._latencies.append(latency_s)
                if self._latency:
                    self._latency.record(latency_s, self._labels)

    def snapshot(self) -> Snapshot:
        """All of it."""
        ordered = sorted(self._latencies)
        waiters, jobs, batch_size = self._sizes()
        return Snapshot(
            waiters=waiters,
            jobs=jobs,
            batch_size=batch_size,
            **{name: self._counts[name] for name in _COUNTED},
            **{name: self._session.sent[name] for name in _SENT},
            latency_p50_s=_quantile(ordered, 0.5),
            latency_p99_s=_quantile(ordered, 0.99),
            skew_s=_skew_s(self._session.last_heard),
        )

    def _is_time_to_log(self, monotonic: float) -> bool:
        """Whether a line in the log is due; the first one when so much time has passed since the first question."""
        if self._log_at is None or monotonic >= self._log_at:
            is_due = self._log_at is not None
            self._log_at = monotonic + LOG_EVERY_S
            return is_due
        return False


def _skew_s(heard: tuple[Exchange, float] | None) -> float | None:
    """What the `Date` of an answer says about our clock: positive if ours is ahead."""
    if heard is None:
        return None
    exchange, at = heard
    date = http_date_or_none(exchange.headers.get("Date"))
    return at - date.timestamp() if date else None


def _quantile(ordered: list[float], share: float) -> float | None:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


def _instruments() -> tuple[dict[str, Any], Any, Any]:
    if _opentelemetry is None:
        return {}, None, None
    meter = _opentelemetry.get_meter("graphql_jobs")
    prefix, counted = "graphql_jobs.poller", (_COUNTED | _SENT).items()
    counters: dict[str, Any] = {name: meter.create_counter(f"{prefix}.{name}", unit) for name, unit in counted}
    counters |= {name: meter.create_up_down_counter(f"{prefix}.{name}", unit) for name, unit in _SIZED.items()}
    batch_size = meter.create_gauge(f"{prefix}.batch_size", "{job}")
    return counters, batch_size, meter.create_histogram(f"{prefix}.detection_latency", "s")
