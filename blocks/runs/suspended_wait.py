"""The wait of a suspended flow run and the claims of the watchers that resume it, kept as inputs of the run.

The entries of one run are a list: a `SuspendedWait` each time that the run suspends itself, and the claims of it. An
entry is written once, and only one process can write the entry with the next number, so that one watcher resumes a run.
The name of the wait's entry is the pause key of the Suspended state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from blocks.runs.store import RunStore
from graphql_jobs import JobHandle, WaitPolicy
from graphql_jobs.errors import InvalidInput
from graphql_jobs.inputs import invalid_input

#: When a wait for several jobs ends: when all have ended, or with the first that does not succeed, or succeeds.
Until = Literal["all ended", "first failure", "first success"]
#: What happens to a suspended run if not all jobs succeed: its flow decides, or it fails without a process.
OnFailure = Literal["resume", "fail"]

_KEY = "gqw-wait"
_KIND = "kind"


class SuspendedWait(BaseModel):
    """The data with which a watcher waits instead of a run. It has no secret, only the name of the credentials."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: Literal["wait"] = "wait"
    #: The version of this format. A watcher ignores a wait of another version.
    version: Literal[1] = 1
    provider: str
    #: The name of the saved credentials block.
    credentials: str
    jobs: list[JobHandle]
    policy: WaitPolicy
    until: Until = "all ended"
    on_failure: OnFailure = "resume"
    #: The end of the message if the job is lost.
    if_lost: str = ""


class Suspension:
    """One suspension of a run: its wait, and the claims of it. Without a pause key, it is the last one."""

    def __init__(self, store: RunStore, entries: Sequence[Mapping[str, Any]], pause_key: str | None = None) -> None:
        self._store, self._entries, self._count = store, entries, len(entries)
        self._waits = waits = {
            _name(number): entry for number, entry in enumerate(entries) if entry.get(_KIND) == "wait"
        }
        self.pause_key = pause_key or next(reversed(waits), "")
        self._wait = waits.get(self.pause_key)
        self.claims = [entry for entry in entries if entry.get(_KIND) == "claim" and entry.get("of") == self.pause_key]

    @property
    def has_wait(self) -> bool:
        """Whether the run has an entry that says what it waits for."""
        return self._wait is not None

    @property
    def wait(self) -> SuspendedWait:
        """Return what the run waits for. Raises `InvalidInput` if the entry is missing or cannot be read."""
        if self._wait is None:
            raise InvalidInput("wait", "the run has no entry that says what it waits for.")
        try:
            return SuspendedWait.model_validate(self._wait)
        except ValidationError as error:
            raise invalid_input(error, "wait") from None

    def earlier(self, jobs: Sequence[JobHandle]) -> Suspension | None:
        """The run's last suspension for these jobs, since a flow may wait several times; None if there is none."""
        wanted = {job.job_id for job in jobs}
        for pause_key in reversed(self._waits):
            one = Suspension(self._store, self._entries, pause_key)
            with suppress(InvalidInput):
                if {job.job_id for job in one.wait.jobs} == wanted:
                    return one
        return None

    def lost(self, run_count: int) -> str:
        """Why the watcher that resumed this attempt of the run lost the provider; empty if it did not.

        A retry of the run, which has a higher number, waits with its whole outage budget.
        """
        claim = self.claims[-1] if self.claims else {}
        return str(claim.get("lost", "")) if claim.get("run_count") == max(run_count, 1) else ""

    async def suspend(self, wait: SuspendedWait) -> str:
        """Write down what the run waits for, before it suspends itself. Returns the key of the pause to ask for."""
        while not await self._append(wait.model_dump(mode="json")):
            self._count = len(await self._store.read(_KEY))
        return _name(self._count - 1)

    async def claim(self, watcher: str, run_count: int, lost: str = "") -> bool:
        """Claim the resumption of the run for a watcher. False if another one has claimed it since the last read.

        `run_count` is the number of the attempt that is resumed. `lost` is the reason why the provider is lost, if it
        is.
        """
        attempt = max(run_count, 1)  # 0 is a run that was created suspended
        claim = {_KIND: "claim", "of": self.pause_key, "watcher": watcher, "run_count": attempt, "lost": lost}
        return await self._append(claim)

    async def _append(self, entry: Mapping[str, Any]) -> bool:
        if not await self._store.append(_KEY, self._count, entry):
            return False
        self._count += 1
        return True


#: The key of the pause of a run that is created suspended.
FIRST_PAUSE = f"{_KEY}-0"


def is_pause_key(pause_key: str | None) -> bool:
    """Whether a run is suspended for its jobs, and not by a person or by its flow, for example for an approval."""
    return bool(pause_key) and str(pause_key).startswith(f"{_KEY}-")


async def read_suspension(run_id: UUID, pause_key: str | None = None) -> Suspension:
    """The suspension of a run with this pause key, or its last one. It may have none."""
    store = RunStore(run_id)
    return Suspension(store, await store.read(_KEY), pause_key)


def _name(number: int) -> str:
    """The name of an entry. That of a wait is also the key of the pause in Prefect's state."""
    return f"{_KEY}-{number}"
