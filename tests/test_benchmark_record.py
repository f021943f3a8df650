"""What contestants write down, and the plots."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from benchmarks.meter import read_record
from benchmarks.plots import line_chart

if TYPE_CHECKING:
    from pathlib import Path


def test_a_record_of_a_killed_and_a_restarted_process_is_one(tmp_path: Path) -> None:
    """Two begins, three ends, the figures of the one that finished; a line that the kill cut short does not count."""
    record = tmp_path / "record"
    record.write_text(
        '{"began_at": 1.0}\n["a", "succeeded", 2.0]\n["b", "succ\n'
        '{"began_at": 3.0}\n["b", "succeeded", 4.0]\n["c", "gave_up", null]\n{"cpu_s": 0.5}\n'
    )
    read = read_record(record)
    assert [end[0] for end in read.ends] == ["a", "b", "c"]
    assert (read.began_at, read.figures) == ([1.0, 3.0], {"cpu_s": 0.5})


def test_a_contestant_that_wrote_nothing_has_an_empty_record(tmp_path: Path) -> None:
    """It ended while it was imported."""
    assert read_record(tmp_path / "none") == ([], [], {})


@pytest.mark.parametrize("logarithmic", [False, True])
def test_a_chart_is_well_formed_and_has_a_line_for_each_series(logarithmic: bool) -> None:
    """Names are escaped; points that a logarithm lacks are left out."""
    series = {"a < b": [(0.0, 0.0), (1.0, 2.0), (10.0, 20.0)], "c": [(1.0, 1.0), (5.0, 5.0)]}
    root = ElementTree.fromstring(line_chart("A & B", "x", "y", series, logarithmic=logarithmic))
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [2 if logarithmic else 3, 2]


def test_a_chart_of_nothing_is_an_error() -> None:
    """Rather than an empty picture."""
    with pytest.raises(ValueError, match="nothing to draw"):
        line_chart("A", "x", "y", {"c": [(0.0, 1.0)]}, logarithmic=True)
