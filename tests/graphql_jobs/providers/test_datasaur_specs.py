"""The specs of Datasaur: bad input is named before anything is sent, and the input that is sent fits the schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from graphql import GraphQLError, GraphQLSchema, OperationDefinitionNode
from graphql.execution.values import get_variable_values

from graphql_jobs.errors import InvalidInput
from graphql_jobs.providers.datasaur import AutoLabelSpec, ExportSpec, ProjectSpec, documents

if TYPE_CHECKING:
    from graphql_jobs.spec import JobSpec
    from graphql_jobs.transport.operation import Operation

AUTO_LABEL: dict[str, Any] = {
    "project_id": "HvdyIL2iwZn",
    "labeler_email": "demo@datasaur.ai",
    "target_endpoint": "https://custom-model.api.com/predict",
    "target_secret": "s3cret",
}
DOCUMENT = {"name": "a.txt", "external_url": "https://h/a.txt"}


def accepted(schema: GraphQLSchema, operation: Operation, variables: dict[str, Any]) -> list[GraphQLError]:
    """The schema's errors for these variables, after a round trip through JSON."""
    definition = operation.document.definitions[0]
    assert isinstance(definition, OperationDefinitionNode)
    result: Any = get_variable_values(schema, definition.variable_definitions or (), json.loads(json.dumps(variables)))
    return result if isinstance(result, list) else []


@pytest.mark.parametrize(
    ("operation", "spec"),
    [
        (documents.AUTO_LABEL, AutoLabelSpec.of(**AUTO_LABEL)),
        (documents.AUTO_LABEL, AutoLabelSpec.of(**AUTO_LABEL, lines_per_request=5, role="REVIEWER")),
        (documents.EXPORT_PROJECT, ExportSpec.of(project_ids=["a", "b"], file_name="out")),
        (documents.EXPORT_PROJECT, ExportSpec.of(project_ids=["a"], file_name="out", format="CSV", role="LABELER")),
        (
            documents.EXPORT_TO_STORAGE,
            ExportSpec.of(
                project_ids=["a"],
                file_name="out",
                format="CUSTOM",
                file_transformer_id="t",
                included_comment_type=["ARROW_LABEL", "COMMENT", "SPAN_LABEL", "SPAN_TEXT"],
                object_storage_id="s",
                object_storage_prefix="p/",
            ),
        ),
        (documents.EXPORT_TO_STORAGE, ExportSpec.of(project_ids=["a"], file_name="out", object_storage_id="s")),
        (documents.CREATE_PROJECT, ProjectSpec.of(name="n", documents=[DOCUMENT])),
        (
            documents.CREATE_PROJECT,
            ProjectSpec.of(
                name="n",
                documents=[{"name": "b.txt", "object_key": "k"}],
                team_id="t",
                kinds=["ROW_BASED", "TOKEN_BASED"],
                purpose="VALIDATION",
                settings={"tagNames": ["x"], "tokenLabelSets": [{"any": 1}]},
            ),
        ),
    ],
)
def test_what_is_sent_fits_the_schema(operation: Operation, spec: Any, schemas: dict[str, GraphQLSchema]) -> None:
    """The value of each operation's `input`."""
    assert accepted(schemas["datasaur"], operation, {"input": spec.to_wire()}) == []


def test_documented_input_of_auto_label_is_what_is_sent() -> None:
    """The vendor's sample, unchanged."""
    assert AutoLabelSpec.of(**AUTO_LABEL | {"target_secret": "secret"}).to_wire() == {
        "labelerEmail": "demo@datasaur.ai",
        "projectId": "HvdyIL2iwZn",
        "options": {"numberOfFilesPerRequest": 0, "serviceProvider": "CUSTOM"},
        "targetAPI": {"endpoint": "https://custom-model.api.com/predict", "secretKey": "secret"},
    }


