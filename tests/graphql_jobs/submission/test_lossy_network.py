"""One key has one job on a lossy network: 3 in 10 requests are refused, and 3 in 10 answers are lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphql_jobs import Label, LocalStore, submission_key, submit_once
from graphql_jobs.emulator import Fault
from graphql_jobs.errors import RequestFailed, SubmissionUnknown
from graphql_jobs.providers.aiware import AiwareJobSpec
from graphql_jobs.providers.aiware.specs import EngineTask
from graphql_jobs.providers.datasaur import ProjectSpec
from graphql_jobs.providers.datasaur.specs import ProjectDocument
from tests.clocks import use_clock
from tests.conftest import aiware_credentials, datasaur_credentials, driven

if TYPE_CHECKING:
    from graphql_jobs import JobClient, JobHandle, JobSpec
    from graphql_jobs.emulator import Emulator

#: Of all requests. The second fault applies only to requests that the first let through, so its share is larger.
SHARE = 0.3
REFUSED = Fault("rate_limited", times=None, probability=SHARE)
LOST = Fault("drop_after", times=None, probability=SHARE / (1 - SHARE))
#: An attempt fails if its searches are lost too, about one in ten. More failures in a row have another cause.
ATTEMPTS = 30


async def test_five_hundred_aiware_jobs(emulator: Emulator) -> None:
    """500 keys, each with its own container: 500 jobs, and each handle names the job of its key."""
    client = aiware_credentials(emulator).get_client()
    spec = AiwareJobSpec.of(tasks=[EngineTask(engine_id="c0e55cde-340b-44d7-bb42-2e0d65e98255")])
    keys = [submission_key("aiware", "", "", spec.operation, "key", str(number)) for number in range(500)]
    handles = await _all(emulator, client, dict.fromkeys(keys, spec))
    assert emulator.ledger.jobs_by_key() == {key: [handle.job_id] for key, handle in handles.items()}
    assert len(handles) == 500
    _require_faults(emulator)


async def test_two_hundred_datasaur_projects(emulator: Emulator) -> None:
    """200 names: 200 projects. A project that was found again is the only job of its name."""
    client = datasaur_credentials(emulator).get_client()
    documents = [ProjectDocument(name="a.txt", external_url="https://files.example.invalid/a.txt")]
    specs: dict[str, JobSpec] = {
        f"project-{number}": ProjectSpec.of(name=f"project-{number}", documents=documents) for number in range(200)
    }
    handles = await _all(emulator, client, specs)
    made = emulator.ledger.jobs_by_key()
    assert {name: len(jobs) for name, jobs in made.items()} == dict.fromkeys(specs, 1)
    of_project = {f"project:{job.result_id}": job_id for job_id, job in emulator.datasaur.jobs.items()}
    assert {name: [of_project.get(handle.job_id, handle.job_id)] for name, handle in handles.items()} == made
    _require_faults(emulator)


async def _all(emulator: Emulator, client: JobClient, specs: dict[str, JobSpec]) -> dict[str, JobHandle]:
    """Submit each spec with its key; a failed submission is repeated with the same key, as a retry would."""
    use_clock(client.session, driven(emulator))
    emulator.faults.add(REFUSED, LOST)
    store = LocalStore()
    handles: dict[str, JobHandle] = {}
    async with client:
        for key, spec in specs.items():
            for _ in range(ATTEMPTS):
                try:
                    handles[key] = await submit_once(client, spec, store, Label(key))
                    break
                except (RequestFailed, SubmissionUnknown):
                    continue
    return handles


def _require_faults(emulator: Emulator) -> None:
    """Assert that the network was as lossy as intended."""
    faults = [record.fault for record in emulator.ledger.requests]
    for fault in (REFUSED, LOST):
        assert faults.count(fault.kind) / len(faults) > SHARE - 0.05
