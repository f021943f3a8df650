"""The schemas of the flows' parameters, from which the UI makes its form. Needs no server."""

from __future__ import annotations

import inspect
import json
import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from prefect import Flow
from prefect.exceptions import ParameterTypeError
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate
from pydantic import SecretStr

import flows
from blocks.fields import EXPORT_FORMATS, WaitSettings
from flows.create_datasaur_project import create_datasaur_project
from flows.run_aiware_job import run_aiware_job
from graphql_jobs.providers.aiware import EngineTask, IOFolder, Route
from graphql_jobs.providers.datasaur import ProjectDocument
from tasks.cancelling.layers import cancel_with_the_run
from tasks.parameters import MAX_WAIT_S

if TYPE_CHECKING:
    from collections.abc import Sequence

MODULES = [import_module(found.name) for found in pkgutil.walk_packages(flows.__path__, "flows.")]
ALL: dict[str, Flow[..., Any]] = {
    member.name: member
    for module in MODULES
    for member in vars(module).values()
    if isinstance(member, Flow) and member.fn.__module__ == module.__name__
}
SUBMITTING = [
    "run-aiware-engine",
    "run-aiware-job",
    "run-datasaur-auto-label",
    "run-datasaur-export",
    "create-datasaur-project",
    "run-graphql-job",
]
WAIT_PARAMETERS = [name for name in WaitSettings.model_fields if name != "result_folder"]
SUBMISSION_PARAMETERS = ["on_timeout", "key", "on_unknown", "force_resubmit", "downstream"]
PROPERTIES = [(flow, name, schema) for flow in ALL.values() for name, schema in flow.parameters.properties.items()]
CHOICES: dict[str, Sequence[str]] = {
    "until": ["all ended", "first failure", "first success"],
    "start_downstream_when": ["all succeeded", "any succeeded", "always"],
    "role": ["LABELER", "REVIEWER"],
    "status": ["COMPLETE", "CREATED", "IN_PROGRESS", "IN_REVIEW", "REVIEW_READY"],
    "purpose": ["LABELER_TEST", "LABELING", "VALIDATION"],
    "on_unknown": ["fail", "resubmit"],
    "on_timeout": ["cancel", "leave"],
    "action": ["report", "adopt", "cancel"],
    "format": EXPORT_FORMATS,
    "kinds": ["BBOX_BASED", "DOCUMENT_BASED", "ROW_BASED", "TOKEN_BASED"],
}


def test_sixteen_flows_are_deployed() -> None:
    """Eight that submit, the sensor, the watcher, the check, two that clean up, and three examples."""
    assert set(ALL) == {
        *SUBMITTING,
        *("run-aiware-jobs", "export-datasaur-projects"),
        *("wait-for-jobs", "store-results", "cancel-remote-jobs", "reap-orphans"),
        *("watch-suspended-runs", "check-connection"),
        *("nightly-transcripts", "nightly-labels"),
    }


@pytest.mark.parametrize("flow", ALL.values(), ids=ALL)
def test_every_parameter_is_described(flow: Flow[..., Any]) -> None:
    """The form shows a description at each field."""
    properties = flow.parameters.properties.items()
    assert [name for name, schema in properties if not schema.get("description", "").endswith(".")] == []


@pytest.mark.parametrize("name", WAIT_PARAMETERS)
def test_wait_parameter_is_the_same_in_all_flows_and_in_job_blocks(name: str) -> None:
    """`queued_at_most_s` has one description and one default, defined in blocks/fields.py."""
    field = WaitSettings.model_fields[name]
    flows = [flow for flow in [*SUBMITTING, "wait-for-jobs"] if name in ALL[flow].parameters.properties]
    assert [_shown(flow, name) for flow in flows] == [(field.description, field.default)] * len(flows)


@pytest.mark.parametrize("name", SUBMISSION_PARAMETERS)
def test_submission_parameter_is_the_same_in_all_flows(name: str) -> None:
    """`key` has one description and one default, defined in tasks/parameters.py."""
    assert len({str(_shown(flow, name)) for flow in SUBMITTING}) == 1


