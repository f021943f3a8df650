"""Bad input ends in an error that names the parameter, and nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from blocks import DatasaurTargetApi
from flows.cancel_remote_jobs import cancel_remote_jobs
from flows.reap_orphans import reap_orphans
from tests.flows.conftest import ENGINE_ID, SUBMITTING, WAITING, Case, Run

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator
    from tests.conftest import Deploy

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

ENGINE, TASKS, LABEL = SUBMITTING["aiware engine"], SUBMITTING["aiware tasks"], SUBMITTING["auto-label"]
EXPORT, PROJECT = SUBMITTING["export"], SUBMITTING["project"]
REAPER, CLEAN_UP = Case(reap_orphans, ""), Case(cancel_remote_jobs, "")
FLOWS = {"engine": ENGINE, "label": LABEL, "export": EXPORT, "project": PROJECT, "wait": WAITING}
ROUTE = {"parent_io_folder_reference_id": "nowhere", "child_io_folder_reference_id": "nowhere"}
S3CRET = "in-a-url-s3cret"


def document(**where: str) -> list[dict[str, str]]:
    """The documents of a new project: one, from `where`."""
    return [{"name": "a.txt", **where}]


# Title: the flow, the changed parameters, and the parameter that the message must name.
BAD: dict[str, tuple[Case, dict[str, Any], str]] = {
    "an empty job id": (WAITING, {"job_ids": [""]}, "job_ids"),
    "a blank job id": (WAITING, {"job_ids": ["  "]}, "job_ids"),
    "a job id that cannot be one": (WAITING, {"job_ids": ["good", "../bad id"]}, "job_ids"),
    "no job ids": (WAITING, {"job_ids": []}, "job_ids"),
    "another provider": (WAITING, {"provider": "acme"}, "provider"),
    "another end": (WAITING, {"until": "some ended"}, "until"),
    "another condition": (WAITING, {"start_downstream_when": "never"}, "start_downstream_when"),
    "neither engine nor tasks": (ENGINE, {"engine_id": None}, "engine_id"),
    "engine and tasks": (ENGINE, {"tasks": [{"engine_id": ENGINE_ID}]}, "engine_id"),
    "media and target": (ENGINE, {"target_id": "1"}, "target_id"),
    "neither media nor target": (ENGINE, {"upload_url": None}, "target_id"),
    "a task without engine": (TASKS, {"tasks": [{"payload": {}}]}, "tasks"),
    "a task with a typo": (TASKS, {"tasks": [{"engine_id": ENGINE_ID, "payloads": {}}]}, "tasks"),
    "a route to no folder": (TASKS, {"routes": [ROUTE]}, "routes"),
    "negative lines": (LABEL, {"lines_per_request": -1}, "lines_per_request"),
    "a role that is none": (LABEL, {"role": "BOSS"}, "role"),
    "an empty e-mail": (LABEL, {"labeler_email": " "}, "labeler_email"),
    "no projects": (EXPORT, {"project_ids": []}, "project_ids"),
    "an empty project id": (EXPORT, {"project_ids": [""]}, "project_ids"),
    "an empty file name": (EXPORT, {"file_name": ""}, "file_name"),
    "no documents": (PROJECT, {"documents": []}, "documents"),
    "a document from nowhere": (PROJECT, {"documents": document()}, "documents"),
    "a document from two places": (
        PROJECT,
        {"documents": document(external_url="https://x", object_key="k")},
        "documents",
    ),
    "settings that hide a parameter": (PROJECT, {"settings": {"name": "other"}}, "settings"),
    "no kinds": (PROJECT, {"kinds": []}, "kinds"),
    "another way to treat the unknown": (LABEL, {"on_unknown": "maybe"}, "on_unknown"),
    "another end of a deadline": (TASKS, {"on_timeout": "kill"}, "on_timeout"),
    "an engine of blanks": (ENGINE, {"engine_id": " \t"}, "engine_id"),
    "an engine with a line break": (ENGINE, {"engine_id": "a\nb"}, "engine_id"),
    "a key of blanks": (EXPORT, {"key": "  "}, "key"),
    "a key with a NUL": (EXPORT, {"key": "a\0b"}, "key"),
    "credentials of blanks": (EXPORT, {"credentials": " "}, "credentials"),
    "credentials with a NUL": (EXPORT, {"credentials": "a\0b"}, "credentials"),
    "no credentials": (EXPORT, {"credentials": None}, "credentials"),
    "a deployment of blanks": (EXPORT, {"downstream": [" "]}, "downstream"),
    "a deployment with a line break": (EXPORT, {"downstream": ["a\n/b"]}, "downstream"),
    "a number that is none": (ENGINE, {"give_up_after_s": float("nan")}, "give_up_after_s"),
    "for ever": (ENGINE, {"max_poll_interval_s": float("inf")}, "max_poll_interval_s"),
    "a text for seconds": (WAITING, {"give_up_after_s": "soon"}, "give_up_after_s"),
    "more lines than GraphQL counts": (LABEL, {"lines_per_request": 2**31}, "lines_per_request"),
    "settings that are no JSON": (PROJECT, {"settings": {"ratio": float("nan")}}, "settings"),
    "configuration that is no JSON": (TASKS, {"job_config": {"ratio": float("inf")}}, "job_config"),
    "a whole list as one text": (WAITING, {"job_ids": "some-job"}, "job_ids"),
    "a priority that is no Int": (
        TASKS,
        {"tasks": [{"engine_id": ENGINE_ID, "execution_preferences": {"priority": 10**12}}]},
        "priority",
    ),
    "an orphan from tomorrow": (REAPER, {"from_hours_ago": float("nan")}, "from_hours_ago"),
    "another thing to do about an orphan": (REAPER, {"action": "kill"}, "action"),
    "an unknown run": (CLEAN_UP, {"cancelled_run": "the last one"}, "cancelled_run"),
}


async def assert_refused(run: Run, emulator: Emulator, case: Case, changed: dict[str, Any], parameter: str) -> None:
    """The run is InvalidInput, its message names the parameter, shows no secret, and nothing was sent."""
    state = await run(case, **changed)
    assert state.is_failed(), state
    assert state.name == "InvalidInput"
    assert state.message is not None
    assert parameter in state.message
    assert S3CRET not in state.message
    assert "Traceback" not in state.message
    assert emulator.ledger.requests == []


@pytest.mark.parametrize("title", BAD)
async def test_bad_input_is_refused_by_name_and_nothing_is_sent(title: str, run: Run, emulator: Emulator) -> None:
    """An empty list of job ids: the run fails with "job_ids: ...", and the provider saw no request."""
    case, changed, parameter = BAD[title]
    await assert_refused(run, emulator, case, changed, parameter)


async def test_all_wrong_parameters_are_named_together(run: Run) -> None:
    """Two typos in one form are two corrections, not two runs."""
    state = await run(EXPORT, role="BOSS", give_up_after_s=-1)
    assert state.message is not None
    assert "role: " in state.message
    assert "give_up_after_s: " in state.message


@pytest.mark.parametrize(
    "name",
    [
        *("give_up_after_s", "queued_at_most_s", "running_at_most_s"),
        *("unchanged_at_most_s", "unseen_at_most_s", "max_poll_interval_s"),
    ],
)
@pytest.mark.parametrize("case", FLOWS.values(), ids=FLOWS)
async def test_zero_and_negative_seconds_are_refused(case: Case, name: str, run: Run, emulator: Emulator) -> None:
    """0, -1 and far too many seconds, for each of the six bounds of each flow."""
    for value_s in (0, -1, 10**9):
        await assert_refused(run, emulator, case, {name: value_s}, name)


@pytest.mark.parametrize("case", FLOWS.values(), ids=FLOWS)
async def test_unknown_credentials_block_is_refused(case: Case, run: Run, emulator: Emulator) -> None:
    """A typo in the block's name: the message names the parameter, the name, and what is saved."""
    await assert_refused(run, emulator, case, {"credentials": "typo"}, "credentials: there is no")


