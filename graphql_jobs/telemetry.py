"""The numbers that OpenTelemetry gets from a session and from its pollers.

OpenTelemetry's API, where it is installed (Prefect brings it), does nothing without a meter provider of the user's own.
"""

from __future__ import annotations

from typing import Any

try:
    from opentelemetry import metrics as _opentelemetry
except ImportError:  # an extra, not a dependency of the core
    _opentelemetry = None  # type: ignore[assignment]

#: The kinds and units of the instruments. The up-down counters add up what several pollers tell.
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


class Telemetry:
    """The instruments of one session. Their labels name no job: a thousand jobs make no thousand time series."""

    def __init__(self, provider: str, endpoint: str) -> None:
        self.labels = {"provider": provider, "endpoint": endpoint}
        self._instruments: dict[str, Any] = {}
        if _opentelemetry:
            meter = _opentelemetry.get_meter("graphql_jobs")
            for name, (kind, unit) in _INSTRUMENTS.items():
                self._instruments[name] = getattr(meter, f"create_{kind}")(f"graphql_jobs.poller.{name}", unit)

    def add(self, **changes: int) -> None:
        """Add to counters."""
        for name, change in changes.items():
            if change and self._instruments:
                self._instruments[name].add(change, self.labels)

    def set_batch_size(self, jobs: int) -> None:
        """Set the gauge."""
        if self._instruments:
            self._instruments["batch_size"].set(jobs, self.labels)

    def record_latency(self, latency_s: float) -> None:
        """Record how late the end of a job was seen."""
        if self._instruments:
            self._instruments["detection_latency"].record(latency_s, self.labels)
