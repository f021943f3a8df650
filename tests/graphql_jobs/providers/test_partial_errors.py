"""Errors with data: some concern one field, some the whole request."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import ExecutionResult

from graphql_jobs import errors
from graphql_jobs.providers.aiware.reader import DIALECT
from graphql_jobs.transport.diagnosis import diagnose
from graphql_jobs.transport.http import Exchange

AUTH = {"name": "authentication_error", "message": "no"}
FAILED = {"name": "internal_error", "message": "no"}
ABSENT = {"name": "not_found", "message": "no"}
NOTICE = {"message": "this field is deprecated"}
TOO_DEAR = {"name": "capacity_exceeded", "message": "no"}
LIMITED = {"name": "rate_limited", "message": "no"}


def kind_of(data: dict[str, Any], *entries: dict[str, Any]) -> type | None:
    """The meaning of the answer as a whole."""
    exchange = Exchange()
    exchange.status = 200
    diagnosis = diagnose(DIALECT, exchange, None, ExecutionResult(data, list(entries)))  # type: ignore[arg-type]
    return diagnosis.kind if diagnosis else None


def at(entry: dict[str, Any], *path: str) -> dict[str, Any]:
    """The error with a path."""
    return entry | {"path": list(path)}


@pytest.mark.parametrize("entry", [AUTH, LIMITED, FAILED, ABSENT, NOTICE])
def test_error_at_one_field_beside_data_concerns_that_field(entry: dict[str, Any]) -> None:
    """One job belongs to another organisation: the other job's data is used."""
    assert kind_of({"j0": {"id": "a"}, "j1": None}, at(entry, "j1")) is None


@pytest.mark.parametrize("entry", [AUTH, LIMITED, FAILED, NOTICE, TOO_DEAR])
def test_error_beside_whole_data_concerns_nothing(entry: dict[str, Any]) -> None:
    """All jobs are there, and an error names no field, or a part of one: the data is used."""
    whole = {"j0": {"id": "a"}, "j1": {"id": "b"}}
    assert kind_of(whole, entry) is None
    assert kind_of(whole, at(entry, "j1", "targetId")) is None


@pytest.mark.parametrize(
    ("data", "entries", "kind"),
    [
        ({"j0": None, "j1": None}, [at(AUTH, "j0"), at(AUTH, "j1")], errors.SignInFailed),
        ({"j0": None, "j1": None}, [at(AUTH, "j0"), at(FAILED, "j1")], None),
        ({"j0": None, "j1": None}, [at(ABSENT, "j0"), at(ABSENT, "j1"), AUTH], errors.SignInFailed),
        ({"j0": None}, [NOTICE, at(ABSENT, "j0")], None),
        ({"j0": None, "j1": None}, [at(ABSENT, "j0"), FAILED], errors.ServerFailed),
        ({}, [FAILED], errors.ServerFailed),
        ({}, [at(AUTH, "j0")], errors.SignInFailed),
        ({"j0": {"id": "a"}, "j1": None}, [at(TOO_DEAR, "j1")], errors.TooMuchAtOnce),
    ],
)
def test_errors_without_data_concern_all_that_has_no_error_of_its_own(
    data: dict[str, Any], entries: list[dict[str, Any]], kind: type | None
) -> None:
    """Every field was refused by the same rejected token: the request failed, and a new token may help."""
    assert kind_of(data, *entries) is kind
