"""An attempt that ends before it sent anything records that: the next one submits, and nothing is unknown."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from graphql_jobs import JobClient, LocalStore
from graphql_jobs.errors import SubmissionUnknown
from tests.clocks import use_clock
from tests.conftest import aiware_credentials, datasaur_credentials, driven
from tests.graphql_jobs.submitting import AUTO_LABEL, EXPORT, LABEL, LAUNCH, PROJECT, jobs, kinds, submitted

if TYPE_CHECKING:
    from graphql_jobs import JobSpec
    from graphql_jobs.emulator import Emulator
    from graphql_jobs.store import Entry

SPECS = [AUTO_LABEL, EXPORT, PROJECT, LAUNCH]


class Failing(LocalStore):
    """A store that fails once, at the first entry of a kind, before or after it has written it."""

    def __init__(self, kind: str, when: str, error: BaseException) -> None:
        super().__init__()
        self.left: list[tuple[str, str, BaseException]] = [(kind, when, error)]

    async def append(self, key: str, number: int, entry: Entry) -> bool:
        """Write one entry, or fail."""
        if not self.left or self.left[0][0] != entry["kind"]:
            return await super().append(key, number, entry)
        [(_, when, error)] = self.left
        self.left = []
        if when == "after it was written":
            await super().append(key, number, entry)
        raise error


def a_client(emulator: Emulator, spec: JobSpec) -> JobClient:
    """The client of the spec's provider, whose delays advance the emulator's clock."""
    client: JobClient = (aiware_credentials if spec is LAUNCH else datasaur_credentials)(emulator).get_client()
    use_clock(client.session, driven(emulator))
    return client


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: type(spec).__name__)
@pytest.mark.parametrize("when", ["before it was written", "after it was written"])
@pytest.mark.parametrize("error", [ConnectionError("500"), asyncio.CancelledError()], ids=["500", "cancelled"])
async def test_unwritten_intent_is_not_unknown(
    emulator: Emulator, spec: JobSpec, when: str, error: BaseException
) -> None:
    """Prefect's API answers 500 to the intent, and writes it or not: the next attempt submits one job."""
    store = Failing("intent", when, error)
    with pytest.raises(type(error)):
        await submitted(a_client(emulator, spec), spec, store)
    assert jobs(emulator) == []
    await submitted(a_client(emulator, spec), spec, store)
    assert len(jobs(emulator)) == 1
    expected = ["intent", "void"] if when == "after it was written" else []
    assert kinds(await store.read(LABEL.key))[: len(expected)] == expected


@pytest.mark.parametrize("when", ["before it was written", "after it was written"])
@pytest.mark.parametrize("error", [ConnectionError("500"), asyncio.CancelledError()], ids=["500", "cancelled"])
async def test_unwritten_container_is_not_unknown(emulator: Emulator, when: str, error: BaseException) -> None:
    """Prefect's API answers 500 to the entry of the container: the next attempt submits one job immediately."""
    store = Failing("container", when, error)
    with pytest.raises(type(error)):
        await submitted(a_client(emulator, LAUNCH), LAUNCH, store)
    assert jobs(emulator) == []
    client = a_client(emulator, LAUNCH)
    began_at = client.session.clock.now()
    await submitted(client, LAUNCH, store)
    assert client.session.clock.now() == began_at
    assert len(jobs(emulator)) == 1


async def test_intent_whose_write_took_longer_than_a_submission_may_is_not_acted_on(emulator: Emulator) -> None:
    """The intent is written after an hour of retries, when its lease has ended: nothing is sent under it."""
    client = a_client(emulator, AUTO_LABEL)

    class Slow(LocalStore):
        async def append(self, key: str, number: int, entry: Entry) -> bool:
            if number == 0:
                await client.session.clock.sleep(3600)
                assert jobs(emulator) == []
            return await super().append(key, number, entry)

    store = Slow()
    await submitted(client, AUTO_LABEL, store)
    assert kinds(await store.read(LABEL.key)) == ["intent", "void", "intent", "handle"]
    assert len(jobs(emulator)) == 1


async def test_unwritten_handle_leaves_the_outcome_unknown(emulator: Emulator) -> None:
    """The create was sent: an attempt that does not know the answer must not treat it as unsent."""
    store = Failing("handle", "before it was written", ConnectionError("500"))
    await submitted(a_client(emulator, AUTO_LABEL), AUTO_LABEL, store)
    with pytest.raises(SubmissionUnknown):
        await submitted(a_client(emulator, AUTO_LABEL), AUTO_LABEL, store)
    assert len(jobs(emulator)) == 1
