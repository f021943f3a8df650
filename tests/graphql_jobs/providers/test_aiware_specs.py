"""The specs of aiWARE: bad input is named before anything is sent, and the input that is sent fits the schema."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from graphql import GraphQLError, GraphQLSchema, OperationDefinitionNode
from graphql.execution.values import get_variable_values

from graphql_jobs.errors import InvalidInput
from graphql_jobs.providers.aiware import (
    AiwareJobSpec,
    EngineJobSpec,
    EngineTask,
    IOFolder,
    NewTarget,
    Route,
    documents,
)
from graphql_jobs.providers.aiware.specs import ExecutionPreferences

if TYPE_CHECKING:
    from graphql_jobs.spec import JobSpec
    from graphql_jobs.transport.operation import Operation

FOLDERS = [
    {"reference_id": "in", "mode": "stream", "type": "input"},
    {"reference_id": "out", "mode": "chunk", "type": "output"},
]
TASK: dict[str, Any] = {"engine_id": "e", "io_folders": FOLDERS}
ROUTE = {"parent_io_folder_reference_id": "out", "child_io_folder_reference_id": "in"}
FULL = AiwareJobSpec.of(
    tasks=[
        EngineTask(
            engine_id="8bdb0e3b",
            payload={"url": "https://h/m", "ffmpeg": {"chunkSizeInSeconds": "300"}},
            io_folders=[IOFolder(reference_id="si", mode="stream", type="output")],
            execution_preferences=ExecutionPreferences(
                priority=-10, parent_complete_before_starting=True, max_retries=0
            ),
            standby_task=EngineTask(engine_id="other", standby_task=EngineTask(engine_id="third")),
        ),
        EngineTask(engine_id="c0e55cde", io_folders=[IOFolder(reference_id="engine", mode="chunk", type="input")]),
    ],
    routes=[Route(parent_io_folder_reference_id="si", child_io_folder_reference_id="engine")],
    target=NewTarget(name="n", start_date_time=1574311000, stop_date_time="2019-11-21T05:00:00Z", details={"a": [1]}),
    cluster_id="rt-1cdc1d6d",
    job_config={"free": ["json"]},
)


def accepted(schema: GraphQLSchema, operation: Operation, variables: dict[str, Any]) -> list[GraphQLError]:
    """The schema's errors for these variables, after a round trip through JSON."""
    definition = operation.document.definitions[0]
    assert isinstance(definition, OperationDefinitionNode)
    result: Any = get_variable_values(schema, definition.variable_definitions or (), json.loads(json.dumps(variables)))
    return result if isinstance(result, list) else []


@pytest.mark.parametrize(
    "spec",
    [FULL, AiwareJobSpec.of(tasks=[TASK]), AiwareJobSpec.of(tasks=[TASK], routes=[ROUTE], target_id="9")],
    ids=["all there is", "one task", "a target and a route"],
)
def test_what_is_sent_fits_the_schema(spec: AiwareJobSpec, schemas: dict[str, GraphQLSchema]) -> None:
    """The value of `createJob(input:)` is a `CreateJob`."""
    assert accepted(schemas["aiware"], documents.CREATE_JOB, {"input": spec.to_wire()}) == []


def test_wrong_value_would_be_found(schemas: dict[str, GraphQLSchema]) -> None:
    """The check sees an unknown field and a wrong type."""
    wrongs: list[dict[str, Any]] = [{"taskz": []}, {"tasks": [{"engineId": ["e"]}]}]
    for wrong in wrongs:
        assert accepted(schemas["aiware"], documents.CREATE_JOB, {"input": wrong})


def test_what_was_not_set_is_not_sent() -> None:
    """A job of one engine has only that engine in its input."""
    assert AiwareJobSpec.of(tasks=[{"engine_id": "e"}]).to_wire() == {"tasks": [{"engineId": "e"}]}


def test_names_on_the_wire_are_the_providers() -> None:
    """camelCase, also in nested parts; payloads and options are unchanged."""
    wire = FULL.to_wire()
    task = wire["tasks"][0]
    assert set(wire) == {"tasks", "routes", "target", "clusterId", "jobConfig"}
    assert task["executionPreferences"] == {"priority": -10, "parentCompleteBeforeStarting": True, "maxRetries": 0}
    assert task["standbyTask"] == {"engineId": "other", "standbyTask": {"engineId": "third"}}
    assert task["payload"]["ffmpeg"] == {"chunkSizeInSeconds": "300"}
    assert wire["routes"][0]["parentIoFolderReferenceId"] == "si"
    assert wire["target"]["startDateTime"] == 1574311000


