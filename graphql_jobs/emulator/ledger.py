"""The ledger: all requests and jobs, in order. Tests and benchmarks are judged by it."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Provider = Literal["aiware", "datasaur"]

# Values that must not be stored: targetAPI.secretKey, webhook secrets, bucket keys, logins.
_SECRET_FIELDS = frozenset({"secretkey", "secret", "accesskeyid", "secretaccesskey", "password", "token"})


@dataclass(frozen=True)
class RequestRecord:
    """One HTTP request and its result."""

    at: float
    # "none" for a path that belongs to neither service.
    provider: Provider | Literal["none"]
    # Root field names in document order, or ("token",), ("upload",), ("download",), or the unknown path.
    operation: tuple[str, ...]
    operation_name: str | None
    # None: the connection was dropped, no status was sent.
    status: int | None
    # The jobs whose statuses were in the answer.
    job_ids: tuple[str, ...]
    request_bytes: int
    # Size of the whole body, also of one that was cut; 0 if dropped.
    response_bytes: int
    fault: str | None
    has_authorization: bool

    @property
    def statuses_read(self) -> int:
        """The number of job statuses in the answer."""
        return len(self.job_ids)


@dataclass(frozen=True)
class Submission:
    """One object that was created for a caller: work that was really done."""

    at: float
    provider: Provider
    operation: str
    # None if the object is not a job (createTDO, createAsset, upload).
    job_id: str | None
    # The caller's key, if the server can see one.
    key: str | None
    target_id: str | None
    # The caller's input, without secrets.
    spec: Mapping[str, Any]


@dataclass(frozen=True)
class Cancel:
    """One attempt to cancel a job."""

    at: float
    provider: Provider
    job_id: str
    accepted: bool


@dataclass
class Ledger:
    """The append-only ledger: nothing in it is changed or removed."""

    requests: list[RequestRecord] = field(default_factory=list)
    submissions: list[Submission] = field(default_factory=list)
    cancels: list[Cancel] = field(default_factory=list)
    tokens_issued: int = 0

    def count(self, operation: str, provider: Provider | None = None) -> int:
        """Return the number of HTTP requests with this root field."""
        return sum(operation in record.operation and provider in (None, record.provider) for record in self.requests)

    def jobs_by_key(self) -> dict[str, list[str]]:
        """Return the ids of the jobs of each caller's key, oldest first. Jobs without a key are omitted."""
        jobs: dict[str, list[str]] = defaultdict(list)
        for submission in self.submissions:
            if submission.key is not None and submission.job_id is not None:
                jobs[submission.key].append(submission.job_id)
        return dict(jobs)

    def to_json(self) -> str:
        """Return the ledger as one JSON object with the keys requests, submissions, cancels, tokens_issued."""
        return json.dumps(asdict(self), default=str)


def without_secrets(value: Any) -> Any:
    """Return a copy of plain data without secret fields."""
    if isinstance(value, Mapping):
        return {name: without_secrets(item) for name, item in value.items() if name.lower() not in _SECRET_FIELDS}
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
