"""The benchmark's page: a part writes its table, and a failed gate is shown and fails the run."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import __main__ as bench
from benchmarks.report import Gate, Section, at_most, line_chart


def section(*gates: Gate) -> Section:
    return Section(("a", "b"), [("1", "2 | 3")], "A note.", list(gates), {"x.svg": "<svg/>"})


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page with the comments of two parts."""
    page = tmp_path / "benchmarks.md"
    parts = "".join(f"<!-- bench:{name} -->\nold\n<!-- /bench:{name} -->\n" for name in ("check", "waits"))
    page.write_text(f"before\n{parts}after\n")
    (tmp_path / "benchmarks").mkdir()
    monkeypatch.setattr(bench, "PAGE", page)
    monkeypatch.delenv("QUICK", raising=False)
    monkeypatch.delenv("PARTS", raising=False)
    return page


@pytest.mark.parametrize(("figure", "status", "word"), [(1.0, 0, "1 of 1 gates passed"), (2.0, 1, "FAILED  y: 2")])
def test_run_ends_with_the_status_of_its_gates_and_writes_the_figures(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    page: Path,
    figure: float,
    status: int,
    word: str,
) -> None:
    """A failed gate is named last, and its table is still in the page; a second run replaces it."""
    monkeypatch.setattr(bench, "FULL", {"check": lambda: section(at_most("y", figure, 1.0))})
    assert [bench.main(), bench.main()] == [status, status]
    assert word in capsys.readouterr().out
    text = page.read_text()
    assert text.startswith("before\n<!-- bench:check -->\n| a | b |\n")
    assert text.endswith("<!-- /bench:check -->\n<!-- bench:waits -->\nold\n<!-- /bench:waits -->\nafter\n")
    assert f"| y | {figure:g} | 1 | {'**failed**' if status else 'passed'} |" in text
    assert "| 1 | 2 / 3 |" in text
    assert "`PARTS=check make bench`" in text
    assert (page.parent / "benchmarks" / "x.svg").read_text() == "<svg/>"


def test_part_that_fails_keeps_the_figures_of_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], page: Path
) -> None:
    """The first part raises, the second is written, and the run fails."""

    def broken() -> Section:
        raise RuntimeError("no server")

    monkeypatch.setattr(bench, "FULL", {"check": broken, "waits": section})
    assert bench.main() == 1
    assert "FAILED  check ran to its end: RuntimeError('no server')" in capsys.readouterr().out
    assert "A note." in page.read_text()


def test_page_without_the_comments_is_an_error(tmp_path: Path) -> None:
    """Otherwise a table would be lost."""
    (tmp_path / "page.md").write_text("nothing")
    with pytest.raises(ValueError, match="has no <!-- bench:check --> "):
        section().write("check", tmp_path / "page.md", "Conditions.")


def test_quick_run_writes_nothing(monkeypatch: pytest.MonkeyPatch, page: Path) -> None:
    """Its figures cover fewer rows."""
    monkeypatch.setenv("QUICK", "1")
    monkeypatch.setattr(bench, "QUICK", {"check": section})
    before = page.read_text()
    assert (bench.main(), page.read_text()) == (0, before)


def test_unknown_part_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The error lists the known parts."""
    monkeypatch.setenv("PARTS", "check,nonsense")
    assert bench.main() == 2
    assert "No such part: nonsense. There are: check, waits" in capsys.readouterr().out


def test_every_part_has_its_comments_in_the_page() -> None:
    """A begin and an end for each."""
    text = bench.PAGE.read_text()
    for name in bench.FULL:
        assert text.count(f"<!-- bench:{name} -->") == text.count(f"<!-- /bench:{name} -->") == 1


@pytest.mark.parametrize("logarithmic", [False, True])
def test_chart_is_well_formed_and_has_a_line_for_each_series(logarithmic: bool) -> None:
    """Names are escaped."""
    series = {"a < b": [(1.0, 2.0), (10.0, 20.0), (11.0, 20.0)], "c": [(1.0, 1.0), (5.0, 5.0)]}
    root = ElementTree.fromstring(line_chart("A & B", "x", series, logarithmic=logarithmic))
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [3, 2]
