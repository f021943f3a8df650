"""What the entries of one submission add up to. Pure.

Entries, in the order in which they are written: `intent` before anything is sent; `room` with the container that was
made for the job; then `handle`, or `void` (surely nothing came of it), or `unknown` (nobody can tell). A new `intent`
begins anew: after a void one, after a job that failed, or because the caller said so. A `handle` after a `void`, or
after another `handle`, is a job that showed late. `cancelled` is what came of a person's cancel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphql_jobs.clock import instant
from graphql_jobs.errors import InvalidInput
from graphql_jobs.job import REPEATS, JobHandle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphql_jobs.memory import Entry
    from graphql_jobs.provider import Place


@dataclass(slots=True)
class Record:
    """One submission as far as it got. `count` is the number of the next entry."""

    count: int = 0
    #: Who wrote the last intent, when (epoch seconds), and what was to be submitted.
    by: str = ""
    #: The flow run that wrote it: the job is that run's.
    owner: str = ""
    at: float = 0.0
    provider: str = ""
    credentials: str = ""
    operation: str = ""
    key: str = ""
    subject: str = ""
    spec: dict[str, str] = field(default_factory=dict)
    #: Ids that the provider showed before the intent: none of them is ours.
    before: frozenset[str] = frozenset()
    #: Where the job would be found. None: a container is to be made for it, and before there is one, no job can exist.
    place: Place | None = None
    handle: JobHandle | None = None
    #: The first job that was kept since the submission began, or since the caller asked for a new one.
    first_id: str = ""
    #: All jobs that were ever kept under this key.
    handled: frozenset[str] = frozenset()
    #: The jobs that were left as they were when the caller asked for a new one: they may still run.
    superseded: tuple[str, ...] = ()
    void: bool = False
    #: Whether an intent since the last job was given up because its job was not to be seen: it may still show.
    given_up: bool = False
    unknown: dict[str, Any] | None = None
    #: The owners who asked for a new job whatever there was, and had it.
    forced_by: frozenset[str] = frozenset()
    #: What came of each cancel of this job, in a sentence, by what was cancelled.
    cancelled: dict[str, str] = field(default_factory=dict)
    #: Whether the provider was read again after one of them, and no longer ran the job.
    surely_cancelled: bool = False

    @property
    def is_open(self) -> bool:
        """An intent of which nothing more is known: somebody is at work on it, or died."""
        return self.count > 0 and self.handle is None and not self.void and self.unknown is None

    @property
    def surely_nothing(self) -> bool:
        """No job can have come of the last intent."""
        return self.void or (self.handle is None and self.place is None)

    def repeating(self, handle: JobHandle) -> JobHandle:
        """The handle of a job that was done again for want of the first one's result, with the first one's id."""
        if not self.first_id:
            return handle
        return handle.model_copy(update={"details": {**handle.details, REPEATS: self.first_id}})

    def require_same(self, spec: Mapping[str, str]) -> None:
        """Raise `InvalidInput` if the key was used for another spec than this."""
        names = [name for name in sorted({*self.spec, *spec}) if self.spec.get(name) != spec.get(name)]
        pairs = [(name, self.spec.get(name, "nothing"), spec.get(name, "nothing")) for name in names]
        if self.count and pairs:
            at = instant(self.at).isoformat(timespec="seconds")
            differences = "; ".join(f"{name}: {then} then, {now} now" for name, then, now in pairs)
            raise InvalidInput("key", f"it was used at {at} for another job ({differences}). Use another key.")

    def apply(self, entry: Entry) -> None:
        """Take in the next entry. Raises `KeyError`, `TypeError` or `ValueError` for one that makes no sense."""
        kind = entry["kind"]
        if kind == "intent":
            self.by, self.at = str(entry["by"]), float(entry["at"])
            self.forced_by = self.forced_by.union([str(entry["forced_by"])] if "forced_by" in entry else ())
            self.first_id = "" if "forced_by" in entry else self.first_id
            self.owner = str(entry.get("owner", ""))
            self.provider, self.operation = str(entry["provider"]), str(entry["operation"])
            self.credentials, self.key = str(entry.get("credentials", "")), str(entry["key"])
            self.subject = str(entry.get("subject", ""))
            self.spec = {str(name): str(value) for name, value in dict(entry["spec"]).items()}
            left = [str(job_id) for job_id in entry.get("superseded", ())]
            self.superseded = tuple(dict.fromkeys([*self.superseded, *left]))
            self.before = frozenset({*map(str, entry.get("before", ())), *left, *self.before})
            self.place = None if entry["place"] is None else dict(entry["place"])
            self.handle, self.void, self.unknown = None, False, None
            self.cancelled, self.surely_cancelled = {}, False
        elif self.count == 0:
            raise ValueError("the first entry is an intent")
        elif kind == "room":
            self.place, self.at = dict(entry["place"]), float(entry["at"])
        elif kind == "handle":
            former, self.handle = self.handle, JobHandle.from_json(entry["handle"])
            if former and former.job_id != self.handle.job_id:
                self.surely_cancelled = False  # that was the former's
            self.void, self.given_up, self.unknown = False, False, None
            self.handled |= {self.handle.job_id}
            self.first_id = self.first_id or self.handle.job_id
        elif kind == "void":
            self.void = True
            self.given_up |= entry.get("given_up") is True
        elif kind == "unknown":
            self.unknown = {"sent_at": str(entry["sent_at"]), "cause": str(entry["cause"])}
        elif kind == "cancelled":
            self.cancelled[str(entry["of"])] = str(entry["message"])
            self.surely_cancelled |= entry.get("confirmed") is True
        else:
            raise ValueError(kind)
        self.count += 1


def read_record(entries: Sequence[Entry]) -> Record:
    """The record. Raises `InvalidInput` for entries that this version cannot have written."""
    record = Record()
    for entry in entries:
        try:
            record.apply(entry)
        except (KeyError, TypeError, ValueError):  # `InvalidInput` is a ValueError
            raise InvalidInput(
                "memory", f"entry {record.count} of this submission cannot be read; was it edited by hand?"
            ) from None
    return record