async def test_unknown_model_is_refused(run: Run, emulator: Emulator) -> None:
    """The same for the block of the model that labels."""
    await assert_refused(run, emulator, LABEL, {"target_api": "typo"}, "target_api: there is no")


@pytest.mark.parametrize("case", FLOWS.values(), ids=FLOWS)
async def test_wrong_downstream_deployment_is_refused(case: Case, run: Run, emulator: Emulator, deploy: Deploy) -> None:
    """Not there, not of the form flow/deployment, or without the parameter `jobs`: found before a job is submitted."""
    deaf = await deploy("deaf-to-jobs", {"type": "object", "properties": {"other": {"type": "string"}}})
    for name in ("not/there", "no-slash", deaf):
        await assert_refused(run, emulator, case, {"downstream": [name]}, "downstream: ")


@pytest.mark.parametrize("url", ["ftp://x.invalid/a.mp4", f"https://me:{S3CRET}@x.invalid/a.mp4", "https:///a.mp4"])
async def test_wrong_media_url_is_refused(url: str, run: Run, emulator: Emulator) -> None:
    """ftp, with a password, or without a host: named as the flow's own parameter calls it."""
    await assert_refused(run, emulator, ENGINE, {"upload_url": url}, "upload_url")


@pytest.mark.parametrize("url", ["ftp://x.invalid/a.txt", f"https://me:{S3CRET}@x.invalid/a.txt", "a.txt"])
async def test_wrong_document_url_is_refused(url: str, run: Run, emulator: Emulator) -> None:
    """The same for the documents of a new project."""
    await assert_refused(run, emulator, PROJECT, {"documents": document(external_url=url)}, "external_url")