BAD: dict[str, tuple[type[JobSpec], dict[str, Any], str]] = {
    "no tasks": (AiwareJobSpec, {"tasks": []}, "tasks"),
    "tasks missing": (AiwareJobSpec, {}, "tasks"),
    "an empty engine": (AiwareJobSpec, {"tasks": [{"engine_id": "  "}]}, "tasks.0.engine_id"),
    "an unknown field": (AiwareJobSpec, {"tasks": [TASK], "s3cret": 1}, "s3cret"),
    "an unknown nested field": (AiwareJobSpec, {"tasks": [TASK | {"payloads": {}}]}, "tasks.0.payloads"),
    "an unknown mode": (
        AiwareJobSpec,
        {"tasks": [{"engine_id": "e", "io_folders": [FOLDERS[0] | {"mode": "s3cret"}]}]},
        "tasks.0.io_folders.0.mode",
    ),
    "both targets": (AiwareJobSpec, {"tasks": [TASK], "target_id": "9", "target": {}}, "AiwareJobSpec"),
    "a route from nowhere": (
        AiwareJobSpec,
        {"tasks": [TASK], "routes": [ROUTE | {"parent_io_folder_reference_id": "nowhere"}]},
        "AiwareJobSpec",
    ),
    "an empty target": (AiwareJobSpec, {"tasks": [TASK], "target_id": ""}, "target_id"),
    "no engines at all": (
        AiwareJobSpec,
        {"tasks": [{"engine_id": "e", "execution_preferences": {"max_engines": 0}}]},
        "tasks.0.execution_preferences.max_engines",
    ),
    "neither source": (EngineJobSpec, {"engine_id": "e"}, "EngineJobSpec"),
    "both sources": (
        EngineJobSpec,
        {"engine_id": "e", "upload_url": "https://h/m", "target_id": "9"},
        "EngineJobSpec",
    ),
    "no address": (EngineJobSpec, {"engine_id": "e", "upload_url": "s3cret"}, "upload_url"),
    "a file": (EngineJobSpec, {"engine_id": "e", "upload_url": "file:///s3cret"}, "upload_url"),
    "a password": (EngineJobSpec, {"engine_id": "e", "upload_url": "https://u:s3cret@h/m"}, "upload_url"),
    "an empty engine id": (EngineJobSpec, {"engine_id": "", "target_id": "9"}, "engine_id"),
    "a field that is no text": (
        EngineJobSpec,
        {"engine_id": "e", "target_id": "9", "fields": {"a": {"s3cret": 1}}},
        "fields.a",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_and_not_shown(name: str) -> None:
    """`InvalidInput` names the parameter, without the value, which may be a secret."""
    kind, values, parameter = BAD[name]
    with pytest.raises(InvalidInput) as caught:
        kind.of(**values)
    assert caught.value.parameter == parameter
    if parameter != "s3cret":
        assert "s3cret" not in f"{caught.value} {caught.value!r}"


def test_route_that_names_no_folder_says_which() -> None:
    """The error has the folder's name."""
    with pytest.raises(InvalidInput, match="'nowhere'"):
        AiwareJobSpec.of(tasks=[TASK], routes=[ROUTE | {"parent_io_folder_reference_id": "nowhere"}])


def test_route_may_name_a_folder_of_a_standby() -> None:
    """Standby tasks also have folders and standby tasks."""
    standby = {"engine_id": "s", "standby_task": TASK}
    spec = AiwareJobSpec.of(tasks=[{"engine_id": "e", "standby_task": standby}], routes=[ROUTE])
    assert spec.routes[0].parent_io_folder_reference_id == "out"


def test_pre_signed_address_may_have_a_query() -> None:
    """The addresses of object stores have queries."""
    assert EngineJobSpec.of(engine_id="e", upload_url="https://h/m?X-Amz-Signature=1").upload_url


def test_bad_input_is_said_once() -> None:
    """The message has the parameter and "Nothing was sent." once each."""
    with pytest.raises(InvalidInput) as caught:
        EngineJobSpec.of(engine_id="e", upload_url="https://")
    assert str(caught.value).count("Nothing was sent.") == 1
    assert str(caught.value).count("upload_url") == 1


def test_signature_of_an_address_is_not_in_the_repr() -> None:
    """A person who reads the log could download the media."""
    assert "51gn" not in repr(EngineJobSpec.of(engine_id="e", upload_url="https://h/m?X-Amz-Signature=51gn"))


@pytest.mark.parametrize(
    "value", [{1, 2}, datetime(2026, 1, 1, tzinfo=UTC), b"x", object(), float("nan"), float("inf")]
)
def test_what_is_no_json_is_bad_input(value: object) -> None:
    """A set in a payload: named before anything is sent."""
    with pytest.raises(InvalidInput, match="payload"):
        AiwareJobSpec.of(tasks=[{"engine_id": "e", "payload": {"a": value}}])
