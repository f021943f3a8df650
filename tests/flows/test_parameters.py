"""What the UI's form is made of: the schema of every flow's parameters. Needs no server."""

from __future__ import annotations

import inspect
import json
import pkgutil
from importlib import import_module
from typing import Any

import pytest
from prefect import Flow
from prefect.exceptions import ParameterTypeError
from pydantic import SecretStr

import flows
from flows.create_datasaur_project import create_datasaur_project
from flows.run_aiware_job import run_aiware_job
from graphql_jobs.providers.aiware import EngineTask, IOFolder, Route
from graphql_jobs.providers.datasaur import ProjectDocument
from tasks.cancelling.layers import cancel_with_the_run

MODULES = [import_module(f"flows.{found.name}") for found in pkgutil.iter_modules(flows.__path__)]
ALL: dict[str, Flow[..., Any]] = {
    member.name: member
    for module in MODULES
    for member in vars(module).values()
    if isinstance(member, Flow) and member.fn.__module__ == module.__name__
}
SUBMITTING = ["run-aiware-job", "run-datasaur-auto-label", "run-datasaur-export", "create-datasaur-project"]
PROPERTIES = [
    pytest.param(flow, name, schema, id=f"{flow.name}: {name}")
    for flow in ALL.values()
    for name, schema in flow.parameters.properties.items()
]
CHOICES = {
    "provider": ["aiware", "datasaur"],
    "until": ["all ended", "first failure", "first success"],
    "start_downstream_when": ["all succeeded", "any succeeded", "always"],
    "role": ["LABELER", "REVIEWER"],
    "purpose": ["LABELER_TEST", "LABELING", "VALIDATION"],
    "on_unknown": ["fail", "resubmit"],
    "on_timeout": ["cancel", "leave"],
    "action": ["report", "adopt", "cancel"],
    "kinds": ["BBOX_BASED", "DOCUMENT_BASED", "ROW_BASED", "TOKEN_BASED"],
}


def test_the_flows_are_those_of_the_issue() -> None:
    """Four that submit, the sensor, the example of what comes next, and two that clean up."""
    assert set(ALL) == {
        *SUBMITTING,
        *("wait-for-jobs", "store-results", "cancel-remote-jobs", "reap-orphans"),
    }


@pytest.mark.parametrize(("flow", "name", "schema"), PROPERTIES)
def test_every_parameter_is_described(flow: Flow[..., Any], name: str, schema: dict[str, Any]) -> None:
    """The form shows a sentence beside each field."""
    assert schema.get("description", "").endswith(".")


@pytest.mark.parametrize(("flow", "name", "schema"), PROPERTIES)
def test_seconds_are_numbers_with_bounds(flow: Flow[..., Any], name: str, schema: dict[str, Any]) -> None:
    """More than 0, and at most what anybody could mean: the form refuses the rest before anything starts."""
    if not name.endswith("_s"):
        return
    [number] = [part for part in schema.get("anyOf", [schema]) if part.get("type") == "number"]
    assert number["exclusiveMinimum"] == 0
    assert number["maximum"] > 0


@pytest.mark.parametrize(("flow", "name", "schema"), PROPERTIES)
def test_choices_are_choices(flow: Flow[..., Any], name: str, schema: dict[str, Any]) -> None:
    """A parameter with a fixed set of words is a select, not a text field."""
    if name not in CHOICES:
        return
    parts = [*schema.get("anyOf", [schema]), schema.get("items", {})]
    assert [sorted(part["enum"]) for part in parts if "enum" in part] == [sorted(CHOICES[name])]


@pytest.mark.parametrize("flow", ALL.values(), ids=ALL)
def test_no_parameter_is_a_block_or_a_secret(flow: Flow[..., Any]) -> None:
    """Parameters are stored in clear, so that they name blocks and hold none."""
    text = json.dumps(flow.parameters.model_dump_for_openapi())
    for trace in ("block_type_slug", "block_schema_references", "secret_fields", '"password"', "writeOnly"):
        assert trace not in text
    for parameter in inspect.signature(flow.fn, eval_str=True).parameters.values():
        assert parameter.annotation is not SecretStr
        assert "Credentials" not in str(parameter.annotation)


@pytest.mark.parametrize("flow", ALL.values(), ids=ALL)
def test_a_flow_is_described_and_never_retried(flow: Flow[..., Any]) -> None:
    """A sentence for the UI; and no retries, since a second pass could submit a second job."""
    assert flow.description
    assert not flow.retries


@pytest.mark.parametrize("name", SUBMITTING)
def test_the_flows_that_submit_take_the_same_care(name: str) -> None:
    """No second job, no second guess, no cancel unless asked for; a person's cancel reaches the provider."""
    flow = ALL[name]
    care = {"key": None, "on_unknown": "fail", "force_resubmit": False, "on_timeout": "leave"}
    given = inspect.signature(flow.fn).parameters
    assert {parameter: given[parameter].default for parameter in care} == care
    assert flow.on_cancellation_hooks == [cancel_with_the_run]


@pytest.mark.parametrize("flow", ALL.values(), ids=ALL)
def test_defaults_alone_pass_the_flows_own_validation(flow: Flow[..., Any]) -> None:
    """Each parameter that has a default accepts that default."""
    required = set(flow.parameters.required)
    with pytest.raises(ParameterTypeError) if required else _nothing() as raised:
        flow.validate_parameters({})
    if required:
        assert {name for name in flow.parameters.properties if f" - {name}: " in str(raised.value)} == required


def test_a_pre_signed_address_fits_into_the_parameter() -> None:
    """An object store's pre-signed address has 500 to 1,500 characters."""
    url = "https://bucket.s3.example.invalid/a.mp4?X-Amz-Security-Token=" + "x" * 1000
    run_aiware_job.validate_parameters({"engine_id": "e", "upload_url": url})


def test_tasks_given_as_objects_survive_the_way_through_the_api() -> None:
    """`run_deployment(parameters={"tasks": [EngineTask(...)]})`, or a run started again from what the server stored."""
    folder = IOFolder(reference_id="out", mode="chunk", type="output")
    task = EngineTask(engine_id="e", io_folders=[folder])
    route = Route(parent_io_folder_reference_id="out", child_io_folder_reference_id="out")
    given: dict[str, Any] = {"tasks": [task], "routes": [route]}
    stored = json.loads(json.dumps(run_aiware_job.serialize_parameters(given)))
    assert run_aiware_job.validate_parameters(stored)["tasks"] == [task]


def test_documents_given_as_objects_survive_the_way_through_the_api() -> None:
    """The same for a new project's documents."""
    document = ProjectDocument(name="a.txt", external_url="https://files.example.invalid/a.txt")
    given: dict[str, Any] = {"name": "new", "documents": [document]}
    stored = json.loads(json.dumps(create_datasaur_project.serialize_parameters(given)))
    assert create_datasaur_project.validate_parameters(stored)["documents"] == [document]


class _nothing:  # noqa: N801 (reads like contextlib's own)
    """No exception is wanted."""

    value: Exception | None = None

    def __enter__(self) -> _nothing:
        return self

    def __exit__(self, *exc_info: object) -> None:
        return None
