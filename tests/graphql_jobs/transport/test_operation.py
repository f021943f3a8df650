"""Documents: parsed and printed once, bound to variables per request."""

from __future__ import annotations

import pytest
from graphql import GraphQLError, parse, print_ast

from graphql_jobs.transport.operation import Operation


def test_an_operation_knows_its_name_its_field_and_its_alias() -> None:
    """`result: getJob` is under "result" in the data and is called getJob in messages."""
    operation = Operation("query Q($id: ID!) { result: getJob(jobId: $id) { id } }")
    assert (operation.name, operation.field, operation.alias) == ("Q", "getJob", "result")
    plain = Operation("mutation M { createJob { id } }")
    assert (plain.name, plain.field, plain.alias) == ("M", "createJob", "createJob")


def test_the_payload_is_what_gql_would_send() -> None:
    """The printed document, its name, and the variables if there are any."""
    text = "query Q($id: ID!) { job(id: $id) { id ...F } } fragment F on Job { status }"
    operation = Operation(text)
    printed = print_ast(parse(text))
    assert operation.bind({"id": "1"}).payload == {"query": printed, "operationName": "Q", "variables": {"id": "1"}}
    assert operation.bind({}).payload == {"query": printed, "operationName": "Q"}


def test_two_requests_of_one_operation_do_not_share_variables() -> None:
    """Bound to 1 and to 2 before either is sent: each keeps its value, also if the caller changes the mapping."""
    operation = Operation("query Q($id: ID!) { job(id: $id) { id } }")
    variables = {"id": "1"}
    first, second = operation.bind(variables), operation.bind({"id": "2"})
    variables["id"] = "3"
    assert (first.payload["variables"], second.payload["variables"]) == ({"id": "1"}, {"id": "2"})


@pytest.mark.parametrize("text", ["{ job { id } }", "query Q { ...F } fragment F on Query { job { id } }"])
def test_an_operation_needs_a_name_and_a_root_field(text: str) -> None:
    """Without a name, no log and no server can name the operation."""
    with pytest.raises(ValueError, match="name and a root field"):
        Operation(text)


def test_bad_document_is_refused() -> None:
    """A mistake in a document is found at import."""
    with pytest.raises(GraphQLError):
        Operation("query Q { job(")
    with pytest.raises(StopIteration):
        Operation("fragment F on Job { id }")


def test_an_operation_shows_its_name_only() -> None:
    """The document is not in a log line."""
    assert repr(Operation("query Q { job { id } }")) == "Operation(Q)"