def test_flow_has_its_own_description_of_a_shared_parameter_if_it_gives_one() -> None:
    """`wait-for-jobs` starts its downstream deployments once for all jobs, and says so."""
    assert _shown("wait-for-jobs", "downstream") != _shown("run-aiware-job", "downstream")


def _shown(flow: str, name: str) -> tuple[str, Any]:
    schema = ALL[flow].parameters.properties[name]
    return schema["description"], schema.get("default")


@pytest.mark.parametrize("flow", ALL.values(), ids=ALL)
def test_form_has_titles_and_boxes_and_its_advanced_fields_last(flow: Flow[..., Any]) -> None:
    """No field is named `give_up_after_s`, none is a choice between a type and None; structures may be left out."""
    shown = sorted(flow.parameters.properties.items(), key=lambda item: item[1]["position"])
    assert [name for name, schema in shown if schema["title"] == name or schema["title"][0].islower()] == []
    choices = {"target", "template_fields", "values"}  # a structure or none; name=value or JSON
    assert {name for name, schema in shown if "anyOf" in schema} <= choices
    advanced = [schema["title"].startswith("Advanced: ") for _, schema in shown]
    assert advanced == sorted(advanced)
    assert {name for name, _ in shown} == set(inspect.signature(flow.fn).parameters)


@pytest.mark.parametrize("flow", ALL.values(), ids=ALL)
def test_api_accepts_null_for_an_optional_parameter(flow: Flow[..., Any]) -> None:
    """A script that passes `target_id: null`, as it could when the form had a choice of None. A select has no null."""
    given = inspect.signature(flow.fn).parameters.values()
    nulls = {one.name: None for one in given if one.default is None and one.name not in CHOICES}
    validate(nulls, flow.parameters.model_dump_for_openapi(), raise_on_error=True, ignore_required=True)


@pytest.mark.parametrize("flow", ["wait-for-jobs", "check-connection"])
def test_form_names_the_built_in_providers(flow: str) -> None:
    """A text box, since a package or a block may bring another provider; its help has the words to enter."""
    schema = ALL[flow].parameters.properties["provider"]
    assert (schema["title"], schema["type"], schema["examples"]) == ("Provider", "string", ["aiware", "datasaur"])
    assert all(name in schema["description"] for name in (*schema["examples"], "GraphQL Job Provider"))
    assert "enum" not in schema


def test_engine_form_asks_for_an_engine_and_a_recording() -> None:
    """Both are required boxes; the flow with tasks asks for neither."""
    assert ALL["run-aiware-engine"].parameters.required == ["engine_id", "upload_url"]
    assert run_aiware_job.parameters.required == []
    assert parameter_schema(run_aiware_job) == run_aiware_job.parameters  # `prefect deploy` computes it again


@pytest.mark.parametrize(
    ("flow", "name", "schema"),
    [pytest.param(*one, id=f"{one[0].name}: {one[1]}") for one in PROPERTIES if one[1].endswith("_s")],
)
def test_seconds_are_numbers_with_bounds(flow: Flow[..., Any], name: str, schema: dict[str, Any]) -> None:
    """More than 0 and at most 30 days: the form refuses other values. A run may suspend itself at once."""
    [number] = [part for part in schema.get("anyOf", [schema]) if part.get("type") == "number"]
    assert number["minimum" if name == "suspend_after_s" else "exclusiveMinimum"] == 0
    assert 0 < number["maximum"] <= MAX_WAIT_S


@pytest.mark.parametrize(
    ("flow", "name", "schema"),
    [
        pytest.param(*one, id=f"{one[0].name}: {one[1]}")
        for one in PROPERTIES
        if one[1] in CHOICES and "format" not in one[2]
    ],
)
def test_choices_are_choices(flow: Flow[..., Any], name: str, schema: dict[str, Any]) -> None:
    """A parameter with a fixed set of words is a select, not a text field."""
    parts = [*schema.get("anyOf", [schema]), schema.get("items", {})]
    assert [sorted(part["enum"]) for part in parts if "enum" in part] == [sorted(CHOICES[name])]