async def test_wrong_model_url_is_refused_by_the_flows_parameter(run: Run, emulator: Emulator) -> None:
    """A block with an ftp address: either it cannot be made, or the flow names its parameter target_api."""
    try:
        block = DatasaurTargetApi(endpoint="ftp://model.invalid", secret_key=SecretStr("x"))
    except ValueError:
        return
    await block.asave("by-ftp", overwrite=True)
    await assert_refused(run, emulator, LABEL, {"target_api": "by-ftp"}, "target_api")


@pytest.mark.parametrize(
    ("case", "changed", "parameter"),
    [
        (ENGINE, {"routes": [ROUTE]}, "routes"),
        (TASKS, {"upload_url": "https://x.invalid/a.mp4"}, "upload_url"),
        (TASKS, {"template_fields": {"language": "en"}}, "template_fields"),
    ],
    ids=["routes with an engine", "media with tasks", "fields with tasks"],
)
async def test_parameter_without_effect_is_refused(
    case: Case, changed: dict[str, Any], parameter: str, run: Run, emulator: Emulator
) -> None:
    """The docstring says "only with tasks": who gives it with an engine gets an error, not another job than meant."""
    await assert_refused(run, emulator, case, changed, parameter)


@pytest.mark.parametrize("title", ["a route to no folder", "media and target", "neither engine nor tasks"])
async def test_bad_input_ends_in_its_own_state(title: str, run: Run) -> None:
    """The run's state is called InvalidInput, as tasks/run_state.py promises, and not just Failed."""
    case, changed, _ = BAD[title]
    assert (await run(case, **changed)).name == "InvalidInput"


async def test_error_says_each_problem_once(run: Run) -> None:
    """No "upload_url: upload_url: ... Nothing was sent. Nothing was sent."."""
    state = await run(ENGINE, upload_url="ftp://x.invalid/a.mp4")
    assert state.message is not None
    assert state.message.count("Nothing was sent") == 1
