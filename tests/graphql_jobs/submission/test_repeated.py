"""Submitting again after another process: how often the store is read, and how a repeated export is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import Label, LocalStore, submit_once
from graphql_jobs.handle import REPEATS
from graphql_jobs.providers.datasaur import AutoLabelSpec, DatasaurClient, ExportSpec
from tests.clocks import DrivenClock, use_clock
from tests.conftest import datasaur_credentials, driven

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphql_jobs.emulator import Emulator

PROJECT_ID = "HvdyIL2iwZn"
EXPORT = ExportSpec.of(project_ids=[PROJECT_ID], file_name="out")
AUTO_LABEL = AutoLabelSpec.of(
    project_id=PROJECT_ID,
    labeler_email="labeler@example.invalid",
    target_endpoint="https://model.example.invalid/predict",
    target_secret="s3cret",
)
LABEL = Label("gqj-again", "run")


class Died(BaseException):
    """The process was killed."""


class CountingStore(LocalStore):
    """Counts the reads and, if told to, stops the process after it wrote an intent."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.dies_after_intent = self.is_dead = False

    async def read(self, key: str) -> Sequence[Mapping[str, Any]]:
        """All entries, unless the process was stopped."""
        self.reads += 1
        if self.is_dead:
            raise Died
        return await super().read(key)

    async def append(self, key: str, number: int, entry: Mapping[str, Any]) -> bool:
        """Write one entry."""
        written = await super().append(key, number, entry)
        if self.dies_after_intent:
            self.is_dead = True
            raise Died
        return written


@pytest.fixture
async def client(emulator: Emulator) -> DatasaurClient:
    """A client whose delays advance the emulator's clock."""
    client = datasaur_credentials(emulator).get_client()
    use_clock(client.session, driven(emulator))
    return client


async def test_another_process_submission_is_read_less_and_less_often(client: DatasaurClient) -> None:
    """Waiting two minutes for a process that was killed after its intent takes ten reads of the store, not 120."""
    store = CountingStore()
    async with client:
        store.dies_after_intent = True
        with pytest.raises(Died):
            await submit_once(client, EXPORT, store, LABEL)
        store.dies_after_intent = store.is_dead = False
        store.reads = 0
        await submit_once(client, EXPORT, store, LABEL)
    assert store.reads <= 12
    clock = client.session.clock
    assert isinstance(clock, DrivenClock)
    assert clock.slept_s >= client.session.limits.submission_s


async def test_repeated_export_names_the_first(client: DatasaurClient) -> None:
    """Three processes submit the export one after the other: the second and the third name the first."""
    store = LocalStore()
    async with client:
        first, second, third = [await submit_once(client, EXPORT, store, LABEL) for _ in range(3)]
    assert REPEATS not in first.details
    assert second.details[REPEATS] == third.details[REPEATS] == first.job_id
    assert len({first.job_id, second.job_id, third.job_id}) == 3


async def test_export_whose_file_is_stored_is_not_repeated(client: DatasaurClient, emulator: Emulator) -> None:
    """A second process has the file of the second of two exports: it gets that one, which repeats the first."""
    store = LocalStore()
    async with client:
        first, second = [await submit_once(client, EXPORT, store, LABEL) for _ in range(2)]
        again = await submit_once(client, EXPORT, store, LABEL, has_result=lambda one: one.job_id == second.job_id)
        other = await submit_once(client, EXPORT, store, LABEL, has_result=lambda one: one.job_id == first.job_id)
    assert again == second
    assert again.details[REPEATS] == first.job_id
    assert other.job_id not in {first.job_id, second.job_id}
    assert len(emulator.ledger.submissions) == 3


async def test_forced_export_repeats_none(client: DatasaurClient) -> None:
    """`force_resubmit` by another run: its export repeats no other, and its downstream starts too."""
    store = LocalStore()
    async with client:
        await submit_once(client, EXPORT, store, LABEL)
        forced = await submit_once(client, EXPORT, store, Label(LABEL.key, "another run"), force_resubmit=True)
        again = await submit_once(client, EXPORT, store, Label(LABEL.key, "another run"), force_resubmit=True)
    assert REPEATS not in forced.details
    assert again.details[REPEATS] == forced.job_id


async def test_job_that_is_found_again_repeats_none(client: DatasaurClient) -> None:
    """The next process gets the same auto-label job, since its handle was recorded."""
    store = LocalStore()
    async with client:
        first, second = [await submit_once(client, AUTO_LABEL, store, LABEL) for _ in range(2)]
    assert first == second
