"""The documentation builds, its links and the pages that the code cites exist, and its examples work."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tokenize
from functools import cache
from io import StringIO
from itertools import chain
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
GUARANTEES = ROOT / "docs" / "explanation" / "guarantees.md"
FOLDERS = ("benchmarks", "blocks", "docs", "flows", "graphql_jobs", "scripts", "tasks", "tests")
#: A link to a test file, or the name of a test function in it.
_PROOF = re.compile(r"\]\((?P<file>[^)]*\.py)\)|`(?P<function>test_\w+)`")
_LINK = re.compile(r"\]\((?P<path>[^)#:]*)(?:#(?P<anchor>[\w-]+))?\)")
_CITED = re.compile(r"(?<![\w./])(?P<path>docs/[\w/-]+\.md)(?:#(?P<anchor>[\w-]+))?")
#: Words of earlier versions, and forms of English that are hard to read.
_PRIVATE = re.compile(
    r"\b(?:agenda|in flight|trains?|sights?|(?<!question )(?<!byte order )(?<!pytest\.)marks?|herd|hedging|patience"
    r"|whoever|of which|who waits?|lest)\b",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(r"^ *```python\n(?P<code>.*?)^ *```$", re.MULTILINE | re.DOTALL)
#: Builds the site with every connection refused.
_BUILD = """
import socket, sys
def refused(self, address): raise OSError(f"the build connects to {address}")
socket.socket.connect = refused
from mkdocs.__main__ import cli
cli(["build", "--strict", "--quiet", "--site-dir", sys.argv[1]])
"""


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


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


def examples(page: Path) -> list[str]:
    """The Python code blocks of a page."""
    return [dedent(match["code"]) for match in _EXAMPLE.finditer(page.read_text())]


def programs() -> list[tuple[Path, str]]:
    """The examples that are whole programs."""
    return [(page, code) for page in PAGES for code in examples(page) if code.endswith("asyncio.run(main())\n")]


def prose_of(source: str) -> str:
    """The docstrings and comments of a module."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(source)) if isinstance(node, documented)]
    tokens = tokenize.generate_tokens(StringIO(source).readline)
    return "\n".join([*docstrings, *(token.string for token in tokens if token.type == tokenize.COMMENT)])


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
        f"{name_of(page)}: {match[0]}"
        for page in PAGES
        for match in _LINK.finditer(page.read_text())
        if is_missing(page.parent / match["path"] if match["path"] else page, match["anchor"])
    ]
    assert wrong == []


def test_cited_pages_exist() -> None:
    """`docs/providers/aiware.md#errors` in a comment names a page and a heading of this repository."""
    wrong = [
        f"{name_of(file)}: {match[0]}"
        for file, text in cited_in()
        for match in _CITED.finditer(text)
        if is_missing(ROOT / match["path"], match["anchor"])
    ]
    assert wrong == []


@cache
def cited_in() -> list[tuple[Path, str]]:
    """All files that may cite a page, with their text."""
    files = chain.from_iterable((ROOT / folder).rglob(pattern) for folder in FOLDERS for pattern in ("*.py", "*.md"))
    named = [ROOT / "prefect.yaml", ROOT / "pyproject.toml", ROOT / "Makefile", ROOT / "mkdocs.yml", ROOT / "README.md"]
    return [(file, file.read_text()) for file in sorted({*files, *named}) if file != Path(__file__)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page_says_at_its_top_what_it_is_for(page: Path) -> None:
    """One title, and prose right below it."""
    title, _, text = page.read_text().partition("\n\n")
    assert re.fullmatch(r"# .+", title)
    assert re.match(r"[A-Z*]", text)


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name != "decisions"], ids=name_of)
def test_page_uses_the_words_of_the_field(page: Path) -> None:
    """A request is pending, not in flight; decisions may name what was tried and removed."""
    assert _PRIVATE.findall(page.read_text()) == []


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder != "docs"])
def test_docstrings_and_comments_use_the_words_of_the_field(folder: str) -> None:
    """The same in the code; "question mark" and "byte order mark" are names of characters."""
    files = [file for file in (ROOT / folder).rglob("*.py") if file != Path(__file__)]
    found = {name_of(file): _PRIVATE.findall(prose_of(file.read_text())) for file in files}
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)], ids=name_of)
def test_names_that_examples_import_exist(page: Path) -> None:
    """`from tasks import submit_job` in a guide: there is such a name. The wheel has it in `graphql_jobs_prefect`."""
    for code in examples(page):
        imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
        for node in imports:
            module = importlib.import_module((node.module or "").removeprefix("graphql_jobs_prefect."))
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize(("page", "code"), [pytest.param(*one, id=name_of(one[0])) for one in programs()])
def test_programs_in_the_documentation_run(page: Path, code: str) -> None:
    """An example that ends with `asyncio.run(main())` is run as it is, from the root of the clone."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_at_least_one_program_is_in_the_documentation() -> None:
    """Otherwise the test above would test nothing."""
    assert ROOT / "docs" / "how-to" / "test-without-an-account.md" in dict(programs())


def test_site_builds_strictly_without_the_network(tmp_path: Path) -> None:
    """No dead link, no page outside of the navigation, no broken docstring; no page loads anything from elsewhere."""
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-c", _BUILD, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    loaded = re.compile(r"<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)=\"(?:https?:)?//[^\"]*")
    found = {match for page in tmp_path.rglob("*.html") for match in loaded.findall(page.read_text())}
    assert found == set()
    assert (tmp_path / "source" / "tests" / "flows" / "test_states.py.html").is_file()
