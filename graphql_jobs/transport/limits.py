"""Time-outs and attempts of requests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Time-outs and attempts of a session's requests. Durations in seconds; the defaults are our choices.

    `connect_s` bounds name look-up, TCP and TLS, and the wait for a pooled connection; `read_s` the silence between two
    reads; `request_s` one attempt as a whole; `attempts` and `budget_s` all attempts of one request. `submission_s`
    bounds all requests of one submission: for that long, other processes leave it alone. `requests_per_s` bounds all
    requests of a session, including sign-in and downloads; None: no limit.
    """

    connect_s: float = 10.0
    read_s: float = 30.0
    request_s: float = 60.0
    budget_s: float = 60.0
    attempts: int = 6
    submission_s: float = 120.0
    requests_per_s: float | None = None
