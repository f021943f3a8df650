"""Submitting once against the emulator: store, adoption, refusals, conflicts. The emulator's ledger counts the jobs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from graphql_jobs import BearerToken, JobState, Label, LocalStore, errors, wait
from graphql_jobs.emulator import Fault, JobFault
from graphql_jobs.providers.aiware import AiwareClient, AiwareJobSpec, EngineJobSpec, EngineTask
from tests.graphql_jobs.submitting import (
    AUTO_LABEL,
    ENGINE,
    EXPORT,
    LABEL,
    LAUNCH,
    PROJECT,
    TASKS,
    Broken,
    jobs,
    kinds,
    submitted,
)

if TYPE_CHECKING:
    from blocks import AiwareCredentials, DatasaurCredentials
    from graphql_jobs.emulator import Emulator
    from graphql_jobs.store import Entry


async def test_job_gets_its_own_container(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """Intent, container, job: the label is in the container's details and in the job's configuration."""
    store = LocalStore()
    handle = await submitted(aiware.get_client(), TASKS, store)
    assert kinds(await store.read(LABEL.key)) == ["intent", "container", "handle"]
    [job] = jobs(emulator)
    assert job.job_id == handle.job_id
    assert emulator.aiware.jobs[handle.job_id].config == {"graphql_jobs": {"key": "gqj-one", "owner": "run-1"}}
    assert emulator.aiware.tdos[job.target_id or ""].details == LABEL.to_json()


async def test_callers_own_json_is_kept_beside_the_label(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """jobConfig and the new target's name and details keep the caller's values and have the label."""
    target = {"name": "Monday's hearing", "details": {"case": 7}}
    spec = AiwareJobSpec.of(tasks=[EngineTask(engine_id=ENGINE)], target=target, job_config={"a": 1})
    handle = await submitted(aiware.get_client(), spec)
    job = emulator.aiware.jobs[handle.job_id]
    tdo = emulator.aiware.tdos[job.target_id or ""]
    assert job.config == {"a": 1} | LABEL.to_json()
    assert (tdo.name, tdo.details) == ("Monday's hearing", {"case": 7} | LABEL.to_json())


async def test_second_attempt_gets_the_same_job(
    emulator: Emulator, aiware: AiwareCredentials, datasaur: DatasaurCredentials
) -> None:
    """Same key, same spec, later: the handle comes from the store, and only one check is sent."""
    for client, spec in (
        (aiware.get_client(), TASKS),
        (datasaur.get_client(), PROJECT),
        (datasaur.get_client(), AUTO_LABEL),
    ):
        store = LocalStore()
        first = await submitted(client, spec, store)
        before = len(jobs(emulator))
        assert (await submitted(client, spec, store)).job_id == first.job_id
        assert len(jobs(emulator)) == before


async def test_refused_create_is_submitted_by_the_next_attempt(
    emulator: Emulator, datasaur: DatasaurCredentials
) -> None:
    """The create is refused: the error is raised, and the next attempt submits."""
    emulator.faults.add(Fault("body_too_large", operation=AUTO_LABEL.operation))
    store = LocalStore()
    with pytest.raises(errors.RequestFailed):
        await submitted(datasaur.get_client(), AUTO_LABEL, store)
    await submitted(datasaur.get_client(), AUTO_LABEL, store)
    assert len(jobs(emulator, AUTO_LABEL.operation)) == 1


@pytest.mark.parametrize("writes", [1, 2])
async def test_job_is_not_sent_if_its_intent_cannot_be_written(
    writes: int, emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """The store fails at the intent or the container: no job is started, and the store's error is raised."""
    with pytest.raises(ConnectionError):
        await submitted(aiware.get_client(), TASKS, Broken(writes))
    assert jobs(emulator) == []


async def test_job_whose_handle_cannot_be_written_is_waited_for(
    emulator: Emulator, aiware: AiwareCredentials, caplog: pytest.LogCaptureFixture
) -> None:
    """The store fails once the job runs: the job is waited for, the log says so, and a later attempt finds it."""
    store = Broken(3)
    handle = await submitted(aiware.get_client(), TASKS, store)
    assert "could not be recorded" in caplog.text
    assert (await submitted(aiware.get_client(), TASKS, store)).job_id == handle.job_id
    assert len(jobs(emulator)) == 1


