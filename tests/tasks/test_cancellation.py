"""The clean-up of one cancelled run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.states import Cancelled, Cancelling, Completed, Crashed, Failed, Running

from flows.cancel_remote_jobs import cancel_remote_jobs
from flows.run_aiware_job import run_aiware_job
from graphql_jobs.emulator import Fault, JobFault, Pace
from graphql_jobs.errors import RequestFailed
from graphql_jobs.providers.aiware import EngineJobSpec
from graphql_jobs.providers.datasaur import AutoLabelSpec, ExportSpec
from scripts.stack import ROOT
from tasks.cancelling.layers import MESSAGE_PREFIX, cancel_jobs_of, cancel_with_the_run, clean_up_after
from tests.tasks.cancelled_runs import (
    BY_HAND,
    ENGINE_ID,
    PROJECT_ID,
    TASKS,
    Forgetful,
    end,
    key_of,
    message_of,
    name_of,
    new_run,
    shared_target,
    submit,
)

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

    from blocks import AiwareCredentials, DatasaurCredentials
    from graphql_jobs import JobSpec
    from graphql_jobs.emulator import Emulator

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("one_prefect_client", "saved")]


@pytest.mark.walk
async def test_queued_job_is_cancelled_once_by_repeated_clean_ups(
    aiware: AiwareCredentials, emulator: Emulator
) -> None:
    """Three concurrent clean-ups and one more: one sentence, one message, one cancel."""
    run = await new_run()
    job_id = await submit(aiware, TASKS, run)
    await end(run)
    sentence = f"aiWARE job {job_id}: cancelled (status 'aborted')."
    assert await asyncio.gather(*(clean_up_after(run.id) for _ in range(3))) == [[sentence]] * 3
    assert await clean_up_after(run.id) == [sentence]
    assert await message_of(run) == MESSAGE_PREFIX + sentence
    assert sum(cancel.accepted for cancel in emulator.ledger.cancels) == 1
    async with get_client() as api:
        states = await api.read_flow_run_states(run.id)
    assert {state.message for state in states if state.is_cancelled()} == {BY_HAND.message, MESSAGE_PREFIX + sentence}


async def test_running_job_is_left_and_reported(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """aiWARE refuses once a task runs: each layer sends a cancel, and the state's name and message say so."""
    run = await new_run()
    await submit(aiware, TASKS, run)
    emulator.clock.advance(3)
    await end(run, Cancelling())
    await cancel_jobs_of(run.id)
    await end(run)
    [sentence] = await clean_up_after(run.id)
    assert "left running at aiWARE: RUNNING" in sentence
    assert (await name_of(run), await message_of(run)) == ("CancelledJobRuns", MESSAGE_PREFIX + sentence)
    assert [cancel.accepted for cancel in emulator.ledger.cancels] == [False, False]


