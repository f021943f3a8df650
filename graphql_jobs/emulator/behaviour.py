"""Settings: the pace of jobs, and behaviour that the vendors' pages omit or contradict."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Pace:
    """How long a job is queued and how long it runs, for any number of tasks.

    Our choice of defaults: short enough for a demo; the real services take minutes.
    """

    queued_s: float = 2.0
    running_s: float = 5.0

    def __post_init__(self) -> None:
        for name, value in (("queued_s", self.queued_s), ("running_s", self.running_s)):
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be 0 or more, got {value}")


@dataclass(frozen=True)
class Behaviour:
    """What the emulator does if the real service's behaviour is not published."""

    # HTTP status of a rejected credential. aiWARE: "authorization errors use HTTP 200"; Datasaur: unknown.
    auth_failure_http_status: Literal[200, 401] = 200
    # aiWARE: the status of a cancelled job (KB 4164 says aborted, KB 4181 says cancelled).
    cancelled_word: Literal["aborted", "cancelled"] = "aborted"
    # Datasaur getJobs: an unknown id is a null item at its position, or no item.
    missing_jobs: Literal["null", "omit"] = "null"
    # Datasaur getJobs: answer in the opposite order; clients must match by id.
    reverse_get_jobs: bool = False
    # Datasaur: the constant value of `progress` (the only samples show 0, even when DELIVERED).
    progress: int = 0
    # Datasaur: smallest size of the exported zip, in bytes; 0 leaves it as small as its content.
    export_bytes: int = 0
    # Datasaur: life of a signed file address (sample: X-Amz-Expires=21600).
    file_lifetime_s: float = 21_600.0
    # Datasaur: whether the store of exported files supports Range; else it ignores it.
    file_ranges: bool = True
    # Datasaur: the email addresses of the members of every team (invented).
    team_members: tuple[str, ...] = ("labeler@example.invalid", "reviewer@example.invalid")
    # Both: largest GraphQL request body (aiWARE: "maximum 10000000 bytes (10 mb)"; Datasaur: invented).
    body_limit_bytes: int = 10_000_000
    # Both: GraphQL requests per 10 s and provider, above which the answer is 429 with Retry-After; None: no limit.
    requests_per_window: int | None = None
    # aiWARE: largest `limit` of a list (caps exist but are not published; samples go up to 1000).
    page_limit: int = 1000
