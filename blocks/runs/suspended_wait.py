"""The wait of a suspended flow run and the claims of the watchers that resume it, kept as inputs of the run.

The entries of one run are a list: a `SuspendedWait` for each suspension, and then its claims. An
entry is written once, and only one process can write the entry with the next number. So one watcher resumes a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


class Suspension:
    """The last suspension of one run: its wait, and the claims since then."""

    def __init__(self, store: RunStore, entries: Sequence[Mapping[str, Any]]) -> None:
        self._store, self._count = store, len(entries)
        waits = [number for number, entry in enumerate(entries) if entry.get(_KIND) == "wait"]
        self._wait = entries[waits[-1]] if waits else None
        self.claims = list(entries[waits[-1] + 1 :]) if waits else []

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

    async def suspend(self, wait: SuspendedWait) -> None:
        """Record what the run waits for, before it suspends itself."""
        while not await self._append(wait.model_dump(mode="json")):
            await self._reload()

    async def claim(self, watcher: str, state_id: str, lost: str = "") -> bool:
        """Claim the resumption of the run for a watcher. Return False if another one claimed it since the last read.

        `state_id` is that of the Suspended state. `lost` is the reason if the provider is lost.
        """
        return await self._append({_KIND: "claim", "watcher": watcher, "state_id": state_id, "lost": lost})

    async def _append(self, entry: Mapping[str, Any]) -> bool:
        if not await self._store.append(_KEY, self._count, entry):
            return False
        self._count += 1
        return True

    async def _reload(self) -> None:
        self._count = len(await self._store.read(_KEY))


async def read_suspension(run_id: UUID) -> Suspension:
    """Return the last suspension of a run, which may have none."""
    store = RunStore(run_id)
    return Suspension(store, await store.read(_KEY))
