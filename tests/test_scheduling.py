"""The tests that share a process of pytest-xdist."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

from tests.scheduling import GROUPS, group_of, rank_of

TESTS = Path(__file__).parent


def test_files_of_the_groups_exist() -> None:
    """If a file is renamed, its group must be changed too; otherwise its tests start another stack."""
    assert [path for path in chain(*GROUPS.values()) if not (TESTS.parent / path).exists()] == []


def test_every_file_of_the_folder_for_cancelling_is_in_a_group() -> None:
    """A file that is in none would start a stack of its own."""
    files = {f"tests/cancelling/{file.name}" for file in (TESTS / "cancelling").glob("test_*.py")}
    assert files == set(chain(GROUPS["cancelling"], GROUPS["own flows"]))


def test_every_file_that_uses_the_stack_is_in_its_group() -> None:
    """Each of them would start a stack of its own in another process."""
    files = [file for file in TESTS.rglob("test_*.py") if re.search(r"def test_\w+\(stack: Stack", file.read_text())]
    assert {f"{file.relative_to(TESTS.parent)}" for file in files} <= set(GROUPS["stack"])


def test_files_of_a_group_run_in_its_order() -> None:
    """The automations come after the runs that they would start and crash, although their file comes first by name."""
    assert sorted(GROUPS["stack"], key=rank_of) == list(GROUPS["stack"])


def test_longest_exhaustive_tests_begin_first() -> None:
    """Otherwise one process has a minute's work when the others have ended."""
    file = "tests/exhaustive/test_every_stop"
    single, pair = f"{file}.py::test_every_single_stop[x]", f"{file}.py::test_every_pair_of_stops[x]"
    suspended, other = f"{file}_suspended.py::test_every_single_stop[fail]", "tests/tasks/test_waiting.py::test_a"
    assert sorted([single, pair, suspended, other], key=rank_of) == [other, suspended, pair, single]


def test_every_file_of_a_walk_is_in_the_group_of_walks() -> None:
    """The tests that `make test` runs with Prefect share one server."""
    walks = [
        file for file in TESTS.rglob("test_*.py") if re.search(r"^(@|.*\[.*)pytest\.mark\.walk", file.read_text(), re.M)
    ]
    assert {f"{file.relative_to(TESTS.parent)}" for file in walks} == set(GROUPS["walk"])


def test_folders_that_ci_ignores_need_no_prefect_server() -> None:
    """The second part of `.ci/run` has the tests marked `prefect`, and collects all folders but these."""
    ignored = re.findall(r"--ignore ([\w/]+)(?!\S)", (TESTS.parent / ".ci" / "run").read_text().replace("'", " "))
    assert ignored == ["tests/graphql_jobs", "tests/emulator"]
    files = [file for folder in ignored for file in (TESTS.parent / folder).rglob("*.py")]
    assert [file for file in files if "mark.prefect" in file.read_text()] == []


def test_other_tests_are_dealt_by_file_and_exhaustive_ones_singly() -> None:
    """Each process starts a server once in any case."""
    assert group_of("tests/flows/test_keys.py::test_a[x]") == "tests/flows/test_keys.py"
    assert group_of("tests/cancelling/test_worker.py::test_a") == "cancelling"
    assert group_of("tests/cancelling/test_serve.py::test_a") == "own flows"
    assert (
        group_of("tests/exhaustive/test_every_stop.py::test_a[x]") == "tests/exhaustive/test_every_stop.py::test_a[x]"
    )