@pytest.mark.parametrize("flow", ALL.values(), ids=ALL)
def test_no_parameter_is_a_block_or_a_secret(flow: Flow[..., Any]) -> None:
    """Parameters are stored in clear, so they name blocks and do not hold them."""
    text = json.dumps(flow.parameters.model_dump_for_openapi())
    for trace in ("block_type_slug", "block_schema_references", "secret_fields", '"password"', "writeOnly"):
        assert trace not in text
    for parameter in inspect.signature(flow.fn, eval_str=True).parameters.values():
        assert parameter.annotation is not SecretStr
        assert "Credentials" not in str(parameter.annotation)


@pytest.mark.parametrize("flow", ALL.values(), ids=ALL)
def test_flow_is_described_and_never_retried(flow: Flow[..., Any]) -> None:
    """A description for the UI; and no retries, since a second attempt could submit a second job."""
    assert flow.description
    assert not flow.retries


@pytest.mark.parametrize("name", SUBMITTING)
def test_flows_that_submit_never_submit_twice_unless_told_to(name: str) -> None:
    """By default there is no second job and no automatic cancel; a person's cancel reaches the provider."""
    flow = ALL[name]
    care = {"key": None, "on_unknown": "fail", "force_resubmit": False, "on_timeout": "leave"}
    given = inspect.signature(flow.fn).parameters
    assert {parameter: given[parameter].default for parameter in care} == care
    assert flow.on_cancellation_hooks == [cancel_with_the_run]


@pytest.mark.parametrize("flow", ALL.values(), ids=ALL)
def test_defaults_alone_pass_the_flows_own_validation(flow: Flow[..., Any]) -> None:
    """Each parameter that has a default accepts that default: only the required ones are missing."""
    required = set(flow.parameters.required)
    try:
        flow.validate_parameters({})
        missing = set()
    except ParameterTypeError as error:
        missing = {name for name in flow.parameters.properties if f" - {name}: " in str(error)}
    assert missing == required


def test_pre_signed_address_fits_into_the_parameter() -> None:
    """An object store's pre-signed address has 500 to 1,500 characters."""
    url = "https://bucket.s3.example.invalid/a.mp4?X-Amz-Security-Token=" + "x" * 1000
    assert run_aiware_job.validate_parameters({"engine_id": "e", "upload_url": url})["upload_url"] == url


def test_tasks_given_as_objects_survive_the_api() -> None:
    """`run_deployment(parameters={"tasks": [EngineTask(...)]})`, or a run started again from what the server stored."""
    folder = IOFolder(reference_id="out", mode="chunk", type="output")
    task = EngineTask(engine_id="e", io_folders=[folder])
    route = Route(parent_io_folder_reference_id="out", child_io_folder_reference_id="out")
    given: dict[str, Any] = {"tasks": [task], "routes": [route]}
    stored = json.loads(json.dumps(run_aiware_job.serialize_parameters(given)))
    assert run_aiware_job.validate_parameters(stored)["tasks"] == [task]


@pytest.mark.parametrize("given", [["url=https://a.invalid/?x=1", "retries = 3", "fast=true"], None])
def test_settings_are_given_by_name_and_value_or_as_json(given: list[str] | None) -> None:
    """A person types `url=https://...` into boxes; a script passes an object. The values of a template stay texts."""
    wanted = {"url": "https://a.invalid/?x=1", "retries": 3, "fast": True}
    sent = run_aiware_job.validate_parameters({"tasks": [{"engine_id": "e", "payload": given or wanted}]})
    assert sent["tasks"][0].payload == wanted
    texts = {name: str(value) for name, value in wanted.items()} | {"fast": "true"}
    assert run_aiware_job.validate_parameters({"template_fields": given or texts})["template_fields"] == texts
    for wrong in (["url"], ["=x"], ["a=1", "a=2"], [3]):
        with pytest.raises(ParameterTypeError, match="as name=value"):
            run_aiware_job.validate_parameters({"template_fields": wrong})


def test_documents_given_as_objects_survive_the_api() -> None:
    """The same for a new project's documents."""
    document = ProjectDocument(name="a.txt", external_url="https://files.example.invalid/a.txt")
    given: dict[str, Any] = {"name": "new", "documents": [document]}
    stored = json.loads(json.dumps(create_datasaur_project.serialize_parameters(given)))
    assert create_datasaur_project.validate_parameters(stored)["documents"] == [document]