async def test_failed_job_is_not_adopted(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """The retry after a failed job submits a new one in a new container, and later attempts adopt that."""
    emulator.faults.add(JobFault("job_fails"))
    client, store = aiware.get_client(), LocalStore()
    failed = await submitted(client, TASKS, store)
    emulator.clock.advance(1000)
    second = await submitted(client, TASKS, store)
    assert second.job_id != failed.job_id
    assert (await submitted(client, TASKS, store)).job_id == second.job_id
    assert len(jobs(emulator)) == 2


async def test_failed_job_is_adopted_on_request(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """A resumed flow run gets the job that it was suspended for, however that ended."""
    emulator.faults.add(JobFault("job_fails"))
    client, store = aiware.get_client(), LocalStore()
    failed = await submitted(client, TASKS, store)
    emulator.clock.advance(1000)

    async def adopt_failed() -> bool:
        return True

    assert await submitted(client, TASKS, store, adopt_failed=adopt_failed) == failed
    assert len(jobs(emulator)) == 1


async def test_force_starts_a_new_job_once_per_owner(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """A repeated attempt of the same run does not force again."""
    client, store = aiware.get_client(), LocalStore()
    first = await submitted(client, TASKS, store)
    forced = await submitted(client, TASKS, store, force_resubmit=True)
    repeated = await submitted(client, TASKS, store, force_resubmit=True)
    other = await submitted(client, TASKS, store, force_resubmit=True, label=Label(LABEL.key, "run-2"))
    assert forced.job_id == repeated.job_id
    assert len({first.job_id, forced.job_id, other.job_id}) == 3


async def test_key_that_was_used_for_another_job_is_a_conflict(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """The message shows the difference and no secret: addresses and structures are compared by digests."""
    client, store = aiware.get_client(), LocalStore()
    await submitted(client, LAUNCH, store)
    other = EngineJobSpec.of(engine_id="54525249-da68-4dbf-b6fe-aea9a1aefd4d", upload_url="https://h.example.com/b")
    with pytest.raises(errors.InvalidInput, match=r"used at .* for another job") as caught:
        await submitted(client, other, store)
    assert ENGINE in str(caught.value)
    assert "upload_url: digest" in str(caught.value)
    assert "example.com" not in str(caught.value)
    assert len(jobs(emulator)) == 1


async def test_new_signature_of_an_address_is_the_same_spec(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """A pre-signed address changes each time; the recording is the same."""
    store = LocalStore()
    for signature in ("1", "2"):
        spec = EngineJobSpec.of(engine_id=ENGINE, upload_url=f"https://media.example.com/a.mp4?sig={signature}")
        await submitted(aiware.get_client(), spec, store)
    assert len(jobs(emulator)) == 1


async def test_no_secret_is_kept(emulator: Emulator, aiware: AiwareCredentials, datasaur: DatasaurCredentials) -> None:
    """No entry holds the model's key or a pre-signed address, and each entry is small."""
    for client, spec in (
        (aiware.get_client(), LAUNCH),
        (datasaur.get_client(), AUTO_LABEL),
        (datasaur.get_client(), EXPORT),
    ):
        store = LocalStore()
        await submitted(client, spec, store)
        text = str(await store.read(LABEL.key))
        assert "s3cret" not in text
        assert "sig" not in text.replace("digest", "")
        assert len(text) < 2000


@pytest.mark.parametrize("entry", [{}, {"kind": "handle"}, {"kind": "intent"}, {"kind": "odd"}, {"kind": 7}])
async def test_edited_entry_is_reported_and_nothing_is_sent(
    entry: Entry, emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """An entry that was edited by hand cannot be read: the error says so."""
    store = LocalStore()
    await store.append(LABEL.key, 0, entry)
    with pytest.raises(errors.InvalidInput, match="edited by hand"):
        await submitted(aiware.get_client(), TASKS, store)
    assert emulator.ledger.submissions == []


async def test_spec_of_another_provider_is_refused(emulator: Emulator, aiware: AiwareCredentials) -> None:
    """It is refused before anything is sent or written."""
    store = LocalStore()
    with pytest.raises(errors.InvalidInput, match="aiWARE runs createJob"):
        await submitted(aiware.get_client(), PROJECT, store)
    assert await store.read(LABEL.key) == []


async def test_many_at_once_make_one_job(live_emulator: Emulator) -> None:
    """Twenty concurrent attempts with one key in one process, in real time: one job, and all get it."""
    store = LocalStore()
    client = AiwareClient.connect(live_emulator.url, BearerToken(live_emulator.accounts.aiware_token))
    handles = await asyncio.gather(*(submitted(client, TASKS, store) for _ in range(20)))
    assert len({handle.job_id for handle in handles}) == 1
    assert len(jobs(live_emulator)) == 1


async def test_job_that_was_lost_to_a_wait_is_found_by_the_next_attempt(
    emulator: Emulator, aiware: AiwareCredentials
) -> None:
    """Hidden for 100 s, with a grace of 30: the wait ends as `JobNotFound`, and the next attempt sees the job's end."""
    client, store = aiware.get_client(), LocalStore()
    emulator.faults.add(JobFault("not_visible", delay_s=100))
    first = await submitted(client, TASKS, store)
    async with client:
        with pytest.raises(errors.JobNotFound):
            await wait(client, first)
        emulator.clock.advance(100)
        again = await submitted(client, TASKS, store)
        assert again == first
        assert (await wait(client, again)).state is JobState.SUCCEEDED
    assert len(jobs(emulator)) == 1
