"""How long a process waits before it continues the open submission of another process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import Label, LocalStore, submit_once
from graphql_jobs.providers.datasaur import ExportSpec
from tests.clocks import use_clock
from tests.conftest import aiware_credentials, datasaur_credentials, driven
from tests.graphql_jobs.submitting import jobs, on_target, shared_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphql_jobs.emulator import Emulator

EXPORT = ExportSpec.of(project_ids=["HvdyIL2iwZn"], file_name="out")
LABEL = Label("gqj-lease", "run")


class Died(BaseException):
    """The process was killed."""


class StoreOfADeadProcess(LocalStore):
    """The process is killed after it wrote the first entry."""

    is_dead = False

    async def read(self, key: str) -> Sequence[Mapping[str, Any]]:
        """Read, unless the process was killed."""
        if self.is_dead:
            raise Died
        return await super().read(key)

    async def append(self, key: str, number: int, entry: Mapping[str, Any]) -> bool:
        """Write one entry."""
        written = await super().append(key, number, entry)
        if number == 0:
            self.is_dead = True
            raise Died
        return written


@pytest.mark.parametrize(("submission_s", "lease_s"), [(120.0, 130.0), (15.0, 25.0), (4.0, 8.0)])
async def test_lease_is_set_by_the_credentials_block(emulator: Emulator, submission_s: float, lease_s: float) -> None:
    """The lease is `submission_s` and 10 s, since clocks differ, or twice `submission_s` if that is less."""
    block = datasaur_credentials(emulator).model_copy(update={"submission_s": submission_s})
    client, store = block.get_client(), StoreOfADeadProcess()
    clock = driven(emulator)
    use_clock(client.session, clock)
    async with client:
        with pytest.raises(Died):
            await submit_once(client, EXPORT, store, LABEL)
        assert emulator.ledger.submissions == []
        store.is_dead = False
        await submit_once(client, EXPORT, store, LABEL)
    assert len(emulator.ledger.submissions) == 1
    assert clock.slept_s == pytest.approx(lease_s)


async def test_lease_of_an_intent_from_the_future_is_no_longer(emulator: Emulator) -> None:
    """A worker whose clock is a year ahead was killed after its intent: others wait for the usual lease, not a year."""
    client, store = datasaur_credentials(emulator).get_client(), LocalStore()
    clock = driven(emulator)
    use_clock(client.session, clock)
    intent = {"kind": "intent", "by": "dead", "at": clock.now() + 365 * 86400, "provider": "datasaur"}
    intent |= {"operation": EXPORT.operation, "key": LABEL.key, "spec": EXPORT.summary(LABEL.key), "location": {}}
    await store.append(LABEL.key, 0, intent)
    async with client:
        await submit_once(client, EXPORT, store, LABEL)
    assert len(emulator.ledger.submissions) == 1
    assert clock.slept_s == pytest.approx(130)


class StoreWithOtherWriters(LocalStore):
    """Another process writes an entry before each handle."""

    async def append(self, key: str, number: int, entry: Mapping[str, Any]) -> bool:
        """Write one entry, unless it is a handle."""
        if entry["kind"] == "handle":
            await super().append(key, number, {"kind": "cancelled", "of": str(number), "message": ""})
            return False
        return await super().append(key, number, entry)


async def test_handle_that_can_never_be_written_is_returned(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The job runs and is billed: it is waited for, and the log names the handle that was not recorded."""
    client = datasaur_credentials(emulator).get_client()
    use_clock(client.session, driven(emulator))
    async with client:
        handle = await submit_once(client, EXPORT, StoreWithOtherWriters(), LABEL)
    assert [one.job_id for one in emulator.ledger.submissions] == [handle.job_id]
    assert f"job {handle.job_id} runs, but other processes kept" in caplog.text


async def test_both_credentials_blocks_hand_the_limit_to_their_session(emulator: Emulator) -> None:
    """A block that was saved without the field uses the core's default of 120 s."""
    for block in (aiware_credentials(emulator), datasaur_credentials(emulator)):
        assert block.submission_s == 120.0
        changed = block.model_copy(update={"submission_s": 7.0, "base_url": f"{emulator.url}/elsewhere"})
        assert changed.get_client().session.limits.submission_s == 7.0
        for bad_s in (0, -1, float("inf"), float("nan")):
            with pytest.raises(ValueError, match="submission_s"):
                type(block).model_validate(block.model_dump() | {"submission_s": bad_s})


class NoHandles(LocalStore):
    """A store that refuses handles, as a proxy before Prefect's API may because of their size; it counts reads."""

    reads = 0

    async def read(self, key: str) -> Sequence[Mapping[str, Any]]:
        """Read; fail after a thousand reads."""
        self.reads += 1
        if self.reads > 1000:
            raise Died
        return await super().read(key)

    async def append(self, key: str, number: int, entry: Mapping[str, Any]) -> bool:
        """Write one entry that is not a handle."""
        if entry["kind"] == "handle":
            raise ConnectionError("HTTP 413")
        return await super().append(key, number, entry)


async def test_store_that_refuses_a_found_job_is_asked_with_delays(emulator: Emulator) -> None:
    """A killed process had submitted the job: it is found immediately, and its handle cannot be written."""
    client, store = aiware_credentials(emulator).get_client(), NoHandles()
    clock = driven(emulator)
    use_clock(client.session, clock)
    async with client:
        spec = on_target("job", await shared_target(client))
        first = await submit_once(client, spec, store, LABEL)
        store.reads = 0
        assert (await submit_once(client, spec, store, LABEL)).job_id == first.job_id
    assert len(jobs(emulator)) == 1
    assert store.reads < 30
    assert clock.slept_s <= 131
