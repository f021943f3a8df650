"""The fault plan: which faults occur, how often and when. It is seeded, so a run can be repeated."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from graphql_jobs.emulator.clock import Clock
from graphql_jobs.emulator.ids import seeded
from graphql_jobs.emulator.ledger import Provider

if TYPE_CHECKING:
    from random import Random

FaultKind = Literal[
    "delay",
    "rate_limited",
    "server_error",
    "server_error_after",
    "drop_before",
    "drop_after",
    "truncate",
    "data_null",
    "partial",
    "null_member",
    "denied_member",
    "side_error",
    "no_fields",
    "cut_list",
    "moved_list",
    "garbage",
    "not_object",
    "redirect",
    "too_large",
    "unauthorized",
    "capacity_exceeded",
    "body_too_large",
    "forbidden",
    "internal_error",
]
JobFaultKind = Literal[
    "job_fails",
    "failed_task_in_complete",
    "failed_task_with_standby",
    "task_aborted",
    "unknown_status",
    "status_for_ever",
    "not_visible",
    "gone",
    "stuck",
    "running_queued_running",
    "started_by_rule",
]
# Datasaur's jobs have no tasks.
_NEEDS_TASKS = frozenset({"failed_task_in_complete", "failed_task_with_standby"})


@dataclass(frozen=True)
class Fault:
    """A fault of a request.

    It applies to requests with the root field `operation` ("*": any request, also token, upload and download),
    after `skip` of them, `times` times (None: always), each with `probability`. Only the first
    matching fault of the plan applies to a request; any kind may have a `delay_s` (real seconds) before it.
    """

    kind: FaultKind
    operation: str = "*"
    provider: Provider | None = None
    times: int | None = 1
    skip: int = 0
    probability: float = 1.0
    # Window on the emulator's clock: from_at <= now < until_at.
    from_at: float | None = None
    until_at: float | None = None
    # server_error, server_error_after: 500, 502, 503 or 504.
    status: int = 502
    # Sent literally as the Retry-After header of any answer the fault makes.
    retry_after: str | int | None = None
    # rate_limited: whether the body is JSON with `errors`.
    with_errors: bool = True
    delay_s: float = 0.0
    # Applies only to requests with more root fields, or more ids in one list, than this.
    max_batch: int | None = None
    # too_large: size of the padding.
    pad_bytes: int = 20 * 1024 * 1024

    def __post_init__(self) -> None:
        _check_kind(self.kind, FaultKind)
        _check_schedule(self)


@dataclass(frozen=True)
class JobFault:
    """A fault of a job, decided when the job is submitted (or retried: operation "retryJob").

    Exception: "started_by_rule" starts an additional job in a new data object (operation "createTDO" or
    "createTDOWithAsset"), as a rule of the organisation does for new recordings.
    """

    kind: JobFaultKind
    operation: str = "*"
    provider: Provider | None = None
    times: int | None = 1
    skip: int = 0
    probability: float = 1.0
    from_at: float | None = None
    until_at: float | None = None
    # Applies only to jobs with this caller's key.
    key: str | None = None
    # unknown_status, status_for_ever: the reported status. stuck: "running", else it stays queued. started_by_rule: the
    # engine's id, if not that of another engine.
    word: str | None = None
    # not_visible: seconds of the emulator's clock until the job can be found. gone: until it no longer can.
    # started_by_rule: the delay after the data object.
    delay_s: float = 0.0
    # aiWARE: the index of the affected task, in order of submission; -1 is the last.
    task_order: int = -1
    failure_reason: str = "internal_error"
    failure_message: str = "The emulator's fault plan made this fail."

    def __post_init__(self) -> None:
        _check_kind(self.kind, JobFaultKind)
        _check_schedule(self)


class FaultPlan:
    """The active faults, in the order in which they were added."""

    def __init__(self, seed: int, clock: Clock) -> None:
        self._seed = seed
        self._clock = clock
        self._added = 0
        self._armed: list[_Armed] = []

    def add(self, *faults: Fault | JobFault) -> None:
        """Put faults at the end of the plan."""
        for fault in faults:
            # One random stream per fault, so that faults do not affect each other.
            self._armed.append(_Armed(fault, seeded(f"fault:{self._seed}:{self._added}")))
            self._added += 1

    def clear(self) -> None:
        """Remove all faults. Jobs that were already submitted keep theirs."""
        self._armed.clear()

    def for_request(self, provider: Provider, operations: tuple[str, ...], batch_size: int) -> Fault | None:
        """Return the fault of this request, if any, and count it as used."""
        for armed in self._armed:
            fault = armed.fault
            if not isinstance(fault, Fault) or not _matches(fault, provider, operations, self._clock.now()):
                continue
            if (fault.max_batch is None or batch_size > fault.max_batch) and armed.strikes():
                return fault
        return None

    def for_job(self, provider: Provider, operation: str, key: str | None) -> JobFault | None:
        """Return the fault of this new job, if any, and count it as used."""
        for armed in self._armed:
            fault = armed.fault
            if not isinstance(fault, JobFault) or not _matches(fault, provider, (operation,), self._clock.now()):
                continue
            if fault.kind == "started_by_rule":
                continue
            if provider == "datasaur" and fault.kind in _NEEDS_TASKS:
                continue
            if fault.key in (None, key) and armed.strikes():
                return fault
        return None

    def rules(self, operation: str) -> list[JobFault]:
        """Return the rules that start a job in this new data object, and count them as used."""
        now_at = self._clock.now()
        return [
            armed.fault
            for armed in self._armed
            if isinstance(armed.fault, JobFault)
            and armed.fault.kind == "started_by_rule"
            and _matches(armed.fault, "aiware", (operation,), now_at)
            and armed.strikes()
        ]


def fault_from_json(data: Mapping[str, Any]) -> Fault | JobFault:
    """Return a fault from its JSON form. Raises ValueError or TypeError with the reason."""
    kind = data.get("kind")
    return JobFault(**data) if kind in get_args(JobFaultKind) else Fault(**data)


class _Armed:
    """A fault and its remaining uses."""

    def __init__(self, fault: Fault | JobFault, random: "Random") -> None:
        self.fault = fault
        self._random = random
        self._skipped = 0
        self._struck = 0

    def strikes(self) -> bool:
        if self.fault.times is not None and self._struck >= self.fault.times:
            return False
        if self._skipped < self.fault.skip:
            self._skipped += 1
            return False
        if self._random.random() >= self.fault.probability:
            return False
        self._struck += 1
        return True


def _matches(fault: Fault | JobFault, provider: Provider, operations: tuple[str, ...], now_at: float) -> bool:
    return (
        fault.provider in (None, provider)
        and (fault.operation == "*" or fault.operation in operations)
        and (fault.from_at is None or fault.from_at <= now_at)
        and (fault.until_at is None or now_at < fault.until_at)
    )


def _check_kind(kind: str, kinds: object) -> None:
    if kind not in get_args(kinds):
        raise ValueError(f"unknown fault kind {kind!r}; one of: {', '.join(get_args(kinds))}")


def _check_schedule(fault: Fault | JobFault) -> None:
    if fault.times is not None and fault.times < 1:
        raise ValueError(f"times must be 1 or more, or None for always; got {fault.times}")
    if fault.skip < 0 or fault.delay_s < 0:
        raise ValueError("skip and delay_s must be 0 or more")
    if not 0 <= fault.probability <= 1:
        raise ValueError(f"probability must be from 0 to 1, got {fault.probability}")
