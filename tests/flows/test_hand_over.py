"""Downstream deployments are checked before a job is submitted, and a failed hand-over is completed by a retry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prefect.client.schemas.objects import StateType

from graphql_jobs.emulator import Emulator, Fault
from tasks import pipeline
from tasks.downstream import cause_of
from tests.flows.conftest import SUBMITTING, WAITING, MakeRun, Run, jobs, made
from tests.reported import artifacts_of

if TYPE_CHECKING:
    from tests.conftest import Deploy, RunsOf

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

NARROW = {"type": "object", "additionalProperties": False, "properties": {"job_id": {"type": "string"}, "state": {}}}
WITH_RESULT = {"type": "object", "properties": {"result": {"type": "string"}}, "required": ["result"]}


def takes(outcome: dict[str, Any]) -> dict[str, Any]:
    """The schema of a flow whose `jobs` is a list of these, as pydantic writes it."""
    listed = {"type": "array", "items": {"$ref": "#/definitions/Outcome"}}
    return {
        "type": "object",
        "properties": {"jobs": listed},
        "required": ["jobs"],
        "definitions": {"Outcome": outcome},
    }


@pytest.mark.parametrize("name", SUBMITTING)
async def test_deployment_that_does_not_take_outcomes_is_refused_before_the_submission(
    name: str, run: Run, emulator: Emulator, deploy: Deploy
) -> None:
    """It allows only job_id and state: `InvalidInput` with deployment and reason; nothing is submitted."""
    downstream = await deploy("narrow", takes(NARROW))
    state = await run(SUBMITTING[name], downstream=[downstream])
    assert (state.name, made(emulator)) == ("InvalidInput", [])
    assert "'narrow/narrow' does not take an outcome" in str(state.message)
    assert "Additional properties" in str(state.message)


async def test_deployment_that_needs_each_result_is_refused(run: Run, emulator: Emulator, deploy: Deploy) -> None:
    """A result may be too large for the hand-over, and is null then: refused before, by name."""
    downstream = await deploy("needs-result", takes(WITH_RESULT))
    state = await run(SUBMITTING["aiware engine"], downstream=[downstream])
    assert (state.name, made(emulator)) == ("InvalidInput", [])
    assert "whose result is too large" in str(state.message)
    assert "None is not of type 'string'" in str(state.message)


@pytest.mark.parametrize(
    ("when", "fits"), [("all succeeded", True), ("any succeeded", False), ("always", False)], ids=str
)
async def test_sensor_checks_deployments_with_the_outcomes_it_may_hand_over(
    when: str, fits: bool, run: Run, emulator: Emulator, deploy: Deploy
) -> None:
    """A deployment that accepts only succeeded jobs is valid if only those are handed over."""
    only_good = {"type": "object", "properties": {"state": {"const": "SUCCEEDED"}}}
    downstream = await deploy("only-good", takes(only_good))
    job_ids = [emulator.aiware.plant().id, emulator.aiware.plant().id]
    state = await run(WAITING, job_ids=job_ids, start_downstream_when=when, downstream=[downstream])
    assert state.name == ("Completed" if fits else "InvalidInput")


async def test_failed_hand_over_says_why_and_is_completed_by_a_retry(
    make_run: MakeRun, emulator: Emulator, deploy: Deploy, runs_of: RunsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The schema changes while the job runs: `HandOverFailed` with the reason, twice. Once it is corrected, the retried
    run hands over the result of the same job. The report has the result before that.
    """

    async def judged_before_it_changed(*_: object) -> None: ...

    downstream = await deploy("changing", takes(NARROW))
    run = await make_run(SUBMITTING["aiware engine"], downstream=[downstream])
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "require_downstream", judged_before_it_changed)
        state = await run()
    for _ in range(2):
        assert (state.type, state.name) == (StateType.FAILED, "HandOverFailed")
        message = str(state.message)
        assert message.index("Additional properties are not allowed") < message.index("retry this flow run")
        [report] = [one for one in (await artifacts_of(run.id)).values() if one.type == "markdown"]
        assert "> We the people" in str(report.data)
        assert report.description == f"aiWARE job {jobs(emulator)[0]}: state, tasks, result and downstream runs"
        state = await run()
    await deploy("changing")
    assert (await run()).name == "Completed"
    [started] = await runs_of(downstream)
    [outcome] = started.parameters["jobs"]
    assert jobs(emulator) == [outcome["job_id"]]
    assert json.loads(outcome["result"])["engine_results"]


