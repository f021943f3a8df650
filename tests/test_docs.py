"""What the documentation and the code cite exists."""

from __future__ import annotations

import re
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GUARANTEES = ROOT / "docs" / "explanation" / "guarantees.md"
FOLDERS = ("benchmarks", "blocks", "docs", "flows", "graphql_jobs", "scripts", "tasks", "tests")
#: A link to a test file, or the name of a test function in it.
_PROOF = re.compile(r"\]\((?P<file>[^)]*\.py)\)|`(?P<function>test_\w+)`")
_LINK = re.compile(r"\]\((?P<path>[^)#:]*)(?:#(?P<anchor>[\w-]+))?\)")
_CITED = re.compile(r"(?<![\w./])(?P<path>docs/[\w/-]+\.md)(?:#(?P<anchor>[\w-]+))?")


def sections() -> dict[int, str]:
    """The text of each guarantee by its number."""
    parts = re.split(r"^## (\d+)\. ", GUARANTEES.read_text(), flags=re.MULTILINE)[1:]
    return {int(number): text for number, text in zip(parts[::2], parts[1::2], strict=True)}


def proofs(text: str) -> list[tuple[Path, str]]:
    """Each test function that `text` names, with the test file that was linked before it."""
    found: list[tuple[Path, str]] = []
    file = Path()
    for match in _PROOF.finditer(text):
        if match["file"]:
            file = (GUARANTEES.parent / match["file"]).resolve()
        else:
            found.append((file, match["function"]))
    return found


@cache
def functions_of(file: Path) -> set[str]:
    return set(re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)) if file.is_file() else set()


@cache
def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_missing(page: Path, anchor: str | None) -> bool:
    return not page.exists() or bool(anchor and anchor not in anchors_of(page))


@pytest.mark.parametrize("number", range(1, 13))
def test_each_guarantee_is_proven_by_tests_that_exist(number: int) -> None:
    """Each of the twelve names at least one test, and each named test is in the file that is linked before it."""
    named = proofs(sections()[number])
    assert named
    assert [(str(file), name) for file, name in named if name not in functions_of(file)] == []


def test_there_are_twelve_guarantees_and_no_other_is_cited() -> None:
    """ "guarantee 13" in a docstring would point at nothing."""
    assert list(sections()) == list(range(1, 13))
    cited = chain.from_iterable(re.findall(r"\bguarantee (\d+)", text, re.IGNORECASE) for _, text in cited_in())
    assert {int(number) for number in cited} <= set(sections())


def test_links_between_pages_lead_somewhere() -> None:
    """A link in `docs/` or the README to a file or a heading that is not there is an error."""
    wrong = [
        f"{page.relative_to(ROOT)}: {match[0]}"
        for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
        for match in _LINK.finditer(page.read_text())
        if is_missing(page.parent / match["path"] if match["path"] else page, match["anchor"])
    ]
    assert wrong == []


def test_cited_pages_exist() -> None:
    """`docs/providers/aiware.md#errors` in a comment names a page and a heading of this repository."""
    wrong = [
        f"{file.relative_to(ROOT)}: {match[0]}"
        for file, text in cited_in()
        for match in _CITED.finditer(text)
        if is_missing(ROOT / match["path"], match["anchor"])
    ]
    assert wrong == []


@cache
def cited_in() -> list[tuple[Path, str]]:
    """All files that may cite a page, with their text."""
    files = chain.from_iterable((ROOT / folder).rglob(pattern) for folder in FOLDERS for pattern in ("*.py", "*.md"))
    return [(file, file.read_text()) for file in sorted(files) if file != Path(__file__)]