BAD: dict[str, tuple[type[JobSpec], dict[str, Any], str]] = {
    "negative lines": (AutoLabelSpec, AUTO_LABEL | {"lines_per_request": -1}, "lines_per_request"),
    "an empty project": (AutoLabelSpec, AUTO_LABEL | {"project_id": " "}, "project_id"),
    "no address": (AutoLabelSpec, AUTO_LABEL | {"target_endpoint": "s3cret"}, "target_endpoint"),
    "a password": (AutoLabelSpec, AUTO_LABEL | {"target_endpoint": "https://u:s3cret@h"}, "target_endpoint"),
    "a secret that is no text": (AutoLabelSpec, AUTO_LABEL | {"target_secret": ["s3cret"]}, "target_secret"),
    "an unknown role": (AutoLabelSpec, AUTO_LABEL | {"role": "s3cret"}, "role"),
    "an unknown field": (AutoLabelSpec, AUTO_LABEL | {"targetSecret": "s3cret"}, "targetSecret"),
    "no projects": (ExportSpec, {"project_ids": [], "file_name": "f"}, "project_ids"),
    "one empty project": (ExportSpec, {"project_ids": ["a", ""], "file_name": "f"}, "project_ids.1"),
    "no file name": (ExportSpec, {"project_ids": ["a"], "file_name": ""}, "file_name"),
    "a prefix in no storage": (
        ExportSpec,
        {"project_ids": ["a"], "file_name": "f", "object_storage_prefix": "s3cret"},
        "ExportSpec",
    ),
    "an unknown kind of comment": (
        ExportSpec,
        {"project_ids": ["a"], "file_name": "f", "included_comment_type": ["s3cret"]},
        "included_comment_type.0",
    ),
    "no documents": (ProjectSpec, {"name": "n", "documents": []}, "documents"),
    "too many documents": (ProjectSpec, {"name": "n", "documents": [DOCUMENT] * 101}, "documents"),
    "no source": (ProjectSpec, {"name": "n", "documents": [{"name": "a"}]}, "documents.0"),
    "both sources": (ProjectSpec, {"name": "n", "documents": [DOCUMENT | {"object_key": "k"}]}, "documents.0"),
    "no kinds": (ProjectSpec, {"name": "n", "documents": [DOCUMENT], "kinds": []}, "kinds"),
    "an unknown kind": (ProjectSpec, {"name": "n", "documents": [DOCUMENT], "kinds": ["s3cret"]}, "kinds.0"),
    "a setting with a parameter of its own": (
        ProjectSpec,
        {"name": "n", "documents": [DOCUMENT], "settings": {"teamId": "t"}},
        "ProjectSpec",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_and_not_shown(name: str) -> None:
    """`InvalidInput` names the parameter, without the value, which may be a secret."""
    kind, values, parameter = BAD[name]
    with pytest.raises(InvalidInput) as caught:
        kind.of(**values)
    assert caught.value.parameter == parameter
    assert "s3cret" not in f"{caught.value} {caught.value!r}"


def test_models_secret_is_in_the_wire_value_alone() -> None:
    """It is not in the repr, nor in the plain form for logs and parameters."""
    spec = AutoLabelSpec.of(**AUTO_LABEL)
    assert "s3cret" in json.dumps(spec.to_wire())
    assert "s3cret" not in f"{spec!r} {spec} {spec.model_dump_json()}"


def test_empty_secret_is_bad_input() -> None:
    """A block field was left empty."""
    with pytest.raises(InvalidInput, match="target_secret"):
        AutoLabelSpec.of(**AUTO_LABEL | {"target_secret": ""})


def test_documents_address_is_an_address() -> None:
    """Datasaur's servers cannot read a path on this machine."""
    with pytest.raises(InvalidInput, match="external_url"):
        ProjectSpec.of(name="n", documents=[{"name": "a", "external_url": "/home/me/a.txt"}])


def test_what_is_no_json_is_bad_input() -> None:
    """A set in the settings: named before anything is sent."""
    with pytest.raises(InvalidInput, match="settings"):
        ProjectSpec.of(name="n", documents=[DOCUMENT], settings={"tagNames": {"x"}})