async def test_later_cancel_of_the_same_run_cancels_again(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """Refused while the job ran; the run continued and was cancelled again, when the job had ended."""
    run = await new_run()
    await submit(aiware, TASKS, run)
    emulator.clock.advance(3)
    await end(run)
    assert "left running" in (await clean_up_after(run.id))[0]
    await end(run, Running())
    emulator.clock.advance(10)
    await end(run)
    assert "it had already ended: SUCCEEDED" in (await clean_up_after(run.id))[0]
    assert await name_of(run) == "Cancelled"


async def test_job_that_was_deleted_is_reported(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """Deleted at the provider in the meantime: nothing to cancel, no error."""
    emulator.faults.add(JobFault("gone", delay_s=5))
    run = await new_run()
    job_id = await submit(aiware, TASKS, run)
    emulator.clock.advance(6)
    await end(run)
    assert await clean_up_after(run.id) == [f"aiWARE job {job_id}: it no longer exists."]


async def test_job_that_does_not_show_yet_is_tried_until_it_would_have_to(
    aiware: AiwareCredentials, emulator: Emulator
) -> None:
    """Hidden for 20 s and cancelled immediately: the first layers do not find it, the last one cancels it."""
    emulator.aiware.pace = Pace(queued_s=60)
    emulator.faults.add(JobFault("not_visible", delay_s=20))
    run = await new_run()
    job_id = await submit(aiware, TASKS, run)
    await end(run, Cancelling())
    assert await cancel_jobs_of(run.id) == [
        f"aiWARE job {job_id}: the provider does not show it yet, so it is not cancelled yet."
    ]
    await end(run)
    assert await clean_up_after(run.id) == [f"aiWARE job {job_id}: cancelled (status 'aborted')."]


async def test_job_that_never_shows_is_given_up_after_visibility_s(
    aiware: AiwareCredentials, emulator: Emulator
) -> None:
    """Deleted immediately: the last layer tries until `visibility_s` after the submission."""
    emulator.faults.add(JobFault("gone"))
    run = await new_run()
    made_at = emulator.clock.now()
    job_id = await submit(aiware, TASKS, run)
    await end(run)
    assert await clean_up_after(run.id) == [f"aiWARE job {job_id}: it no longer exists."]
    assert emulator.clock.now() - made_at == pytest.approx(aiware.visibility_s, abs=1)


async def test_job_whose_id_was_not_written_down_is_found_by_its_key(
    aiware: AiwareCredentials, emulator: Emulator
) -> None:
    """The process was killed at the answer, and the job is hidden at first: the last layer finds and cancels it."""
    emulator.aiware.pace = Pace(queued_s=60)
    emulator.faults.add(JobFault("not_visible", delay_s=20))
    run = await new_run()
    job_id = await submit(aiware, TASKS, run, store=Forgetful(run.id))
    await end(run, Cancelling())
    [sentence] = await cancel_jobs_of(run.id)
    assert "not found within 5 s" in sentence
    await end(run)
    assert await clean_up_after(run.id) == [f"aiWARE job {job_id}: cancelled (status 'aborted')."]


async def test_job_that_may_be_somebody_elses_is_not_cancelled(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """A launch on a shared target has no label: the job there may belong to another caller."""
    run = await new_run()
    target_id = await shared_target(aiware)
    job_id = await submit(aiware, EngineJobSpec(engine_id=ENGINE_ID, target_id=target_id), run, store=Forgetful(run.id))
    await end(run)
    [sentence] = await clean_up_after(run.id)
    assert f"{job_id} may be it, but this is not sure. It was left running" in sentence
    assert emulator.ledger.cancels == []


async def test_submission_that_surely_started_nothing_is_not_reported(
    aiware: AiwareCredentials, emulator: Emulator
) -> None:
    """A refused submission, or none: no sentence, and the state does not change."""
    emulator.faults.add(Fault("forbidden", "createJob", times=None))
    run = await new_run()
    with pytest.raises(RequestFailed):
        await submit(aiware, TASKS, run)
    await end(run)
    assert await clean_up_after(run.id) == []
    assert await message_of(run) == BY_HAND.message
    empty = await new_run()
    await end(empty)
    assert await clean_up_after(empty.id) == []


@pytest.mark.parametrize(
    "state",
    [
        Running(),
        Crashed(),
        Failed(),
        Completed(),
        Cancelled(message="Runner is shutting down."),
        Cancelled(name="JobCancelled", message="somebody did it there"),
    ],
    ids=lambda state: f"{state.name} {state.message or ''}".strip(),
)
async def test_run_that_no_person_cancelled_keeps_its_jobs(
    state: State[Any], aiware: AiwareCredentials, emulator: Emulator
) -> None:
    """A stop, a crash, a failure, a job cancelled at its provider: no request, and the state does not change."""
    run = await new_run()
    await submit(aiware, TASKS, run)
    await end(run, state)
    requests = len(emulator.ledger.requests)
    assert await clean_up_after(run.id) == []
    # A runner that is stopped calls the hook with a state that is not the run's.
    await cancel_with_the_run(run_aiware_job, run, Cancelling())
    assert len(emulator.ledger.requests) == requests
    assert await message_of(run) == state.message


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (ExportSpec(project_ids=[PROJECT_ID], file_name="f"), "left running at Datasaur"),
        (
            AutoLabelSpec.of(
                project_id=PROJECT_ID,
                labeler_email="a@example.com",
                target_endpoint="https://model.example.com",
                target_secret="s",
            ),
            "left running at Datasaur",
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
async def test_datasaur_has_no_cancel_and_the_state_says_so(
    spec: JobSpec, words: str, datasaur: DatasaurCredentials, emulator: Emulator
) -> None:
    """The message distinguishes a running job, an ended job, and a submission of unknown outcome."""
    going, over, unknown = [await new_run() for _ in range(3)]
    job_id = await submit(datasaur, spec, going)
    await end(going)
    [sentence] = await clean_up_after(going.id)
    assert words in sentence
    assert job_id in sentence
    await submit(datasaur, spec, over)
    emulator.clock.advance(60)
    await end(over)
    assert "it had already ended: SUCCEEDED" in (await clean_up_after(over.id))[0]
    await submit(datasaur, spec, unknown, store=Forgetful(unknown.id))
    await end(unknown)
    assert (
        "it is unknown whether it was started. If it was, it was left running" in (await clean_up_after(unknown.id))[0]
    )


async def test_error_with_one_job_does_not_stop_the_other_cancels(
    aiware: AiwareCredentials, emulator: Emulator
) -> None:
    """Deleted credentials, a store that was edited by hand, and a healthy job: a sentence each, one cancel."""
    run = await new_run()
    good = await submit(aiware, TASKS, run, "good")
    await submit(aiware, TASKS, run, "no block", block="deleted-since")
    edited = key_of("edited")
    async with get_client() as api:
        await api.create_flow_run_input(run.id, f"{edited}-0", "no JSON")
    await end(run)
    said = await clean_up_after(run.id)
    assert len(said) == 3
    assert f"aiWARE job {good}: cancelled (status 'aborted')." in said
    assert any(
        "its credentials cannot be loaded: there is no aiWARE Credentials block" in sentence for sentence in said
    )
    assert any(f"the job of key {edited}: it is not known whether" in sentence for sentence in said)
    assert [cancel.job_id for cancel in emulator.ledger.cancels] == [good]


async def test_unreachable_provider_is_tried_by_the_next_layer(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """An outage longer than the budget: "not known", and the next layer tries again."""
    run = await new_run()
    job_id = await submit(aiware, TASKS, run)
    await end(run)
    emulator.faults.add(Fault("server_error", times=None))
    assert "it is not known whether it was cancelled" in (await clean_up_after(run.id))[0]
    emulator.faults.clear()
    emulator.faults.add(JobFault("stuck"))
    again = (await clean_up_after(run.id))[0]
    assert job_id in again
    assert "not known" not in again
    assert await message_of(run) == MESSAGE_PREFIX + again


def test_trigger_ignores_the_message_of_the_clean_up() -> None:
    """Otherwise the clean-up of a run would start another clean-up, without end."""
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    triggers = [trigger for deployment in deployments for trigger in deployment.get("triggers", ())]
    [trigger] = [one for one in triggers if "prefect.flow-run.Cancelled" in one["expect"]]
    assert trigger["match"] == {"prefect.state-message": f"!{MESSAGE_PREFIX}*"}


async def test_clean_up_is_named_after_the_cancelled_run() -> None:
    """The list of runs says "clean up after handmade-osprey", and not the id of that run."""
    run = await new_run()
    await end(run)
    state: State[Any] = await cancel_remote_jobs(f"prefect.flow-run.{run.id}", return_state=True)
    assert state.is_completed()
    async with get_client() as api:
        assert (
            await api.read_flow_run(UUID(str(state.state_details.flow_run_id)))
        ).name == f"clean up after {run.name}"
