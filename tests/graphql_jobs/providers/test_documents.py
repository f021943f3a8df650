"""Every document of both providers against the providers' schemas."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from graphql import (
    GraphQLObjectType,
    GraphQLSchema,
    NoDeprecatedCustomRule,
    is_non_null_type,
    specified_rules,
    validate,
)

from graphql_jobs.providers.aiware import documents as aiware
from graphql_jobs.providers.datasaur import documents as datasaur
from graphql_jobs.transport.operation import Operation

if TYPE_CHECKING:
    from types import ModuleType

#: The query of the vendor's page on checking a job (docs.datasaur.ai/api/get-data/check-job), as in its JSON.
VENDORS_QUERY = "query GetJobQuery($jobId: String!) {  result: getJob(jobId: $jobId) {    id  status  progress  }}"


def operations(module: ModuleType) -> list[tuple[str, Operation]]:
    """The constants of a module that are operations."""
    return [(name, value) for name, value in vars(module).items() if isinstance(value, Operation)]


ALL = (
    [("aiware", name, operation) for name, operation in operations(aiware)]
    + [("datasaur", name, operation) for name, operation in operations(datasaur)]
    + [("aiware", f"check_jobs({count})", aiware.check_jobs(count)) for count in (1, 2, 100, *aiware.ALIAS_SIZES)]
    + [
        ("aiware", f"launch_engine_job({source}, {count})", aiware.launch_engine_job(source, count))
        for source in ("uploadUrl", "targetId")
        for count in (0, 1, 2, 20)
    ]
)


def test_all_documents_are_found() -> None:
    """Nine constants of aiWARE and ten of Datasaur: a test of no document would always pass."""
    assert len(operations(aiware)) == 9
    assert len(operations(datasaur)) == 10


@pytest.mark.parametrize(("provider", "name", "operation"), ALL, ids=[f"{one[0]} {one[1]}" for one in ALL])
def test_document_is_valid_by_the_providers_schema(
    provider: str, name: str, operation: Operation, schemas: dict[str, GraphQLSchema]
) -> None:
    """By all rules of the specification, and without deprecated fields."""
    assert not validate(schemas[provider], operation.document, [*specified_rules, NoDeprecatedCustomRule])


def test_wrong_document_would_be_found(schemas: dict[str, GraphQLSchema]) -> None:
    """The rules find an unknown field and a deprecated one."""
    wrong = Operation("query Wrong { job(id: 1) { idd } }")
    old = Operation(
        "mutation Old($i: LaunchTextProjectInput!) { launchTextProjectAsync(input: $i) { name } }",
    )
    rules = [*specified_rules, NoDeprecatedCustomRule]
    assert validate(schemas["aiware"], wrong.document, rules)
    assert validate(schemas["datasaur"], old.document, rules)


def squeezed(text: str) -> str:
    """The tokens, separated by single blanks."""
    return " ".join(re.findall(r"[\w$]+|[^\w\s]", text))


def test_query_for_one_datasaur_job_is_the_vendors_own() -> None:
    """Exactly the query of the seed page, except for white space."""
    assert squeezed(datasaur.GET_JOB.text) == squeezed(VENDORS_QUERY)
    assert datasaur.GET_JOB.name == "GetJobQuery"


def test_check_of_aiware_asks_for_all_that_the_vendors_query_asks_for() -> None:
    """id and status of the job; id, status and engine of each task: the fields of the seed page's sample request."""
    text = squeezed(aiware.check_jobs(1).text)
    assert "job ( id : $id0 )" in text
    for fragment in ("{ id status targetId", "records { id status engineId"):
        assert fragment in text


def test_answers_that_may_be_null_are_known_as_such(schemas: dict[str, GraphQLSchema]) -> None:
    """An unknown job does not affect the others of its batch only because these fields are nullable."""
    query = schemas["aiware"].query_type
    assert isinstance(query, GraphQLObjectType)
    assert not is_non_null_type(query.fields["job"].type)
    mutation = schemas["aiware"].mutation_type
    assert isinstance(mutation, GraphQLObjectType)
    assert not is_non_null_type(mutation.fields["createJob"].type)
    other = schemas["datasaur"].query_type
    assert isinstance(other, GraphQLObjectType)
    assert str(other.fields["getJob"].type) == "Job"
    assert str(other.fields["getJobs"].type) == "[Job]!"


@pytest.mark.parametrize("count", aiware.ALIAS_SIZES)
def test_check_has_one_alias_and_one_variable_for_each_job(count: int) -> None:
    """100 jobs: j0 to j99 with $id0 to $id99, and no id in the text."""
    text = aiware.check_jobs(count).text
    assert set(re.findall(r"(j\d+): job\(id: \$id\d+\)", text)) == {f"j{number}" for number in range(count)}
    assert set(re.findall(r"\$(id\d+): ID!", text)) == {f"id{number}" for number in range(count)}


def test_document_is_parsed_once() -> None:
    """The same number of aliases gives the same operation."""
    assert aiware.check_jobs(5) is aiware.check_jobs(5)
    assert aiware.launch_engine_job("targetId", 3) is aiware.launch_engine_job("targetId", 3)


def test_schemas_of_the_project_are_in_the_package() -> None:
    """The copies that these tests read are the emulator's."""
    folder = Path(__file__).parents[3] / "graphql_jobs" / "emulator" / "schema"
    assert {path.stem for path in folder.glob("*.graphql")} == {"aiware", "datasaur"}
