"""What a person reads about a wrong declaration: the file, the line, the setting, and what to write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from graphql import build_schema

from graphql_jobs.errors import InvalidInput
from graphql_jobs.providers.declared import problems_of, read_declaration

if TYPE_CHECKING:
    from graphql import GraphQLSchema

HERE = Path(__file__).parent
GOOD = (HERE / "films.yaml").read_text()
SCHEMA = (HERE / "films.graphql").read_text()
WRONG: list[dict[str, Any]] = yaml.safe_load((HERE / "wrong.yaml").read_text())


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong["name"])
def test_wrong_declaration_is_refused_with_file_line_and_advice(wrong: dict[str, Any]) -> None:
    """A misspelt setting, a variable that nothing fills, a path that the document does not select."""
    old = wrong.get("old", GOOD)
    assert old in GOOD
    text = GOOD.replace(old, wrong["new"])
    says = [f"films.yaml, line {one}" for one in wrong["says"]]
    assert problems_of(text, "films.yaml") == says
    with pytest.raises(InvalidInput) as raised:
        read_declaration(text, "films.yaml")
    assert str(raised.value) == f"declaration: {' '.join(says)} Nothing was sent."


def test_fifty_wrong_declarations_are_tested() -> None:
    """Each with its whole text."""
    assert len({wrong["name"] for wrong in WRONG}) >= 50


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("films", "films", "28: states: PAUSED is missing. Write for each, for example, `WORD: RUNNING`."),
        ("{ url }", "{ link }", "26: result.document: Cannot query field 'link' on type 'File'. Correct the document."),
        (
            "($ids: [ID!]!) { renders(ids: $ids)",
            "($id: ID!) { renders(ids: [$id])",
            "14: check.jobs: renders is a list, so use $ids for several jobs per request.",
        ),
        (
            "jobs: search.nodes\n  id: id\n  created: at",
            "jobs: search\n  id: nodes.id",
            "21: find.id: search.nodes is a list, and a path leads to one value. "
            "Write a path without it, or an adapter in Python.",
        ),
        ("$size: Int", "$size: Number", "6: submit.document: Unknown type 'Number'. Correct the document."),
    ],
)
def test_documents_are_validated_against_a_schema(old: str, new: str, says: str) -> None:
    """A status word that no state is declared for, a field and a type that do not exist, a path through a list."""
    assert f"films.yaml, line {says}" in problems_of(GOOD.replace(old, new), "films.yaml", build_schema(SCHEMA))


def test_good_declarations_have_no_problems(schemas: dict[str, GraphQLSchema]) -> None:
    """The one that these tests change, and those of the guide and of Datasaur, with the schema of the emulator."""
    assert problems_of(GOOD) == []
    assert problems_of((HERE / "dagster.yaml").read_text()) == []
    assert problems_of((HERE / "datasaur.yaml").read_text(), schema=schemas["datasaur"]) == []


def test_guide_shows_the_declaration_that_is_tested_and_a_message_of_its_check() -> None:
    """Dagster in at most 45 lines; the message is that of a misspelt path."""
    page = (HERE.parents[3] / "docs" / "how-to" / "declare-a-provider.md").read_text()
    text = (HERE / "dagster.yaml").read_text()
    assert f"```yaml\n{text}```" in page
    assert len(text.splitlines()) <= 45
    [problem] = problems_of(text.replace("status: status", "status: state"), "dagster.yaml")
    assert f"```\n{problem}\n```" in page


@pytest.mark.parametrize("word", ["no", "on", "1", "null", "2026-11-28", "yes"])
def test_words_that_yaml_reads_as_other_values_are_words(word: str) -> None:
    """A status `no` or `on` is a boolean in YAML 1.1."""
    assert word in read_declaration(GOOD.replace("BROKEN: FAILED", f"{word}: FAILED")).states


@pytest.mark.parametrize("text", ["[" * 2_000, "a" * 20_001, "a: &a [*a]", "{" * 2_000, "\0", "? ? ?"])
def test_hostile_text_is_refused(text: str) -> None:
    """Deep nesting, a very long text, an alias of itself."""
    assert len(problems_of(text)) == 1
