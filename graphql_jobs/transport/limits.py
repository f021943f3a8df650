"""How long and how often one request may try."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often a request may try. Seconds; our choices, in the order of aiohttp's phases.

    `connect_s` bounds name look-up, TCP and TLS together with the wait for a pooled connection, `read_s` the silence
    between two reads, `request_s` one attempt as a whole, `budget_s` and `attempts` all attempts of one request,
    `submission_s` all requests of one submission: for so long another process leaves it alone. `requests_per_s` bounds
    what all requests of a session do together, sign-in and downloads included; None: no limit.
    """

    connect_s: float = 10.0
    read_s: float = 30.0
    request_s: float = 60.0
    budget_s: float = 60.0
    attempts: int = 6
    submission_s: float = 120.0
    requests_per_s: float | None = None
