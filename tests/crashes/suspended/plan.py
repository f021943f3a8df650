"""The suspended runs, how their jobs end, and where the watcher is killed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle
from random import Random
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
_PROJECT_ID = "HvdyIL2iwZn"
#: The deadline of a job that never ends, in seconds after its submission.
_LATE_S = 45

Flow = Literal["run_aiware_job", "run_datasaur_auto_label", "wait_for_jobs"]
#: How a job ends, and the name of the state in which its run ends.
End = Literal["succeeds", "fails", "is cancelled", "is gone", "never"]
STATES: dict[End, str] = {
    "succeeds": "Completed",
    "fails": "JobFailed",
    "is cancelled": "JobCancelled",
    "is gone": "JobLost",
    "never": "TimedOut",
}
#: When a person cancels a run, by the request of the watcher that resumes or ends it.
CancelAt = Literal["before", "with", "after"]


@dataclass(frozen=True)
class Kind:
    """One kind of suspended run."""

    flow: Flow
    end: End
    on_failure: Literal["resume", "fail"] = "resume"
    is_cancelled: bool = False

    @property
    def provider(self) -> Literal["aiware", "datasaur"]:
        """The provider of its jobs."""
        return "datasaur" if self.flow == "run_datasaur_auto_label" else "aiware"

    @property
    def is_sensor(self) -> bool:
        """Whether the run waits for jobs of others. It is created suspended, so no process starts before."""
        return self.flow == "wait_for_jobs"

    @property
    def needs_process(self) -> bool:
        """Whether the watcher resumes the run, and does not end it itself."""
        return self.on_failure == "resume" or self.end == "succeeds"

    def parameters(self, name: str) -> dict[str, Any]:
        """The parameters of the flow. The name of the trial is among those of its job."""
        common = {
            "credentials": f"crash-{self.provider}",
            "suspend": True,
            "suspend_after_s": 0,
            "on_failure": self.on_failure,
            "max_poll_interval_s": 1,
            "give_up_after_s": _LATE_S if self.end == "never" else 3600,
            "downstream": [f"store-results/{name}"],
        }
        if self.flow == "run_datasaur_auto_label":
            label = {"project_id": _PROJECT_ID, "labeler_email": f"{name}@example.com"}
            return common | label | {"target_api": "crash-target-api"}
        if self.is_sensor:
            return common | {"provider": self.provider}
        return common | {"engine_id": ENGINE_ID} | recording(name)


def recording(name: str) -> dict[str, Any]:
    """The parameters of a launch for the recording of a trial."""
    return {"upload_url": f"https://media.example.com/{name}.mp4", "template_fields": {"trial": name}}


KINDS = (
    Kind("run_aiware_job", "succeeds"),
    Kind("run_datasaur_auto_label", "succeeds"),
    Kind("wait_for_jobs", "succeeds"),
    Kind("run_aiware_job", "fails"),
    Kind("run_aiware_job", "fails", "fail"),
    Kind("run_aiware_job", "succeeds", is_cancelled=True),
    Kind("run_datasaur_auto_label", "fails", "fail"),
    Kind("run_aiware_job", "never"),
    Kind("run_datasaur_auto_label", "never", "fail"),
    Kind("run_aiware_job", "is gone", "fail"),
    Kind("run_datasaur_auto_label", "is gone"),
    Kind("run_datasaur_auto_label", "succeeds", is_cancelled=True),
    Kind("run_aiware_job", "is cancelled", "fail"),
    Kind("run_aiware_job", "is cancelled"),
    Kind("wait_for_jobs", "fails", "fail"),
    Kind("wait_for_jobs", "is gone"),
    Kind("run_aiware_job", "succeeds", "fail"),
    Kind("wait_for_jobs", "succeeds", is_cancelled=True),
    Kind("run_datasaur_auto_label", "fails"),
    Kind("run_aiware_job", "fails", "fail", is_cancelled=True),
)


@dataclass(frozen=True)
class Trial:
    """One suspended run."""

    number: int
    kind: Kind
    #: When its job ends, after all runs are suspended.
    ends_after_s: float
    #: Whether a worker's process suspends the run. Otherwise, the process of the test does, which is cheaper.
    on_worker: bool
    cancel_at: CancelAt | None

    @property
    def name(self) -> str:
        """The name of the flow run, which is in the ledger too."""
        return f"suspended-{self.number:04d}"

    @property
    def title(self) -> str:
        """A readable name."""
        cancel = f", cancelled {self.cancel_at} its resumption" if self.cancel_at else ""
        return f"{self.name} {self.kind.flow}, job {self.kind.end}, {self.kind.on_failure}{cancel}"

    @property
    def state(self) -> str:
        """The name of the state in which the run must end."""
        return "Cancelled" if self.cancel_at else STATES[self.kind.end]

    @property
    def jobs(self) -> int:
        """The number of its jobs."""
        return 2 if self.kind.is_sensor else 1


def deal(count: int, seed: int, within_s: float, on_worker: int) -> list[Trial]:
    """`count` trials, evenly over all kinds; the jobs end in an order from the seed, within `within_s` seconds.

    `on_worker`: how many of the runs a worker's process suspends.
    """
    random = Random(seed)
    instants = cycle(("before", "with", "after"))
    trials = []
    for number in range(1, count + 1):
        kind = KINDS[(number - 1) % len(KINDS)]
        cancel_at: Any = next(instants) if kind.is_cancelled else None
        if cancel_at == "after" and not kind.needs_process:
            cancel_at = "with"  # the run has ended then
        is_real = on_worker > 0 and not kind.is_sensor
        on_worker -= is_real
        trials.append(Trial(number, kind, random.uniform(0, within_s), is_real, cancel_at))
    return trials


class Request(StrEnum):
    """The requests to Prefect at which the watcher is killed: a part of the request line."""

    CLAIM = "claim"
    RESUME = "resume"
    END = "end"
    HISTORY = "history"
    SETTLE = "settle"


@dataclass(frozen=True)
class Kill:
    """A kill of the watcher: at which request, and whether the server gets the request."""

    request: Request
    is_answered: bool


def kills(count: int, seed: int, requests: Sequence[Request] = tuple(Request)) -> list[Kill]:
    """`count` kills, in an order from the seed; ten are one before and one after each kind of request."""
    all_of_them = [Kill(request, is_answered) for request in requests for is_answered in (False, True)]
    Random(seed).shuffle(all_of_them)
    return [kill for kill, _ in zip(cycle(all_of_them), range(count), strict=False)]