async def test_sensor_hands_over_results(run: Run, emulator: Emulator, deploy: Deploy, runs_of: RunsOf) -> None:
    """Two jobs of any submitter: their results, as from the flow that submitted them; for 21 jobs, no results."""
    for number, has_results in ((2, True), (21, False)):
        downstream = await deploy(f"after-{number}-with-results")
        job_ids = [emulator.aiware.plant().id for _ in range(number)]
        assert (await run(WAITING, job_ids=job_ids, downstream=[downstream])).name == "Completed"
        [started] = await runs_of(downstream)
        results = [outcome["result"] for outcome in started.parameters["jobs"]]
        assert [bool(result and json.loads(result)["engine_results"]) for result in results] == [has_results] * number


async def test_retry_after_an_unavailable_result_fetches_it(make_run: MakeRun, emulator: Emulator) -> None:
    """The results are unavailable for longer than the wait: `ResultUnavailable`; a retry fetches those of the job."""
    began_at = emulator.clock.now()
    outage = Fault("server_error", operation="engineResults", times=None, status=503, until_at=began_at + 1100)
    emulator.faults.add(outage)
    run = await make_run(SUBMITTING["aiware engine"], give_up_after_s=900)
    state = await run()
    [job_id] = jobs(emulator)
    assert (state.name, job_id in str(state.message)) == ("ResultUnavailable", True)
    assert 900 <= emulator.clock.now() - began_at < 1100
    emulator.clock.advance(300)
    again = await run()
    assert again.name == "Completed", again.message
    outcome = await again.result()
    assert (jobs(emulator), outcome["job_id"]) == ([job_id], job_id)
    assert json.loads(outcome["result"])["engine_results"]


async def test_outage_after_the_end_is_tolerated(run: Run, emulator: Emulator) -> None:
    """The results are unavailable for 50 minutes: Completed."""
    over_at = emulator.clock.now() + 3000
    emulator.faults.add(Fault("drop_after", operation="engineResults", times=None, until_at=over_at))
    assert (await run(SUBMITTING["aiware engine"])).name == "Completed"


async def test_relative_result_folder_is_an_absolute_path_in_the_outcome(
    run: Run, emulator: Emulator, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Downstream runs in another folder."""
    monkeypatch.chdir(tmp_path)
    outcome = await (await run(SUBMITTING["export"], result_folder="out")).result()
    assert json.loads(outcome["result"])["file"].startswith(str(tmp_path / "out"))


def test_cause_is_the_servers_message_with_its_end() -> None:
    """A server's text that repeats 10,000 characters of parameters: its beginning and its end are shown."""
    said = f"Error creating flow run: {'x' * 10_000} is not of type 'integer'"
    request = httpx.Request("POST", "http://prefect.invalid/api")
    refused = httpx.HTTPStatusError("409", request=request, response=httpx.Response(409, json={"detail": said}))
    cause = cause_of(refused)
    assert cause.startswith("HTTP 409: Error creating flow run: ")
    assert cause.endswith("is not of type 'integer'")
    assert len(cause) < 2_100
    page = httpx.HTTPStatusError("502", request=request, response=httpx.Response(502, text="<html>bad gateway"))
    assert cause_of(page) == "HTTP 502: <html>bad gateway"
    assert cause_of(RuntimeError("gone")) == "RuntimeError: gone"
