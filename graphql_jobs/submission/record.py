"""The entries of one submission, and the record that they form. Pure.

The kinds of entries, in the order in which they are written:

- `intent`: written before anything is sent. A later intent starts again, after a void one, after a job that failed, or
  because of `force_resubmit`.
- `container`: the container that was created for the job.
- `handle`: the job, with the number of its intent. After a `void` or another `handle`, it is a job that became visible
  late. If a forced intent has replaced its intent, it does not become the job of the key.
- `void`: the intent created nothing; with `given_up`, its job was not visible, but may still become so.
- `unknown`: it is not known whether there is a job.
- `adopted`: an owner continues with the job that another owner submitted.
- `cancelled`: the outcome of a person's cancel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphql_jobs.clock import instant
from graphql_jobs.errors import InvalidInput
from graphql_jobs.handle import REPEATS, JobHandle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphql_jobs.providers.recovery import Location
    from graphql_jobs.store import Entry


@dataclass(slots=True)
class Record:
    """One submission so far. `count` is the number of the next entry."""

    count: int = 0
    #: The attempt that wrote the last intent.
    by: str = ""
    #: The flow run that wrote it, which owns the job.
    owner: str = ""
    #: The owners that continue with the job: the one that wrote the last intent, and those that adopted its job.
    holders: frozenset[str] = frozenset()
    #: The owners of an earlier job of this key only: the current job is not theirs.
    left_behind: frozenset[str] = frozenset()
    #: The numbers of all intents, each with its owner, and the number of the last one that was forced.
    intents: dict[int, str] = field(default_factory=dict)
    forced_intent: int = 0
    #: When the last intent, or its container, was written, in epoch seconds.
    at: float = 0.0
    provider: str = ""
    credentials: str = ""
    operation: str = ""
    key: str = ""
    subject: str = ""
    spec: dict[str, str] = field(default_factory=dict)
    #: The ids of jobs that existed before the intent: none of them is this submission's.
    before: frozenset[str] = frozenset()
    #: Where to search for the job. None: no job can exist before a container is created for it.
    location: Location | None = None
    handle: JobHandle | None = None
    #: The first job that was kept since the submission began, or since the caller asked for a new one.
    first_id: str = ""
    #: All jobs that were ever kept under this key.
    handled: frozenset[str] = frozenset()
    #: The jobs that were left running when the caller asked for a new one.
    superseded: tuple[str, ...] = ()
    #: Those whose handle was written after the forced intent, each with the owner that submitted it.
    late: tuple[tuple[JobHandle, str], ...] = ()
    void: bool = False
    #: Whether an intent since the last job was given up: its job was not visible, but may still become so.
    given_up: bool = False
    unknown: dict[str, Any] | None = None
    #: The owners that requested a new job by `force_resubmit` and got it.
    forced_by: frozenset[str] = frozenset()
    #: The outcome of each cancel of this job, as a sentence, by what was cancelled.
    cancelled: dict[str, str] = field(default_factory=dict)
    #: Those that left their job running, as far as is known.
    left_running: frozenset[str] = frozenset()
    #: Whether a poll after a cancel showed that the job no longer runs.
    cancel_confirmed: bool = False

    @property
    def intent(self) -> int:
        """The number of the last intent."""
        return max(self.intents, default=0)

    @property
    def is_open(self) -> bool:
        """Whether the outcome of the last intent is not known yet: its process is running or was killed."""
        return self.count > 0 and self.handle is None and not self.void and self.unknown is None

    @property
    def has_no_job(self) -> bool:
        """Whether the last intent cannot have created a job."""
        return self.void or (self.handle is None and self.location is None)

    def is_replaced(self, job_id: str, intent: int) -> bool:
        """Whether this job of the intent `intent` is no longer the job of the key.

        A later intent replaced it: a forced one, or one that was written after this job failed or was cancelled.
        """
        return intent < self.forced_intent or (intent < self.intent and job_id in self.handled)

    def repeating(self, handle: JobHandle) -> JobHandle:
        """Return the handle of a job that repeats the first one to get its result, with the first one's id."""
        if not self.first_id:
            return handle
        return handle.model_copy(update={"details": {**handle.details, REPEATS: self.first_id}})

    def require_same(self, spec: Mapping[str, str]) -> None:
        """Raise `InvalidInput` if the key was used for another spec."""
        names = [name for name in sorted({*self.spec, *spec}) if self.spec.get(name) != spec.get(name)]
        pairs = [(name, self.spec.get(name, "nothing"), spec.get(name, "nothing")) for name in names]
        if self.count and pairs:
            at = instant(self.at).isoformat(timespec="seconds")
            differences = "; ".join(f"{name}: {then} then, {now} now" for name, then, now in pairs)
            raise InvalidInput("key", f"it was used at {at} for another job ({differences}). Use another key.")

    def apply(self, entry: Entry) -> None:
        """Apply the next entry. Raises `KeyError`, `TypeError` or `ValueError` for an invalid one."""
        kind = entry["kind"]
        if kind == "intent":
            self._begin(entry)
        elif self.count == 0:
            raise ValueError("the first entry is an intent")
        elif kind == "container":
            self.location, self.at = dict(entry["location"]), float(entry["at"])
        elif kind == "handle":
            self._keep(JobHandle.from_json(entry["handle"]), int(entry.get("intent", self.intent)))
        elif kind == "adopted":
            self.holders |= {str(entry["owner"])}
            self.left_behind -= self.holders
        elif kind == "void":
            self.void = True
            self.given_up |= entry.get("given_up") is True
        elif kind == "unknown":
            self.unknown = {"sent_at": str(entry["sent_at"]), "cause": str(entry["cause"])}
        elif kind == "cancelled":
            self.cancelled[str(entry["of"])] = str(entry["message"])
            self.cancel_confirmed |= entry.get("confirmed") is True
            if entry.get("runs_on") is True:
                self.left_running |= {str(entry["of"])}
        else:
            raise ValueError(kind)
        self.count += 1

    def _begin(self, entry: Entry) -> None:
        self.by, self.at = str(entry["by"]), float(entry["at"])
        if "forced_by" in entry:
            self.forced_by |= {str(entry["forced_by"])}
            self.forced_intent = self.count
            self.first_id = ""
        self.owner = self.intents[self.count] = str(entry.get("owner", ""))
        self.left_behind = (self.left_behind | self.holders) - {self.owner}
        self.holders = frozenset([self.owner])
        self.provider, self.operation = str(entry["provider"]), str(entry["operation"])
        self.credentials, self.key = str(entry.get("credentials", "")), str(entry["key"])
        self.subject = str(entry.get("subject", ""))
        self.spec = {str(name): str(value) for name, value in dict(entry["spec"]).items()}
        left = [str(job_id) for job_id in entry.get("superseded", ())]
        self.superseded = tuple(dict.fromkeys([*self.superseded, *left]))
        self.before = frozenset({*map(str, entry.get("before", ())), *left, *self.before})
        self.location = None if entry["location"] is None else dict(entry["location"])
        self.handle, self.void, self.unknown = None, False, None
        self.cancelled, self.left_running, self.cancel_confirmed = {}, frozenset(), False

    def _keep(self, handle: JobHandle, intent: int) -> None:
        is_known, is_replaced = handle.job_id in self.handled, self.is_replaced(handle.job_id, intent)
        self.handled |= {handle.job_id}
        if is_replaced:
            if not is_known:
                self.superseded = tuple(dict.fromkeys([*self.superseded, handle.job_id]))
                self.late = (*self.late, (handle, self.intents[intent]))
            return
        if self.handle and self.handle.job_id != handle.job_id:
            self.cancel_confirmed = False  # it concerned the previous job
        self.handle = handle
        self.void, self.given_up, self.unknown = False, False, None
        self.first_id = self.first_id or handle.job_id


def read_record(entries: Sequence[Entry]) -> Record:
    """Return the record. Raises `InvalidInput` for entries that this version cannot have written."""
    record = Record()
    for entry in entries:
        try:
            record.apply(entry)
        except (KeyError, TypeError, ValueError):  # `InvalidInput` is a ValueError
            raise InvalidInput(
                "store", f"entry {record.count} of this submission cannot be read; was it edited by hand?"
            ) from None
    return record
