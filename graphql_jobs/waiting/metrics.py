"""What the waits of a session cost and how soon they see an end: counted, logged now and then, and exported.

OpenTelemetry's API, where it is installed (Prefect brings it), does nothing without a meter provider of the user's own.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from graphql_jobs.parsing import http_date_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphql_jobs.job import Job
    from graphql_jobs.providers.base import JobClient
    from graphql_jobs.transport.http import Exchange

try:
    from opentelemetry import metrics as _opentelemetry
except ImportError:  # an extra, not a dependency of the core
    _opentelemetry = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

#: Our choice: the time between two lines in the log.
LOG_EVERY_S = 300.0
#: Our choice: the quantiles are those of the last so many ends.
_ENDS_KEPT = 1000
#: The kinds and units of OpenTelemetry's instruments. Its up-down counters add up what several pollers tell.
_INSTRUMENTS = {
    "batches": ("counter", "{batch}"),
    "statuses": ("counter", "{status}"),
    "outages": ("counter", "{outage}"),
    "ended": ("counter", "{job}"),
    "requests": ("counter", "{request}"),
    "rate_limited": ("counter", "{request}"),
    "waiters": ("up_down_counter", "{wait}"),
    "jobs": ("up_down_counter", "{job}"),
    "batch_size": ("gauge", "{job}"),
    "detection_latency": ("histogram", "s"),
}
_COUNTED = ("batches", "statuses", "outages", "ended")
_SENT = ("requests", "rate_limited")  # counted by the session, for all of its pollers


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The numbers of one poller. Counts are since it was made; seconds by our clock.

    `latency_p50_s`, `latency_p99_s`: from the end of a job by the provider's clock until a poll showed it, over the
    last thousand ends; None before there is any, or where the provider gives no instants. They include the difference
    of the two clocks, `skew_s`: ours minus the `Date` header of the last answer (to a second), None without one.
    A batch is one poll of many jobs, and `statuses` are the answers about single jobs. `requests`: all that the session
    sent to the endpoint, submissions and retries included; `rate_limited`: those that were answered with a rate limit.
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
    """The numbers of one poller. `sizes` gives those that also fall: "waiters" and "jobs"."""

    def __init__(self, client: JobClient, sizes: Callable[[], Mapping[str, int]]) -> None:
        self._client, self._session, self._sizes = client, client.session, sizes
        #: "batches", "statuses", "outages" and "ended".
        self.counts: Counter[str] = Counter()
        self._exported: Counter[str] = Counter()
        self._latencies: deque[float] = deque(maxlen=_ENDS_KEPT)
        self._log_at = client.session.clock.monotonic() + LOG_EVERY_S
        self._labels = {"provider": client.session.dialect.provider, "endpoint": client.session.url}
        self._instruments = _instruments()

    def polled(self, statuses: int) -> None:
        """Count a batch, export all numbers, and write a line in the log if it is time."""
        self.counts.update(batches=1, statuses=statuses)
        self.export()
        if (now := self._session.clock.monotonic()) >= self._log_at:
            self._log_at = now + LOG_EVERY_S
            logger.info("%s: %s", self._client.provider, self.snapshot())

    def ended(self, job: Job, now: float) -> None:
        """Count the end of a job that a poll showed."""
        self.counts["ended"] += 1
        if ended_at := job.modified_at:
            latency_s = now - ended_at.timestamp()
            self._latencies.append(latency_s)
            if self._instruments:
                self._instruments["detection_latency"].record(latency_s, self._labels)

    def export(self) -> None:
        """Tell OpenTelemetry by how much each number has changed since the last time."""
        if not self._instruments:
            return
        now = Counter(self.counts)
        now.update(self._sizes())
        changes = {name: now[name] - self._exported[name] for name in (*_COUNTED, "waiters", "jobs")}
        changes |= {name: self._session.newly_sent(name) for name in _SENT}
        for name, change in changes.items():
            if change:
                self._instruments[name].add(change, self._labels)
        self._instruments["batch_size"].set(self._client.batch_size, self._labels)
        self._exported = now

    def snapshot(self) -> Snapshot:
        """All numbers as they are now."""
        ordered = sorted(self._latencies)
        return Snapshot(
            **self._sizes(),
            batch_size=self._client.batch_size,
            **{name: self.counts[name] for name in _COUNTED},
            **{name: self._session.sent[name] for name in _SENT},
            latency_p50_s=_quantile(ordered, 0.5),
            latency_p99_s=_quantile(ordered, 0.99),
            skew_s=_skew_s(self._session.last_heard),
        )


def _skew_s(heard: tuple[Exchange, float] | None) -> float | None:
    """What the `Date` of an answer says about our clock: positive if ours is ahead."""
    if heard is None:
        return None
    exchange, at = heard
    date = http_date_or_none(exchange.headers.get("Date"))
    return at - date.timestamp() if date else None


def _quantile(ordered: list[float], share: float) -> float | None:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


def _instruments() -> dict[str, Any]:
    if _opentelemetry is None:
        return {}
    meter = _opentelemetry.get_meter("graphql_jobs")
    return {
        name: getattr(meter, f"create_{kind}")(f"graphql_jobs.poller.{name}", unit)
        for name, (kind, unit) in _INSTRUMENTS.items()
    }
