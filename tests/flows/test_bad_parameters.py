"""Bad parameters of flows: an error names the parameter. Needs no server, since nothing is sent or loaded."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.fields import WaitSettings
from flows.cancel_remote_jobs import cancel_remote_jobs
from flows.reap_orphans import reap_orphans
from tests.flows.conftest import ENGINE_ID, SUBMITTING, WAITING, Case

ENGINE, TASKS, LABEL = SUBMITTING["aiware engine"], SUBMITTING["aiware tasks"], SUBMITTING["auto-label"]
EXPORT, PROJECT = SUBMITTING["export"], SUBMITTING["project"]
REAPER, CLEAN_UP = Case(reap_orphans, ""), Case(cancel_remote_jobs, "")
WAITS = {**SUBMITTING, "wait": WAITING}
ROUTE = {"parent_io_folder_reference_id": "nowhere", "child_io_folder_reference_id": "nowhere"}
S3CRET = "in-a-url-s3cret"


def document(**where: str) -> list[dict[str, str]]:
    """The documents of a new project: one, from `where`."""
    return [{"name": "a.txt", **where}]


# Title: the flow, the changed parameters, and the parameter that the message names.
BAD: dict[str, tuple[Case, dict[str, Any], str]] = {
    "an empty job id": (WAITING, {"job_ids": [""]}, "job_ids"),
    "no job ids": (WAITING, {"job_ids": []}, "job_ids"),
    "a provider that is no name": (WAITING, {"provider": "Acme Inc"}, "provider"),
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
    "routes with an engine": (ENGINE, {"routes": [ROUTE]}, "routes"),
    "media with tasks": (TASKS, {"upload_url": "https://x.invalid/a.mp4"}, "upload_url"),
    "fields with tasks": (TASKS, {"template_fields": {"language": "en"}}, "template_fields"),
    "media by ftp": (ENGINE, {"upload_url": "ftp://x.invalid/a.mp4"}, "upload_url"),
    "media with a password": (ENGINE, {"upload_url": f"https://me:{S3CRET}@x.invalid/a.mp4"}, "upload_url"),
    "media without a host": (ENGINE, {"upload_url": "https:///a.mp4"}, "upload_url"),
    "a document by ftp": (PROJECT, {"documents": document(external_url="ftp://x.invalid/a.txt")}, "external_url"),
    "a document with a password": (
        PROJECT,
        {"documents": document(external_url=f"https://me:{S3CRET}@x.invalid/a.txt")},
        "external_url",
    ),
    "a document without a host": (PROJECT, {"documents": document(external_url="a.txt")}, "external_url"),
}


async def message_of(case: Case, **changed: Any) -> str:
    """The message of the state `InvalidInput` in which the flow ends."""
    state = await case.flow.fn(**(case.parameters | changed))
    assert (state.is_failed(), state.name) == (True, "InvalidInput")
    return str(state.message)


@pytest.mark.parametrize("title", BAD)
async def test_bad_parameter_is_refused_by_name(title: str) -> None:
    """An empty list of job ids ends in InvalidInput with "job_ids: ..."; no text of a URL is shown."""
    case, changed, parameter = BAD[title]
    message = await message_of(case, **changed)
    assert parameter in message
    assert S3CRET not in message
    assert "Traceback" not in message


@pytest.mark.parametrize("name", [name for name in WaitSettings.model_fields if name.endswith("_s")])
@pytest.mark.parametrize("case", WAITS.values(), ids=WAITS)
async def test_zero_negative_and_absurd_seconds_are_refused(case: Case, name: str) -> None:
    """0, -1 and a billion seconds, for each of the six limits of each flow."""
    for value_s in (0, -1, 10**9):
        assert name in await message_of(case, **{name: value_s})


async def test_error_says_each_problem_once() -> None:
    """The message does not repeat "upload_url:" or "Nothing was sent."."""
    message = await message_of(ENGINE, upload_url="ftp://x.invalid/a.mp4")
    assert message.count("Nothing was sent") == 1


@pytest.mark.parametrize("case", SUBMITTING.values(), ids=SUBMITTING)
async def test_wrong_key_is_refused(case: Case) -> None:
    """Empty, blank, or of 201 characters."""
    for key in ("", "  ", "k" * 201):
        assert (await message_of(case, key=key)).startswith("key: ")
