"""Job blocks: values that they refuse at creation, and values that the UI's form refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

import blocks
from blocks import (
    AiwareCredentials,
    AiwareEngineJob,
    DatasaurAutoLabel,
    DatasaurCredentials,
    DatasaurExport,
    DatasaurTargetApi,
)

if TYPE_CHECKING:
    from prefect.blocks.core import Block

S3CRET = "s3cret-value"
ALL = [getattr(blocks, name) for name in blocks.__all__]
JOBS: dict[str, tuple[type[Block], dict[str, Any], str]] = {
    "a blank engine": (AiwareEngineJob, {"engine_id": " ", "target_id": "1"}, "engine_id"),
    "no media": (AiwareEngineJob, {"engine_id": "e"}, "upload_url"),
    "media at no address": (AiwareEngineJob, {"engine_id": "e", "upload_url": S3CRET}, "upload_url"),
    "no projects": (DatasaurExport, {"project_ids": [], "file_name": "f"}, "project_ids"),
    "a blank file name": (DatasaurExport, {"project_ids": ["p"], "file_name": " "}, "file_name"),
    "a blank project": (DatasaurAutoLabel, {"project_id": "", "labeler_email": "e"}, "project_id"),
    "more lines than GraphQL counts": (
        DatasaurAutoLabel,
        {"project_id": "p", "labeler_email": "e", "lines_per_request": 2**31},
        "lines_per_request",
    ),
    "no time to wait": (
        DatasaurExport,
        {"project_ids": ["p"], "file_name": "f", "waiting": {"give_up_after_s": 0}},
        "give_up_after_s",
    ),
}


@pytest.mark.parametrize("name", JOBS)
def test_wrong_job_block_is_refused_when_it_is_created(name: str) -> None:
    """An engine id of blanks is refused in the form, not when the first job is submitted."""
    kind, fields, parameter = JOBS[name]
    nested: dict[str, Any] = {"credentials": {"token": S3CRET}}
    if kind is DatasaurAutoLabel:
        nested["target_api"] = {"endpoint": "https://model.example.invalid", "secret_key": S3CRET}
    with pytest.raises(ValidationError, match=parameter) as raised:
        kind(**nested, **fields)
    assert S3CRET not in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (AiwareCredentials, ["base_url", "token"]),
        (DatasaurCredentials, ["base_url"]),
        (DatasaurTargetApi, ["endpoint", "secret_key"]),
        (AiwareEngineJob, ["engine_id"]),
        (DatasaurAutoLabel, ["project_id", "labeler_email"]),
        (DatasaurExport, ["file_name"]),
    ],
)
def test_form_refuses_empty_fields(kind: type[Block], fields: list[str]) -> None:
    """Prefect's old UI checks the lengths and bounds in the schema."""
    properties = kind.model_json_schema()["properties"]
    assert [properties[field]["minLength"] for field in fields] == [1] * len(fields)


def test_prefect_knows_every_secret() -> None:
    """It encrypts all of a block, and shows asterisks for these fields only."""
    known = {kind.__name__: kind.model_json_schema()["secret_fields"] for kind in ALL}
    headers = "connection.headers.*"
    assert known == {
        "AiwareCredentials": ["token", headers],
        "AiwareEngineJob": ["credentials.token", f"credentials.{headers}"],
        "DatasaurAutoLabel": [
            "credentials.client_secret",
            "credentials.token",
            f"credentials.{headers}",
            "target_api.secret_key",
        ],
        "DatasaurCredentials": ["client_secret", "token", headers],
        "DatasaurExport": ["credentials.client_secret", "credentials.token", f"credentials.{headers}"],
        "DatasaurTargetApi": ["secret_key"],
        "GraphqlJobProvider": ["token", "client_secret", headers],
    }


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_form_of_a_block_has_titles_and_boxes_and_its_advanced_fields_last(kind: type[Block]) -> None:
    """Each title is set, no field is a choice between a type and None, and each secret is a box that Prefect knows."""
    assert [name for name, field in kind.model_fields.items() if not field.title] == []
    schema = kind.model_json_schema()
    properties: dict[str, dict[str, Any]] = schema["properties"]
    assert [name for name, field in properties.items() if "anyOf" in field] in ([], ["fields"])  # name=value or JSON
    passwords = {name for name, field in properties.items() if field.get("format") == "password"}
    assert {name for name in schema["secret_fields"] if "." not in name} == passwords
    advanced = [field.get("title", "").startswith("Advanced: ") for field in properties.values()]
    assert advanced == sorted(advanced)
